// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package snapshot

import (
	"fmt"

	"github.com/writebehind/operator/internal/controller/resources"
	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/plural"
)

// readsFor reports whether a document's numbers are those of the queues: with capture
// Replication only the flusher that reads the stream knows what is dirty.
func (s *Snapshot) readsFor(d *config.Status) bool {
	return !s.Replicates() || d.Replication != nil && d.Replication.Reads
}

// Replicates reports whether the flushers read Redis' replication stream.
func (s *Snapshot) Replicates() bool { return resources.Replicates(s.Cache) }

// Stream is the newest report of the flusher that reads the replication stream; nil where
// none does.
func (s *Snapshot) Stream() *config.Replication {
	var newest *config.Status
	for _, d := range s.Seen.Answering() {
		if s.Replicates() && s.Settled(d) && (newest == nil || d.ObservedTime.After(newest.ObservedTime)) {
			newest = d
		}
	}
	if newest == nil {
		return nil
	}
	return newest.Replication
}

// Unread is what no queue shows yet of what applications wrote, empty where there is nothing:
// what the stream has and the flushers have not carried, and keys of before the stream.
func (s *Snapshot) Unread() string {
	if why := s.unread(); why != "" || !s.Replicates() {
		return why
	}
	if behind := s.Stream().BehindBytes; behind > 0 {
		return plural.Of(behind, "byte", "bytes") + " of the replication stream are not carried yet"
	}
	return ""
}

// unread is what no flusher has come to yet. What was read of a queue shows in its depth,
// whatever is written to the others.
func (s *Snapshot) unread() string {
	if !s.Replicates() {
		return ""
	}
	stream := s.Stream()
	switch {
	case stream == nil:
		return "no flusher reads the replication stream yet"
	case !stream.Attached:
		return "Redis does not send its replication stream yet"
	case !stream.Scanned:
		return fmt.Sprintf("keys that were there before are being read (so far: %d)", stream.ScannedKeys)
	case stream.UnreadBytes > 0:
		return plural.Of(stream.UnreadBytes, "byte", "bytes") + " of the replication stream left to be read"
	}
	return ""
}
