// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"time"

	"github.com/writebehind/operator/internal/flusher/config"
)

// Replication is the source's part of /status. A source that does not read has nothing to
// report.
func (s *Source) Replication() config.Replication {
	p := s.Progress()
	if !p.Reads {
		return config.Replication{}
	}
	return config.Replication{
		Reads: true, Attached: p.Attached, History: p.History,
		BehindBytes: max(0, max(p.End, p.Read)-p.Carried), BacklogBytes: p.Backlog, UnreadBytes: max(0, p.End-p.Read), BehindSeconds: s.age(time.Now()).Seconds(),
		DirtyBytes: int64(p.Bytes), Held: p.Held, Scanned: p.Scanned, ScannedKeys: p.Keys, Notice: p.Told,
	}
}

// age is that of the oldest write that is not carried.
func (s *Source) age(now time.Time) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	var oldest int64
	for _, q := range s.queues {
		for _, p := range q.partitions {
			oldest = max(oldest, p.load(now).OldestMilliseconds)
		}
	}
	return time.Duration(oldest) * time.Millisecond
}
