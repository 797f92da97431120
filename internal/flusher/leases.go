// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package flusher

import (
	"context"
	"crypto/rand"
	"time"

	"github.com/writebehind/operator/internal/flusher/config"
)

// renew opens the queue when its settings are not in Redis, keeps the leases and
// reads the queue's numbers.
func (q *queue) renew(ctx context.Context, now time.Time) error {
	current := q.settings.Load()
	settings := current.QueueSettings
	known := q.member.now()
	opened := known.opened == current
	if opened && now.Sub(known.lastBeat) < q.f.options.BeatInterval {
		return nil
	}
	settings.Member, settings.Home = q.f.instance, q.home(q.f.database.Home())
	if !opened {
		// The queue opens once a check of the database has failed: applications would find
		// no queue otherwise.
		settings.Home.Awaited = settings.Home.ID == "" && q.f.looked.Load() == 0
		if err := q.open(ctx, settings, current); err != nil {
			return err
		}
	}
	// While others flush the queue, a flusher whose database may be another one does not
	// join them: it can write nothing before that is known.
	settings.Home.Awaited = !q.f.database.Known()
	seen := known.seen
	seen.Losses = q.meter.lossesOf(seen)
	beat, err := q.f.source.Beat(ctx, settings, q.f.instance, q.f.options.LeaseTime.Milliseconds(), seen)
	if err != nil {
		return err
	}
	// The queue is this config's.
	q.backoff.succeeded()
	q.gate.after(func(p *passage) { p.refused = config.Check{} })
	q.compare(beat)
	if beat.Outdated {
		if err := q.f.source.Prepare(ctx); err != nil {
			return err
		}
	}
	q.enter(beat.Incarnation)
	if err := q.f.source.Release(ctx, q.name, q.f.instance, q.member.follow(beat, now)...); err != nil {
		return err
	}
	if beat.StandsBy {
		q.member.after(func(l *life) { l.lastBeat = now })
		return nil
	}
	stats, err := q.f.source.Stats(ctx, q.name)
	if err != nil {
		return err
	}
	q.member.after(func(l *life) { l.lastBeat = now })
	q.meter.read(stats, now)
	q.meter.watchDepth(stats.Depth+stats.Dead, current.marks)
	return nil
}

func (q *queue) open(ctx context.Context, settings config.QueueSettings, of *settings) error {
	if err := q.f.source.Prepare(ctx); err != nil {
		return err
	}
	opened, err := q.f.source.Open(ctx, settings, rand.Text(), q.member.now().incarnation != "")
	if err != nil {
		return err
	}
	if opened.Partitions != settings.Mapping.Partitions {
		q.log.Warn("The queue keeps the partitions it was made with", "partitions", opened.Partitions, "configured", settings.Mapping.Partitions)
	}
	if opened.Revision != settings.Revision {
		q.log.Warn("The capture functions keep newer settings of the same owner", "revision", opened.Revision, "given", settings.Revision)
	}
	q.member.after(func(l *life) { l.opened = of })
	q.enter(opened.Incarnation)
	return nil
}

// enter records the life of the queue that Redis reports: of a stream, the history.
func (q *queue) enter(id string) {
	before := q.member.enter(id)
	if before == id {
		return
	}
	if before != "" {
		q.f.metrics.dataLoss.WithLabelValues(q.name).Inc()
		if _, ok := q.f.source.(Streamed); ok {
			q.log.Error("The replication stream of Redis did not go on where it was read: all keys are read again, deletions that were not read are not made",
				"before", before, "history", id)
			q.meter.setLastError("the replication stream of Redis did not go on where it was read: all keys are read again, deletions that were not read are not made")
		} else {
			q.log.Error("Redis has lost the queue with its entries: a new journal has begun", "before", before, "journal", id)
			q.meter.setLastError("Redis lost the queue: journal " + before + " is gone and a new one has begun")
		}
	}
	q.gate.after(func(p *passage) { p.made = true })
}
