// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"errors"
	"strings"
	"testing"

	"github.com/writebehind/operator/internal/flusher/entry"
	"github.com/writebehind/operator/internal/flusher/postgres/postgrestest"
)

// A commit that waits for a standby which never comes is not settled by somebody who
// ends the wait, in whatever way and under whatever setting of the role.
func TestACommitThatNoStandbyConfirmed(t *testing.T) {
	t.Parallel()
	server := postgrestest.NewServer(t, postgrestest.Options{}).NewDatabase(t)
	server.Exec(t, itemSchema)
	server.Exec(t, "ALTER DATABASE "+server.Name()+" SET client_min_messages = error")
	d := openURL(t, server.URL())
	o := own(t, d, readTable(t, d, mapping("items")), 0)
	server.Exec(t, "ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
	server.Exec(t, "SELECT pg_reload_conf()")
	t.Cleanup(func() {
		// What drops the database would wait too.
		server.Exec(t, "ALTER SYSTEM RESET synchronous_standby_names")
		server.Exec(t, "SELECT pg_reload_conf()")
	})
	// The setting is in force for a commit once the checkpointer has seen it.
	waits := func() bool {
		return server.Value(t, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'SyncRep'") != "0"
	}
	probe := make(chan struct{}, 1)
	commit := func() {
		go func() {
			_, _ = server.Pool().Exec(t.Context(), "COMMENT ON TABLE items IS 'written'")
			probe <- struct{}{}
		}()
	}
	commit()
	for !waits() && t.Context().Err() == nil {
		select {
		case <-probe:
			commit()
		default:
		}
	}
	for ended := false; !ended; {
		server.Exec(t, "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'SyncRep'")
		select {
		case <-probe:
			ended = true
		default:
		}
	}
	for _, end := range []string{"pg_cancel_backend", "pg_terminate_backend"} {
		for name, act := range map[string]func() error{
			"Write": func() error {
				_, err := d.Write(t.Context(), o.table, o.next(1), batch(t, o.table, "1", `{"a":"x"}`))
				return err
			},
			"Acquire": func() error {
				_, err := d.Acquire(t.Context(), "j9", "orders", 3)
				return err
			},
		} {
			done := make(chan error, 1)
			go func() { done <- act() }()
			var err error
			for ended := false; !ended; {
				select {
				case err = <-done:
					ended = true
				default:
					server.Exec(t, "SELECT "+end+"(pid) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'SyncRep'")
				}
			}
			e, ok := errors.AsType[*Error](err)
			if !ok || e.Kind != entry.Transient || !e.Unsettled || !strings.Contains(e.Error(), "synchronous_standby_names") {
				t.Errorf("%s after %s = %v; want it to be unsettled, with the standby named", name, end, err)
			}
		}
	}
}
