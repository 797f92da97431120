// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package journal_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/writebehind/operator/internal/flusher/entry"
	"github.com/writebehind/operator/internal/flusher/journal"
	"github.com/writebehind/operator/internal/flusher/journal/journaltest"
)

// beatSeen renews the leases and tells what the member has seen.
func (f *fixture) beatSeen(member string, seen *entry.Seen) entry.Membership {
	f.t.Helper()
	beat, err := f.j.Beat(f.t.Context(), settings(), member, leaseTime, *seen)
	f.check(nil, err)
	*seen = beat.Seen
	return beat
}

// TestWritesThatAreGoneAreCountedOnce puts back older keys in three ways. Of two members
// that have seen what is gone, one counts it.
func TestWritesThatAreGoneAreCountedOnce(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		seen, after int
		restart     bool
		lost        int64
	}{
		"put back by hand":                     {seen: 10, lost: 10},
		"put back by hand, and some writes":    {seen: 10, after: 5, lost: 5},
		"restarted":                            {seen: 10, restart: true, lost: 10},
		"restarted, and more writes than ever": {seen: 10, after: 30, restart: true, lost: 10},
		"restarted, and nothing is gone":       {after: 30, restart: true},
		"not restarted":                        {after: 30},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := journaltest.New(t, journaltest.Config("save 3600 1000000"))
			f := open(t, server)
			f.fill(7)
			var a, b entry.Seen
			f.beatSeen("a", &a)
			f.beatSeen("b", &b)
			f.beatSeen("a", &a)
			a.Losses = 3 // counted and forgotten with the older keys
			older := f.snapshot()
			f.check(f.rdb.Save(t.Context()).Result())
			f.fill(test.seen)
			f.beatSeen("a", &a)
			f.beatSeen("b", &b)
			a.Losses = 3
			if test.restart {
				server.MustKill(t)
				server.MustRestart(t)
			} else if test.seen > 0 {
				f.restore(older)
			}
			f.fill(test.after)
			first, second := f.beatSeen("a", &a), f.beatSeen("b", &b)
			if first.LostWrites != test.lost || second.LostWrites != 0 {
				t.Errorf("the members find %d and %d writes lost, want %d and 0", first.LostWrites, second.LostWrites, test.lost)
			}
			want := int64(0)
			if test.lost > 0 {
				want = 4
			}
			if stats := f.stats(); stats.DataLoss != want {
				t.Errorf("%d data-loss events, want %d", stats.DataLoss, want)
			}
			f.fill(5)
			if beat := f.beatSeen("a", &a); beat.LostWrites != 0 {
				t.Errorf("the next beat finds %d writes lost", beat.LostWrites)
			}
		})
	}
}

// TestALossIsNotCountedByThePartitionsOnceMore has a member notice first that writes are
// gone, and then the partition's owner that an acknowledgement is.
func TestALossIsNotCountedByThePartitionsOnceMore(t *testing.T) {
	t.Parallel()
	for name, memberFirst := range map[string]bool{"the member first": true, "the partition first": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := open(t, journaltest.New(t), onePartition)
			var seen entry.Seen
			f.beatSeen("a", &seen)
			l := f.lease("a", 0, 1)
			older := f.snapshot()
			version := f.set("product:1", "{}")
			f.acknowledge(f.claim(l, 10), entry.Done)
			f.beatSeen("a", &seen)
			f.restore(older)
			want, lost := entry.RedisWentBack, int64(0)
			if memberFirst {
				want, lost = entry.RedisWentBackAsTold, 1
				if beat := f.beatSeen("a", &seen); beat.LostWrites != 1 {
					t.Errorf("%d writes are found lost, want 1", beat.LostWrites)
				}
			}
			if verdict := f.begin(0, "a", 2, version, version); verdict != want {
				t.Errorf("the verdict is %v, want %v", verdict, want)
			}
			if beat := f.beatSeen("a", &seen); beat.LostWrites > 0 {
				t.Errorf("%d writes are found lost, %d before", beat.LostWrites, lost)
			}
			if stats := f.stats(); stats.DataLoss != 1 {
				t.Errorf("%d data-loss events, want 1", stats.DataLoss)
			}
		})
	}
}

// TestAFailOverAndBackLosesNothing lets two servers change their roles without a full
// copy: what the first one remembers of its time as a primary is out of date.
func TestAFailOverAndBackLosesNothing(t *testing.T) {
	t.Parallel()
	first := journaltest.New(t)
	second := journaltest.New(t, journaltest.Config(fmt.Sprintf("replicaof 127.0.0.1 %d", first.Port())))
	f := open(t, first)
	f.fill(5)
	var seen entry.Seen
	f.beatSeen("a", &seen)
	there := &fixture{t: t, rdb: second.Client(t)}
	there.j = journal.New(there.rdb)
	swap := func(from, to *fixture, port int) {
		t.Helper()
		for {
			replicas := from.rdb.Wait(t.Context(), 1, 0)
			if replicas.Err() != nil {
				t.Fatal(replicas.Err())
			}
			if replicas.Val() == 1 {
				break
			}
		}
		f.check(to.rdb.ReplicaOf(t.Context(), "NO", "ONE").Result())
		f.check(from.rdb.ReplicaOf(t.Context(), "127.0.0.1", fmt.Sprint(port)).Result())
	}
	swap(f, there, second.Port())
	for range 40 {
		there.set("product:1", "{}")
	}
	if beat := there.beatSeen("a", &seen); beat.LostWrites != 0 || beat.Seen.Writes != 45 {
		t.Errorf("after the fail-over the beat says %+v", beat)
	}
	for {
		if role := f.rdb.Info(t.Context(), "replication"); strings.Contains(role.Val(), "master_link_status:up") {
			break
		}
	}
	swap(there, f, first.Port())
	f.set("product:1", "{}")
	if beat := f.beatSeen("a", &seen); beat.LostWrites != 0 || beat.Seen.Writes != 46 {
		t.Errorf("after the way back the beat says %+v", beat)
	}
	if stats := f.stats(); stats.DataLoss != 0 {
		t.Errorf("%d data-loss events, want none", stats.DataLoss)
	}
}
