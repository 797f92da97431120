// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/writebehind/operator/internal/flusher/journal/journaltest"
)

// TestAFailOverToAnOlderReplicaIsADataLossEvent lets the flusher's address lead to
// a replica that has not heard of the last writes, which were flushed already. The
// flusher lives through it and holds its leases on both sides.
func TestAFailOverToAnOlderReplicaIsADataLossEvent(t *testing.T) {
	t.Parallel()
	for name, busy := range map[string]bool{"while it works": true, "while it is idle": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStack(t)
			replica := journaltest.New(t, journaltest.Config(fmt.Sprintf("replicaof 127.0.0.1 %d", s.redis.Port())))
			w := newWire()
			var switched atomic.Bool
			s.config.Redis.External.Addresses = []string{w.listen(t, func() string {
				if switched.Load() {
					return replica.Addr()
				}
				return s.redis.Addr()
			}, func() protocol { return &redisWire{} })}
			s.write()
			p := s.startReady()
			s.setAll(1, 20, 1)
			s.drained()
			next := replica.Client(t)
			s.eventually("the replica has it all", func() error {
				if n := s.rdb.Wait(t.Context(), 1, 0).Val(); n != 1 {
					return fmt.Errorf("%d replicas", n)
				}
				return nil
			})
			s.must(next.ReplicaOf(t.Context(), "NO", "ONE").Err())
			s.setAll(1, 20, 2)
			s.eventually("it is in the table", func() error {
				if got := s.db.Value(t, "SELECT count(*) FROM products WHERE stock = 2"); got != "20" {
					return fmt.Errorf("%s rows", got)
				}
				return nil
			})
			s.drained()
			if busy {
				s.hold()
				s.eventually("the interval is long", func() error {
					if r := s.status(p).Revision; r != s.config.Revision {
						return fmt.Errorf("revision %d", r)
					}
					return nil
				})
				s.setAll(100, 5, 2)
			}
			s.redis.MustKill(t)
			switched.Store(true)
			s.rdb = next
			s.release()
			s.eventually("the loss is counted", func() error {
				if n := s.stats().DataLoss; n == 0 {
					return errors.New("no data-loss event")
				}
				return nil
			})
			s.heals(p)
			s.setAll(1, 20, 3)
			s.drained()
			s.count(3, 20)
			if !strings.Contains(p.Said(), "Redis came back with older data") {
				t.Error("the log does not tell of it")
			}
		})
	}
}
