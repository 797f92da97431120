// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"errors"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/entry"
	"github.com/writebehind/operator/internal/flusher/postgres/postgrestest"
	"github.com/writebehind/operator/internal/flusher/replica"
	"github.com/writebehind/operator/internal/flusher/replica/replicatest"
)

var _ replica.Store = (*Sources)(nil)

func withSources(s *Settings) { s.Sources = true }

// openSources gives a fresh database with the tables of sources.
func openSources(t testing.TB, settings ...func(*Settings)) (*postgrestest.Database, *Database, *Sources) {
	t.Helper()
	server, d := open(t, "", append(settings, withSources)...)
	ready(t, d)
	return server, d, d.Sources()
}

func lease(t testing.TB, s *Sources, member string) replica.Hold {
	t.Helper()
	hold, err := s.Lease(t.Context(), "shop", member, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return hold
}

func TestSourcesConform(t *testing.T) {
	t.Parallel()
	replicatest.StoreConforms(t, func(t *testing.T) replica.Store {
		t.Parallel()
		_, _, s := openSources(t)
		return s
	})
}

func TestALeaseRunsOutByTheDatabasesClock(t *testing.T) {
	t.Parallel()
	server, _, s := openSources(t)
	for _, test := range []struct {
		name, begun string
		over        bool
	}{
		{"shortly before its end", "- interval '58 minutes'", false},
		{"past its end", "- interval '61 minutes'", true},
		{"by a clock that was set back a little", "+ interval '58 minutes'", false},
		{"by a clock that was set back by more than the lease", "+ interval '61 minutes'", true},
	} {
		before := lease(t, s, "a")
		server.Exec(t, "UPDATE writebehind.source SET leased_at = now() "+test.begun+" WHERE name = 'shop'")
		hold := lease(t, s, "next")
		if over := hold.Member == "next" && hold.Epoch > before.Epoch; over != test.over || !over && hold != before {
			t.Errorf("%s: %+v after %+v; want it over: %v", test.name, hold, before, test.over)
		}
		if err := s.Release(t.Context(), "shop", hold.Epoch); err != nil {
			t.Fatal(err)
		}
	}
}

// A lease, and a position, must not wait for batches.
func TestABatchIsNotInTheWayOfALease(t *testing.T) {
	t.Parallel()
	_, d, s := openSources(t, func(s *Settings) { s.MaxConnections = 1 })
	conn, err := d.acquire(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	hold := lease(t, s, "a")
	if err := s.Move(t.Context(), "shop", hold.Epoch, replica.Position{History: 1}); err != nil {
		t.Error(err)
	}
}

func TestSourcesAreMadeBesideALedgerThatIsThere(t *testing.T) {
	t.Parallel()
	server, _, o := openItems(t)
	o.write(t, "1", `{"a":"x"}`)
	if got := server.Value(t, "SELECT to_regclass('writebehind.source') IS NULL"); got != "t" {
		t.Fatal("A flusher that has no source makes the table of sources")
	}
	d := openURL(t, server.URL(), withSources)
	ready(t, d)
	lease(t, d.Sources(), "a")
	if l := ledgerOf(t, d, 0); l.Flush != 1 {
		t.Errorf("The ledger holds %+v; want what it held before", l)
	}
}

func TestNoEpochComesAgainWithTheTables(t *testing.T) {
	t.Parallel()
	server, d, s := openSources(t)
	before := lease(t, s, "a")
	first, err := s.NextHistory(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	server.Exec(t, "DROP SCHEMA writebehind CASCADE")
	_, err = s.Lease(t.Context(), "shop", "a", time.Hour)
	if f, ok := errors.AsType[*entry.Fault](err); !ok || f.Kind != entry.Transient || !strings.Contains(f.Message, `the tables of sources in the schema "writebehind" cannot be used`) {
		t.Errorf("A lease without tables gives %v; want a transient fault that says so", err)
	}
	ready(t, d)
	if err := s.Move(t.Context(), "shop", before.Epoch, replica.Position{}); !errors.Is(err, replica.ErrDeposed) {
		t.Errorf("Move of a reader that no table knows = %v; want ErrDeposed", err)
	}
	if after := lease(t, s, "a"); after.Epoch <= before.Epoch {
		t.Errorf("Epoch %d follows %d", after.Epoch, before.Epoch)
	}
	if next, err := s.NextHistory(t.Context()); err != nil || next <= first {
		t.Errorf("History %d follows %d, %v", next, first, err)
	}
}

func TestNamesAndPayloadsOfAnyLengthAreKept(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("Seed %d", seed)
	random := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16), byte(seed >> 24)})
	long := make([]byte, 3<<20) // nothing that PostgreSQL could compress into an index's row
	if _, err := random.Read(long); err != nil {
		t.Fatal(err)
	}
	server, _, s := openSources(t)
	hold := lease(t, s, "a")
	n := replica.Name{Queue: "products", Key: string(long[:1<<20]), Member: string(long[1<<20 : 2<<20])}
	retry := replica.Retry{Name: n, Attempts: 1, FirstRefused: time.Now(), Due: time.Now()}
	letter := replica.Letter{Name: n, DeadLetter: entry.DeadLetter{Operation: "set", Cause: entry.CauseRefused, Payload: string(long)}}
	for _, settled := range []replica.Settled{{Retries: []replica.Retry{retry}}, {Letters: []replica.Letter{letter}}} {
		if _, err := s.Settle(t.Context(), "shop", hold.Epoch, settled); err != nil {
			t.Fatal(err)
		}
	}
	letters, err := s.Letters(t.Context(), "shop", replica.Name{Queue: "products"}, 10)
	if err != nil || len(letters) != 1 || letters[0].Name != n {
		t.Errorf("%d letters, %v; want the one", len(letters), err)
	}
	equal(t, server, "SELECT length(payload) FROM writebehind.dead_letter", "3145728")
	if superseded, err := s.Settle(t.Context(), "shop", hold.Epoch, replica.Settled{Gone: []replica.Name{n}}); superseded != 1 || err != nil {
		t.Errorf("%d superseded, %v; want 1", superseded, err)
	}
}

// A table that took no row for long has many retries of few streams.
func TestMembersOfOneKeyAreSettledHoweverManyThereAre(t *testing.T) {
	t.Parallel()
	const members, settled = 20_000, 2000
	server, _, s := openSources(t, func(s *Settings) { s.StatementTimeout = 4 * time.Second })
	hold := lease(t, s, "a")
	var gone []replica.Name
	var retries []replica.Retry
	for n := range members {
		name := replica.Name{Queue: "events", Key: "event:1", Member: strconv.Itoa(n)}
		retries = append(retries, replica.Retry{Name: name, FirstRefused: time.Now(), Due: time.Now()})
		if n < settled {
			gone = append(gone, name)
		}
	}
	for _, settled := range []replica.Settled{{Retries: retries[:members/2]}, {Retries: retries[members/2:]}, {Gone: gone}} {
		if _, err := s.Settle(t.Context(), "shop", hold.Epoch, settled); err != nil {
			t.Fatal(err)
		}
	}
	equal(t, server, "SELECT count(*) FROM writebehind.retry", strconv.Itoa(members-settled))
	if _, err := s.Settle(t.Context(), "shop", hold.Epoch, replica.Settled{Gone: []replica.Name{{Queue: "events", Key: "event:1"}}}); err != nil {
		t.Fatal(err)
	}
	equal(t, server, "SELECT count(*) FROM writebehind.retry", "0")
}

// A call whose answer was given up may be at work still when the next one comes, which knows
// better.
func TestWhatIsSettledComesInItsOrder(t *testing.T) {
	t.Parallel()
	server, _, s := openSources(t)
	server.Exec(t, `CREATE FUNCTION gate() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_xact_lock_shared(1); RETURN new; END $$;
CREATE TRIGGER gate BEFORE INSERT ON writebehind.retry FOR EACH ROW EXECUTE FUNCTION gate()`)
	hold, open := lease(t, s, "a"), shut(t, server)
	n := replica.Name{Queue: "products", Key: "product:1"}
	done := make(chan error, 2)
	for i, settled := range []replica.Settled{{Retries: []replica.Retry{{Name: n, FirstRefused: time.Now(), Due: time.Now()}}}, {Gone: []replica.Name{n}}} {
		go func() {
			_, err := s.Settle(t.Context(), "shop", hold.Epoch, settled)
			done <- err
		}()
		waiting(t, server, []string{"advisory", "transactionid"}[i], "1")
	}
	open()
	for range 2 {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	equal(t, server, "SELECT count(*) FROM writebehind.retry", "0")
}

func TestCheckOfTheTablesOfSources(t *testing.T) {
	t.Parallel()
	// made stands for the tables as the flusher of an administrator made them.
	const made, open = "MADE; ", "GRANT USAGE, CREATE ON SCHEMA writebehind TO ROLE; GRANT SELECT, INSERT, UPDATE ON writebehind.ledger TO ROLE; "
	for name, test := range map[string]struct {
		schema string
		reason string
		says   []string
	}{
		"a ledger of before, in a schema in which nothing may be made": {
			made + "DROP TABLE writebehind.source; GRANT USAGE ON SCHEMA writebehind TO ROLE; GRANT SELECT, INSERT, UPDATE ON writebehind.ledger TO ROLE",
			v1alpha1.ReasonPrivilegeMissing,
			[]string{`may not make or use the table of sources: run as an administrator: GRANT USAGE, CREATE ON SCHEMA "writebehind" TO ROLE;`},
		},
		"a table of sources that may not be used": {
			made + open, v1alpha1.ReasonPrivilegeMissing, []string{`GRANT SELECT, INSERT, UPDATE ON TABLE "writebehind"."source" TO ROLE;`},
		},
		"dead letters that may not be deleted": {
			made + open + "GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA writebehind TO ROLE; GRANT DELETE ON writebehind.retry TO ROLE",
			v1alpha1.ReasonPrivilegeMissing,
			[]string{`GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE "writebehind"."dead_letter" TO ROLE;`},
		},
		"tables that may be used": {made + open + "GRANT ALL ON ALL TABLES IN SCHEMA writebehind TO ROLE", "", nil},
		"a table of another kind": {
			made + open + "GRANT ALL ON ALL TABLES IN SCHEMA writebehind TO ROLE; ALTER TABLE writebehind.retry DROP COLUMN due",
			v1alpha1.ReasonSchemaMismatch,
			[]string{`"writebehind"."retry" is not a flusher's table of retries`, `ALTER TABLE "writebehind"."retry" RENAME TO retry_before;`},
		},
		"a table without its key": {
			made + open + "GRANT ALL ON ALL TABLES IN SCHEMA writebehind TO ROLE; ALTER TABLE writebehind.dead_letter DROP CONSTRAINT dead_letter_pkey",
			v1alpha1.ReasonSchemaMismatch,
			[]string{"is not a flusher's table of dead letters", "ledgerSchema"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := postgrestest.New(t)
			role, url := server.NewRole(t)
			schema, ok := strings.CutPrefix(test.schema, made)
			if ok {
				ready(t, openURL(t, server.URL(), withSources))
			}
			server.Exec(t, strings.ReplaceAll(schema, "ROLE", role))
			d := openURL(t, url, withSources)
			if test.reason == "" {
				ready(t, d)
				lease(t, d.Sources(), "a")
				return
			}
			for i, words := range test.says {
				test.says[i] = strings.ReplaceAll(words, "ROLE", `"`+role+`"`)
			}
			check := d.Check(t.Context())
			failing(t, check, test.reason, test.says...)
			if test.reason == v1alpha1.ReasonPrivilegeMissing {
				for range mostRemedies {
					if check.OK {
						break
					}
					server.Exec(t, remedyIn(t, check.Message))
					check = d.Check(t.Context())
				}
				ready(t, d)
			}
		})
	}
}

func TestUnloggedTablesOfSourcesAreTold(t *testing.T) {
	t.Parallel()
	server, d, _ := openSources(t)
	server.Exec(t, "ALTER TABLE writebehind.source SET UNLOGGED; ALTER TABLE writebehind.dead_letter SET UNLOGGED")
	check, err := d.Durability(t.Context())
	want := `the table of sources "writebehind"."source" and the table of dead letters "writebehind"."dead_letter" are UNLOGGED`
	if err != nil || check.OK || !strings.Contains(check.Message, want) {
		t.Errorf("Durability = %+v, %v; want %q", check, err, want)
	}
	server.Exec(t, remedyOf(t, check))
	if check, err := d.Durability(t.Context()); err != nil || !check.OK {
		t.Errorf("After the remedy Durability = %+v, %v", check, err)
	}
}
