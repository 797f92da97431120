// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/writebehind/operator/test/programs"
)

const (
	// leaseTime is how long the partitions of a dead flusher stay with it.
	leaseTime = 4 * time.Second
	// handOver is how long flushers may take to share again after one has come or
	// gone, beyond the lease of one that died.
	handOver = 5 * time.Second
)

// detector makes the database itself notice two transactions that write one key at
// the same time. The lock of a key is held until its transaction ends, and a row
// takes its time, so that two would meet; a sequence counts what a rollback would
// forget.
const detector = `CREATE SEQUENCE conflicts;
	CREATE FUNCTION alone() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		IF NOT pg_try_advisory_xact_lock(coalesce(NEW.id, OLD.id)) THEN PERFORM nextval('conflicts'); END IF;
		PERFORM pg_sleep(0.002); RETURN coalesce(NEW, OLD); END $$;
	CREATE TRIGGER alone BEFORE INSERT OR DELETE ON products FOR EACH ROW EXECUTE FUNCTION alone()`

const conflicts = "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM conflicts"

// crowd is the flushers that share one queue.
type crowd struct {
	*stack
	members []*programs.Flusher
}

// shared returns nothing when every partition is held by exactly one member, in
// even parts, as the members themselves and the leases in Redis say.
func (c *crowd) shared() error {
	partitions := c.config.Mappings[0].Partitions
	least := partitions / len(c.members)
	owners := make(map[int]string)
	for _, p := range c.members {
		status := c.status(p)
		if len(status.Queues) == 0 {
			return fmt.Errorf("flusher %d tells nothing", p.PID())
		}
		held := status.Queues[0].Partitions
		if len(held) < least || len(held) > least+1 || partitions%len(c.members) == 0 && len(held) != least {
			return fmt.Errorf("one of %d holds %v", len(c.members), held)
		}
		for _, partition := range held {
			if owners[partition] != "" {
				return fmt.Errorf("partition %d is held twice", partition)
			}
			owners[partition] = status.Instance
		}
	}
	for partition := range partitions {
		lease := c.rdb.HMGet(c.t.Context(), fmt.Sprintf("wb:{products:%d}:lease", partition), "owner", "epoch").Val()
		if owners[partition] == "" || lease[0] != owners[partition] || lease[1] == "0" {
			return fmt.Errorf("partition %d is held by %q, its lease is %v", partition, owners[partition], lease)
		}
	}
	return nil
}

// sharesWithin measures how long the members take to share evenly after a change.
func (c *crowd) sharesWithin(bound time.Duration, change string, since time.Time) {
	c.t.Helper()
	c.eventually(fmt.Sprintf("%d flushers share after %s", len(c.members), change), c.shared)
	took := time.Since(since)
	c.t.Logf("%d flushers share %.1f s after %s", len(c.members), took.Seconds(), change)
	if took > bound {
		c.t.Errorf("%d flushers share %v after %s, want within %v", len(c.members), took, change, bound)
	}
}

func (c *crowd) join(n int) {
	c.t.Helper()
	var joined []*programs.Flusher
	for range n {
		joined = append(joined, c.start())
	}
	since := time.Now()
	c.members = append(c.members, joined...)
	c.sharesWithin(handOver, fmt.Sprintf("%d have joined", n), since)
}

// remove takes a member out and returns it.
func (c *crowd) remove(i int) *programs.Flusher {
	p := c.members[i]
	c.members = slices.Delete(c.members, i, i+1)
	return p
}

// TestTwoFiveAndTenFlushersShareAQueue lets members join, die and leave while a few
// hot keys are written all the time. PostgreSQL itself watches that no key is
// written by two at once, and that no row goes back.
func TestTwoFiveAndTenFlushersShareAQueue(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	c := &crowd{stack: newStack(t)}
	c.db.Exec(t, detector)
	c.db.Exec(t, historyOfProducts)
	c.config.Flush.IntervalMilliseconds = 50
	c.config.Flush.BatchSize = 5
	c.write()
	c.members = []*programs.Flusher{c.startReady()}
	w := c.startWriters(4, 8, seed, 800)
	c.join(1)
	c.join(3)
	c.join(5)

	c.remove(0).Kill()
	c.sharesWithin(leaseTime+handOver, "one has died", time.Now())
	since := time.Now()
	if code := c.stop(c.remove(0)); code != 0 {
		t.Errorf("exit code %d", code)
	}
	c.sharesWithin(handOver, "one has left", since)
	// All but two at once, by halves cleanly and not.
	since = time.Now()
	for len(c.members) > 2 {
		c.remove(0).Kill()
		c.stop(c.remove(0))
	}
	c.sharesWithin(leaseTime+handOver, "three have died and three have left", since)

	w.waitFor(2000)
	w.finish()
	if stats := c.stats(); stats.DataLoss != 0 || stats.Refused != 0 || stats.Dead != 0 || stats.Writes != stats.Flushed+stats.Coalesced {
		t.Errorf("stats are %+v", stats)
	}
	if n := c.db.Value(t, wentBack); n != "0" {
		t.Errorf("%s rows went back to an older version", n)
	}
	if n := c.db.Value(t, conflicts); n != "0" {
		t.Errorf("%s times two transactions wrote one key at once", n)
	}
	if n := c.db.Value(t, "SELECT count(*) FROM history"); len(n) < 3 {
		t.Errorf("only %s row versions in all", n)
	}
	c.seesConflicts()
}

// seesConflicts makes sure that the detector would have noticed.
func (c *crowd) seesConflicts() {
	c.t.Helper()
	tx, err := c.db.Pool().Begin(c.t.Context())
	c.must(err)
	defer func() { c.must(tx.Rollback(c.t.Context())) }()
	_, err = tx.Exec(c.t.Context(), "INSERT INTO products (id, stock) VALUES (-1, 1) ON CONFLICT (id) DO UPDATE SET stock = excluded.stock")
	c.must(err)
	_, err = c.db.Pool().Exec(c.t.Context(), "SET lock_timeout = '1ms'; INSERT INTO products (id, stock) VALUES (-1, 2) ON CONFLICT (id) DO UPDATE SET stock = excluded.stock")
	if err == nil {
		c.t.Error("two transactions could write one key")
	}
	if n := c.db.Value(c.t, conflicts); n != "1" {
		c.t.Errorf("the detector has counted %s conflicts, want 1", n)
	}
}

func TestFlushersShareTheQueueAndTakeOver(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	first, second := s.startReady(), s.startReady()
	held := func(p *programs.Flusher) int { return len(s.status(p).Queues[0].Partitions) }
	s.eventually("both hold half", func() error {
		if a, b := held(first), held(second); a != 8 || b != 8 {
			return fmt.Errorf("%d and %d", a, b)
		}
		return nil
	})
	for i := range int64(200) {
		s.set(i, `{"name":"x","price":1,"stock":1}`)
	}
	s.drained()
	if code := s.stop(first); code != 0 {
		t.Errorf("exit code %d", code)
	}
	s.eventually("the other holds all", func() error {
		if b := held(second); b != 16 {
			return fmt.Errorf("%d", b)
		}
		return nil
	})
	third := s.startReady()
	s.eventually("a newcomer gets its share", func() error {
		if b, c := held(second), held(third); b != 8 || c != 8 {
			return fmt.Errorf("%d and %d", b, c)
		}
		return nil
	})
	third.Kill()
	for i := range int64(200) {
		s.set(i, `{"name":"y","price":1,"stock":1}`)
	}
	s.drained()
	if got := s.db.Value(t, "SELECT count(*) FROM products WHERE name = 'y'"); got != "200" {
		t.Errorf("%s rows, want 200", got)
	}
}
