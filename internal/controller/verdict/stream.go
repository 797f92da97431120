// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package verdict

import (
	"fmt"
	"time"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/observe"
	"github.com/writebehind/operator/internal/flusher/config"
)

// countStream copies what the flusher reports that reads the replication stream. What nobody
// reports keeps its last value, as numbers of queues do.
func countStream(f *facts) {
	f.status.Capture = f.Cache.Spec.Capture
	if f.status.Capture == "" {
		f.status.Capture = v1alpha1.CaptureFunctions
	}
	if !f.Replicates() {
		f.status.Replication = nil
		return
	}
	stream := f.Stream()
	if stream == nil {
		return
	}
	next := &v1alpha1.ReplicationStatus{
		History: stream.History, Scanning: !stream.Scanned, ScannedKeys: stream.ScannedKeys,
		BehindBytes: new(stream.BehindBytes), BehindSeconds: new(int64(stream.BehindSeconds)),
		Notice: observe.Cut(stream.Notice, MaxMessage),
	}
	if stream.BacklogBytes > 0 {
		next.BacklogPercent = new(stream.BacklogPercent())
	}
	if was := f.status.Replication; was != nil && next.Notice == "" {
		next.Notice = was.Notice // a flusher that has just begun was told nothing yet
	}
	f.status.Replication = next
}

// nearOverrun compares what is not committed with the backlog, by the last known numbers.
func nearOverrun(f *facts) *Condition {
	r, stream := f.status.Replication, f.Stream()
	if r == nil || stream == nil || valueOf(r.BacklogPercent) < config.NearOverrun {
		return nil
	}
	taken := fmt.Sprintf("%s of the replication stream are not committed, which is %d %% of Redis' backlog of %s",
		amount(stream.BehindBytes), *r.BacklogPercent, amount(stream.BacklogBytes))
	if *r.BacklogPercent >= 100 {
		return bad(v1alpha1.ReasonNearOverrun, taken+": when a flusher has to attach again now, every key is read again, and what was deleted meanwhile "+
			"is a data-loss event; flush faster or write less, and raise "+backlogField(f))
	}
	left := ""
	if stream.BehindSeconds >= 1 {
		seconds := stream.BehindSeconds * float64(stream.BacklogBytes-stream.BehindBytes) / float64(stream.BehindBytes)
		left = fmt.Sprintf(", about %s at the present rate", time.Duration(seconds*float64(time.Second)).Round(time.Second))
	}
	return bad(v1alpha1.ReasonNearOverrun, fmt.Sprintf("%s: left are %s%s; then every key is read again, and what was deleted meanwhile is a data-loss event; "+
		"flush faster or write less, and raise %s", taken, amount(stream.BacklogBytes-stream.BehindBytes), left, backlogField(f)))
}

// backlogField is where the size of the backlog is set.
func backlogField(f *facts) string {
	if f.Managed() {
		return "spec.redis.managed.replication.backlog"
	}
	return "repl-backlog-size of Redis, at once with CONFIG SET repl-backlog-size"
}

// backlogExpires is about settings of Redis that end the history although the backlog would
// hold it.
func backlogExpires(f *facts) *Condition {
	stream := f.Stream()
	if stream == nil || stream.Backlog.OK || stream.Backlog.Reason == "" {
		return nil
	}
	return bad(stream.Backlog.Reason, stream.Backlog.Message)
}

// amount writes bytes as people read them.
func amount(bytes int64) string {
	switch {
	case bytes >= 1<<20:
		return fmt.Sprintf("%d MiB", bytes>>20)
	case bytes >= 1<<10:
		return fmt.Sprintf("%d KiB", bytes>>10)
	}
	return fmt.Sprintf("%d B", bytes)
}
