// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/entry"
	"github.com/writebehind/operator/internal/flusher/postgres/postgrestest"
)

func TestAPoolerInStatementModeIsNeverReady(t *testing.T) {
	t.Parallel()
	server := postgrestest.New(t)
	d := openURL(t, server.NewPooler(t, "statement").URL())
	for range 3 {
		failing(t, d.Check(t.Context()), v1alpha1.ReasonConnectionFailed, "transaction blocks not allowed in statement pooling mode", "pool_mode to transaction or session")
	}
	_, err := d.Acquire(t.Context(), "j", "q", 0)
	if err == nil || !strings.Contains(err.Error(), "transaction blocks not allowed in statement pooling mode") {
		t.Errorf("Acquire = %v; want the pooler's words", err)
	}
}

func TestAPoolersWordsAreShown(t *testing.T) {
	t.Parallel()
	server := postgrestest.New(t)
	url := server.NewPooler(t, "transaction").URL()
	failing(t, openURL(t, url+"&options=-c%20work_mem%3D4MB").Check(t.Context()), v1alpha1.ReasonConnectionFailed, "unsupported startup parameter")
	check := openURL(t, strings.Replace(url, "/"+server.Name(), "/none", 1)).Check(t.Context())
	if check.OK || !strings.Contains(check.Message, "in its own words") || strings.Contains(check.Message, "anything") {
		t.Errorf("Check = %s: %s; want the pooler's words", check.Reason, check.Message)
	}
}

// What a pooler cannot reach it tells in words of its own, now and then; in between it
// lets its clients wait. TLS has no part in it, whatever the URL leaves open.
func TestWhatAPoolerCannotReachHasOneMessage(t *testing.T) {
	t.Parallel()
	server := postgrestest.New(t)
	pooler := server.NewPooler(t, "transaction")
	for database, says := range map[string]string{
		postgrestest.PoolerMissing: `database \"missing\" does not exist`, postgrestest.PoolerAway: "", postgrestest.PoolerStranger: "nobody_here",
	} {
		for _, mode := range []string{"", "?sslmode=prefer", "?sslmode=allow", "?sslmode=disable"} {
			t.Run(database+mode, func(t *testing.T) {
				t.Parallel()
				d := openURL(t, strings.Replace(strings.TrimSuffix(pooler.URL(), "?sslmode=disable"), "/"+server.Name(), "/"+database, 1)+mode)
				heard := false
				for range 5 {
					check := d.Check(t.Context())
					own := strings.Contains(check.Message, "in its own words") && strings.Contains(check.Message, says)
					if !own && (heard || check.OK || !strings.Contains(check.Message, "a pooler may wait for its server")) {
						t.Fatalf("Check = %+v; want the pooler's words", check)
					}
					heard = heard || own
				}
				if says != "" && !heard {
					t.Error("the pooler's words are never told")
				}
			})
		}
	}
}

// The pooler is killed, and the sessions behind it ended, while batches are under way.
// Every batch is written in the end, once, or is known not to be.
func TestATransactionPoolerThatIsKilledLosesNothing(t *testing.T) {
	t.Parallel()
	server := postgrestest.New(t)
	server.Exec(t, "CREATE TABLE items (id bigint PRIMARY KEY, n bigint, tags text[])")
	pooler := server.NewPooler(t, "transaction")
	d := openURL(t, pooler.URL())
	ready(t, d)
	table := readTable(t, d, mapping("items"))
	const rounds, rows = 12, 50
	for round := range rounds {
		var pairs []string
		for i := range rows {
			pairs = append(pairs, fmt.Sprint(i), fmt.Sprintf(`{"n":%d,"tags":["a",null]}`, round))
		}
		hit := make(chan struct{})
		go func() {
			defer close(hit)
			switch round % 3 {
			case 0:
				server.Exec(t, "SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'writebehind%' AND pid <> pg_catalog.pg_backend_pid()")
			case 1:
				pooler.Kill()
			}
		}()
		written, last := false, error(nil)
		for attempt := 0; !written; attempt++ {
			if attempt == 100 {
				t.Fatalf("round %d: the batch is never written: %v", round, last)
			}
			// After an error that is not settled the partition is taken again.
			l, err := d.Acquire(t.Context(), "j1", "products", 0)
			last = err
			if err != nil {
				if e, ok := errors.AsType[*Error](err); !ok || e.Kind != entry.Transient && e.Kind != entry.Contention {
					t.Fatalf("Acquire = %v; want a fault of the way", err)
				}
				<-hit
				pooler.Revive(t)
				continue
			}
			at := entry.Place{Shard: entry.Shard{Incarnation: "j1", Queue: "products", Partition: 0}, Epoch: l.Epoch, Flush: l.Flush + 1, Version: int64(round + 1)}
			outcome, err := d.Write(t.Context(), table, at, batch(t, table, pairs...))
			written = err == nil && outcome == entry.Committed
			last = err
			if e, ok := errors.AsType[*Error](err); err != nil && (!ok || e.Kind != entry.Transient && e.Kind != entry.Contention) {
				t.Fatalf("Write = %v; want a fault of the way", err)
			}
		}
		<-hit
		pooler.Revive(t)
		equal(t, server, "SELECT count(*), min(n), max(n), count(*) FILTER (WHERE tags[2] IS NULL) FROM items", fmt.Sprintf("%d|%d|%[2]d|%[1]d", rows, round))
	}
}
