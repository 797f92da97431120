// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replica_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	cachev1alpha1 "github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/replica"
	"github.com/writebehind/operator/internal/flusher/replica/replicatest"
)

var errNoWay = errors.New("there is no way to the server")

// way is one flusher's way to the server, which may be cut.
type way struct {
	*replicatest.Redis
	away atomic.Bool
}

// cut takes the server away from this flusher alone, which is the one that reads.
func (w *way) cut() {
	w.away.Store(true)
	w.Cut()
}

func (w *way) err() error {
	if w.away.Load() {
		return errNoWay
	}
	return nil
}

func (w *way) Attach(ctx context.Context, id string, at replica.Point) (replica.Replication, error) {
	if err := w.err(); err != nil {
		return nil, err
	}
	return w.Redis.Attach(ctx, id, at)
}

func (w *way) Read(ctx context.Context, asks []replica.Ask) (replica.Reading, error) {
	if err := w.err(); err != nil {
		return replica.Reading{}, err
	}
	return w.Redis.Read(ctx, asks)
}

func (w *way) Look(ctx context.Context) (replica.Reading, error) {
	if err := w.err(); err != nil {
		return replica.Reading{}, err
	}
	return w.Redis.Look(ctx)
}

func (w *way) Testify(ctx context.Context, key, id string, least int64) (int64, error) {
	if err := w.err(); err != nil {
		return 0, err
	}
	return w.Redis.Testify(ctx, key, id, least)
}

func (w *way) Check(ctx context.Context) config.Check {
	if w.err() != nil {
		return config.Check{Reason: cachev1alpha1.ReasonConnectionFailed, Message: errNoWay.Error()}
	}
	return w.Redis.Check(ctx)
}

// TestWhoeverReachesRedisReads has the reader reach the database alone, while another one
// stands by that reaches both.
func TestWhoeverReachesRedisReads(t *testing.T) {
	t.Parallel()
	inMachine(t, nil, func(m *machine) {
		cut := &way{Redis: m.redis}
		m.through(cut, cut)
		m.set(row, 1)
		m.has(5*time.Second, row, 1)
		second := m.start()
		time.Sleep(5 * time.Second)
		m.set(row, 2)
		cut.cut()
		m.set(row, 3)
		m.has(25*time.Second, row, 1, 2, 3)
		if s := second.queue(); s.DataLossEvents != 0 || len(s.Partitions) != 4 {
			t.Errorf("the queue is %+v", s)
		}
		// Who left it does not take it back.
		cut.away.Store(false)
		time.Sleep(time.Minute)
		if s := second.queue(); len(s.Partitions) != 4 {
			t.Errorf("the queue is %+v", s)
		}
	})
}

// TestAServerThatIsAwayIsWaitedFor: who stands by would do no better, and what is dirty is in
// the reader's memory.
func TestAServerThatIsAwayIsWaitedFor(t *testing.T) {
	t.Parallel()
	inMachine(t, nil, func(m *machine) {
		first := m.start()
		m.set(row, 1)
		m.has(5*time.Second, row, 1)
		second := m.start()
		for _, away := range []time.Duration{9 * time.Second, time.Minute, time.Hour} {
			time.Sleep(5 * time.Second)
			m.redis.Away(true)
			time.Sleep(away)
			m.redis.Away(false)
			m.set(row, 1, 2)
			m.has(20*time.Second, row, 1, 2)
			if mine, other := len(first.queue().Partitions), len(second.queue().Partitions); mine != 4 || other != 0 {
				t.Fatalf("after %v the partitions are %d of the first and %d of the second", away, mine, other)
			}
		}
	})
}

// TestANoticeOutlivesItsReader: whoever reads on tells it as well.
func TestANoticeOutlivesItsReader(t *testing.T) {
	t.Parallel()
	inMachine(t, nil, func(m *machine) {
		first := m.start()
		m.set(row, 1)
		m.has(5*time.Second, row, 1)
		m.redis.Do(func(c *replicatest.Commands) { c.Flush() })
		told := func(r *running) func() error {
			return func() error {
				if notice := r.source.Replication().Notice; !strings.Contains(notice, "FLUSHALL or FLUSHDB has emptied the database at ") {
					return fmt.Errorf("the notice is %q", notice)
				}
				return nil
			}
		}
		m.within(5*time.Second, "a notice", told(first))
		first.stop()
		m.within(10*time.Second, "the notice of the one before", told(m.start()))
	})
}
