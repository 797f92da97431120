// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package snapshot_test

import (
	"testing"
	"time"

	"github.com/writebehind/operator/internal/controller/snapshot"
	"github.com/writebehind/operator/internal/controller/snapshot/snapshottest"
	"github.com/writebehind/operator/internal/flusher/config"
)

func TestUnread(t *testing.T) {
	streams := snapshottest.Streams
	for name, c := range map[string]struct {
		edit snapshottest.Edit
		want string
	}{
		"all is carried":   {func(*snapshot.Snapshot) {}, ""},
		"bytes are behind": {streams(func(r *config.Replication) { r.BehindBytes = 7 }), "7 bytes of the replication stream are not carried yet"},
		"bytes are unread": {streams(func(r *config.Replication) { r.UnreadBytes = 1 }), "1 byte of the replication stream left to be read"},
		"a scan":           {streams(func(r *config.Replication) { r.Scanned, r.ScannedKeys = false, 12 }), "keys that were there before are being read (so far: 12)"},
		"not attached":     {streams(func(r *config.Replication) { r.Attached = false }), "Redis does not send its replication stream yet"},
		"nobody reads":     {streams(func(r *config.Replication) { *r = config.Replication{} }), "no flusher reads the replication stream yet"},
		"nobody answers":   {snapshottest.Silent, "no flusher reads the replication stream yet"},
	} {
		s := snapshottest.Ready(snapshottest.Replicated)
		c.edit(s)
		if got := s.Unread(); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	if s := snapshottest.Ready(nil); s.Unread() != "" || s.Stream() != nil {
		t.Error("capture Functions has a stream")
	}
}

// TestAMappingThatIsRemovedDoesNotWaitForTheOthers: what they have in the stream is never all
// carried while they are written.
func TestAMappingThatIsRemovedDoesNotWaitForTheOthers(t *testing.T) {
	for name, c := range map[string]struct {
		edit    func(*config.Replication, *config.QueueStatus)
		emptied bool
	}{
		"the others are written": {func(r *config.Replication, _ *config.QueueStatus) { r.BehindBytes = 7 }, true},
		"it has something":       {func(_ *config.Replication, q *config.QueueStatus) { q.Depth = 1 }, false},
		"it may have something":  {func(r *config.Replication, _ *config.QueueStatus) { r.BehindBytes, r.UnreadBytes = 7, 1 }, false},
	} {
		s := snapshottest.Ready(snapshottest.Replicated)
		status := s.Seen.Flushers[0].Status
		status.Queues[0].Retired, status.Queues[0].State = true, config.StatePaused
		c.edit(status.Replication, &status.Queues[0])
		if emptied, _ := s.Emptied(status.Queues[0].Name); emptied != c.emptied {
			t.Errorf("%s: it is emptied: %t", name, emptied)
		}
	}
}

// TestOnlyTheReaderKnowsWhatIsDirty: the others have nothing in memory, and say so.
func TestOnlyTheReaderKnowsWhatIsDirty(t *testing.T) {
	s := snapshottest.Ready(snapshottest.Replicated)
	s.Seen.Flushers[0].Status.Queues[0].Depth = 5
	other := snapshottest.AddFlusher(s, "b")
	other.ObservedTime = snapshottest.Now.Add(time.Second)
	if q := s.Queue("products", s.Settled); q == nil || q.Depth != 5 {
		t.Errorf("the queue is %+v, want the reader's", q)
	}
	if s.NothingLeft("products", "shop-redis.ns.svc:6379") {
		t.Error("nothing is left of a queue that holds 5 entries")
	}
	*other.Replication = *s.Seen.Flushers[0].Status.Replication
	if q := s.Queue("products", s.Settled); q == nil || q.Depth != 0 {
		t.Errorf("the queue is %+v, want that of the later of two readers", q)
	}
}
