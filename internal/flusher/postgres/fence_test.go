// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"context"
	"net/url"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/writebehind/operator/internal/flusher/entry"
)

// TestAnEpochIsNeverGivenOutTwice puts the ledger back to how it was before a
// predecessor, which is stopped since then, took its epoch. The next owner must get
// another number, or the predecessor's batch would fit.
func TestAnEpochIsNeverGivenOutTwice(t *testing.T) {
	t.Parallel()
	const ledger = "writebehind.ledger"
	for name, lose := range map[string]string{
		"dropped":                      "DROP SCHEMA writebehind CASCADE",
		"emptied":                      "TRUNCATE " + ledger,
		"without its row":              "DELETE FROM " + ledger,
		"put back":                     "TRUNCATE " + ledger + "; INSERT INTO " + ledger + " SELECT * FROM backup",
		"put back from before time":    "UPDATE " + ledger + " SET epoch = 1, flush = 1",
		"put back, of another journal": "TRUNCATE " + ledger + "; INSERT INTO " + ledger + " (journal, queue, partition, epoch, flush, position, updated_at) SELECT 'j0', queue, partition, epoch, flush, position, updated_at FROM backup",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, d := open(t, itemSchema)
			table := readTable(t, d, mapping("items"))
			first := own(t, d, table, 0)
			first.write(t, "1", `{"a":"first"}`)
			server.Exec(t, "CREATE TABLE backup AS SELECT * FROM "+ledger)
			predecessor := own(t, d, table, 0)
			server.Exec(t, lose)
			d.verified.Store(false)
			successor := own(t, d, table, 0)
			if successor.at.Epoch <= predecessor.at.Epoch {
				t.Errorf("The successor's epoch is %d, the predecessor's %d", successor.at.Epoch, predecessor.at.Epoch)
			}
			// Whichever flush the successor is at, the predecessor's fits.
			for flush := successor.at.Flush; flush < successor.at.Flush+2; flush++ {
				at := predecessor.at
				at.Flush, at.Version = flush+1, 1
				if outcome, err := d.Write(t.Context(), table, at, batch(t, table, "1", `{"a":"stale"}`)); err != nil || outcome != entry.Fenced {
					t.Errorf("The predecessor's Write = %v, %v; want Fenced", outcome, err)
				}
			}
			successor.write(t, "1", `{"a":"successor"}`)
			equal(t, server, "SELECT a FROM items", "successor")
		})
	}
}

// TestAStoppedPredecessorHoldsUpNoAlterTable stops a flusher in the middle of sending,
// when its statements have locked the table, and just before its COMMIT, when it holds the
// ledger's row too. The successor ends its session.
func TestAStoppedPredecessorHoldsUpNoAlterTable(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		journal string
		queue   string
		ended   bool
	}{
		"its successor":              {"j1", "products", true},
		"the next life of the queue": {"j2", "products", true},
		"another queue":              {"j1", "orders", false},
	} {
		for place, beforeCommit := range map[string]bool{"while it sends": false, "before its COMMIT": true} {
			t.Run(name+", "+place, func(t *testing.T) {
				t.Parallel()
				server, direct := open(t, itemSchema)
				p, address := newProxy(t, server)
				zombie := openURL(t, address)
				table := readTable(t, direct, mapping("items"))
				predecessor := own(t, zombie, table, 0)
				other := own(t, direct, table, 1)
				b := batch(t, table, "1", `{"a":"zombie","b":1,"c":1}`, "2", "")
				at := predecessor.next(1)
				whole := zombie.pipeline(table, at, b)
				sent := len(whole.bulk) - 1
				holds := "SELECT count(*) FROM pg_locks WHERE relation = 'items'::regclass AND pid <> pg_backend_pid()"
				if beforeCommit {
					commit := must((&pgproto3.Sync{}).Encode(appendExecute(nil, "c")))
					sent = len(whole.bulk) + len(whole.tail) - len(commit)
					holds = "SELECT 1 - count(*) FROM (SELECT FROM writebehind.ledger WHERE journal = 'j1' AND queue = 'products' AND partition = 0 FOR UPDATE SKIP LOCKED) l"
				}
				ready(t, zombie)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				held := p.allow(sent)
				done := predecessor.writeAside(ctx, at, b)
				<-held
				for server.Value(t, holds) == "0" {
					if t.Context().Err() != nil {
						t.Fatal("nobody holds the lock")
					}
				}
				if _, err := direct.Acquire(t.Context(), test.journal, test.queue, 0); err != nil {
					t.Fatal(err)
				}
				if test.ended {
					server.Exec(t, "SET lock_timeout = '20s'; ALTER TABLE items ADD COLUMN d int; RESET lock_timeout")
				} else if server.Value(t, holds) == "0" {
					t.Error("the session of a partition that has no other owner was ended")
				}
				cancel()
				<-done
				if test.ended && test.journal == "j1" {
					other.table = readTable(t, direct, mapping("items"))
					other.write(t, "3", `{"a":"x"}`)
				}
				equal(t, server, "SELECT count(*) FROM items WHERE a = 'zombie'", "0")
			})
		}
	}
}

// TestASessionKeepsItsOwnName has a trigger tell what a session is called while it
// writes, and looks at what it is called afterwards.
func TestASessionKeepsItsOwnName(t *testing.T) {
	t.Parallel()
	server, _ := open(t, `CREATE TABLE items (id bigint PRIMARY KEY, a text);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.a = current_setting('application_name'); RETURN NEW; END $$;
CREATE TRIGGER note BEFORE INSERT ON items FOR EACH ROW EXECUTE FUNCTION note()`)
	u, err := url.Parse(server.URL())
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Set("application_name", "shop")
	u.RawQuery = q.Encode()
	d := openURL(t, u.String())
	o := own(t, d, readTable(t, d, mapping("items")), 0)
	o.write(t, "1", `{"a":"x"}`)
	if name := server.Value(t, "SELECT a FROM items"); !strings.HasPrefix(name, sessionName(o.at)+" shop") {
		t.Errorf("A session that writes is called %q", name)
	}
	equal(t, server, "SELECT DISTINCT application_name FROM pg_stat_activity WHERE datname = current_database() AND application_name ~ 'shop|behind'", "shop")
	long := entry.Place{Shard: entry.Shard{Incarnation: strings.Repeat("j", 26), Queue: strings.Repeat("q", 63), Partition: 1023}, Epoch: 9_000_000_000_000_000}
	if name := sessionName(long); len(name) > 63 {
		t.Errorf("%q is longer than a name may be", name)
	}
}
