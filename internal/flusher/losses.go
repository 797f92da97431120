// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package flusher

import (
	"context"
	"fmt"
	"regexp"
	"time"

	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/entry"
	"github.com/writebehind/operator/internal/plural"
)

// uid is what Kubernetes calls a resource.
var uid = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// watched reports whether the operator decides the settings. It remembers the journal,
// and so notices by itself that a queue was lost while no flusher ran.
func watched(owner string) bool {
	return uid.MatchString(owner)
}

// compare records what a beat reports of the queue, and reports lost writes. The journal has
// counted them.
func (q *queue) compare(beat entry.Membership) {
	q.member.after(func(l *life) { l.seen = beat.Seen })
	if beat.LostWrites == 0 {
		return
	}
	q.meter.reportLoss(fmt.Sprintf("Redis came back with older data than it had confirmed: at least %s lost", plural.Of(beat.LostWrites, "write is", "writes are")))
}

// missed reports entries that somebody has deleted from the journal. The journal has counted
// them.
func (q *queue) missed(claim *entry.Claim) {
	if claim.Rebuilt {
		q.log.Warn("The journal was edited by hand: the order of the queue was rebuilt", "partition", claim.Term.Partition)
	}
	if claim.Gone == 0 {
		return
	}
	q.meter.reportLoss(fmt.Sprintf("%s gone from partition %d of the journal in Redis, although the order of the partition names the keys: the writes are lost",
		plural.Of(claim.Gone, "entry is", "entries are"), claim.Term.Partition))
}

// recordDrained records in the ledger that a queue which takes no more writes has been
// drained: nothing is lost when its journal goes.
func (q *queue) recordDrained(ctx context.Context) {
	_, database := q.f.usable()
	paused := q.settings.Load().State == config.StatePaused
	known := q.member.now()
	if !paused && known.ended != "" {
		q.member.after(func(l *life) { l.ended = "" })
	}
	id := known.incarnation
	due := paused && id != "" && known.ended != id
	if !due || !database || ctx.Err() != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, endTimeout)
	defer cancel()
	stats, err := q.f.source.Stats(ctx, q.name)
	if err != nil || stats.Incarnation != id || stats.State != config.StatePaused || stats.Depth+stats.Dead > 0 {
		return
	}
	if err := q.f.database.End(ctx, id, q.name); err != nil {
		q.log.Debug("Could not record that the queue is drained", "error", err)
		return
	}
	q.member.after(func(l *life) { l.ended = id })
}

// endTimeout bounds a write that matters little: without it a drained queue whose Redis is
// wiped counts as lost.
const endTimeout = 2 * time.Second
