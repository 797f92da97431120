// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package flusher

import (
	"context"
	"crypto/rand"
	"time"

	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/entry"
)

// renew opens the queue when its settings are not in Redis, keeps the leases and
// reads the queue's numbers.
func (q *queue) renew(ctx context.Context, now time.Time) error {
	current := q.settings.Load()
	settings := current.QueueSettings
	q.mu.Lock()
	opened := q.opened == current
	beatDue := now.Sub(q.lastBeat) >= q.f.options.BeatInterval
	q.mu.Unlock()
	if opened && !beatDue {
		return nil
	}
	settings.Member, settings.Home = q.f.instance, q.home(q.f.database.Home())
	if !opened {
		// Once the database was looked at in vain the queue opens: whoever writes would find
		// none.
		settings.Home.Awaited = settings.Home.ID == "" && q.f.looked.Load() == 0
		if err := q.open(ctx, settings, current); err != nil {
			return err
		}
	}
	// Where others flush the queue, nobody joins them who may be of another database, and
	// can write nothing before that is known.
	settings.Home.Awaited = !q.f.database.Known()
	beat, err := q.f.source.Beat(ctx, settings, q.f.instance, q.f.options.LeaseTime.Milliseconds(), q.lastSeen())
	if err != nil {
		return err
	}
	q.accept()
	q.compare(beat)
	if beat.Outdated {
		if err := q.f.source.Prepare(ctx); err != nil {
			return err
		}
	}
	if err := q.hold(ctx, beat, now); err != nil {
		return err
	}
	stats, err := q.f.source.Stats(ctx, q.name)
	if err != nil {
		return err
	}
	q.mu.Lock()
	q.lastBeat = now
	q.mu.Unlock()
	q.meter.read(stats, now)
	q.meter.watchDepth(stats.Depth+stats.Dead, current.marks)
	return nil
}

func (q *queue) open(ctx context.Context, settings config.QueueSettings, of *settings) error {
	if err := q.f.source.Prepare(ctx); err != nil {
		return err
	}
	opened, err := q.f.source.Open(ctx, settings, rand.Text(), q.journalOf() != "")
	if err != nil {
		return err
	}
	if opened.Partitions != settings.Mapping.Partitions {
		q.log.Warn("The queue keeps the partitions it was made with", "partitions", opened.Partitions, "configured", settings.Mapping.Partitions)
	}
	if opened.Revision != settings.Revision {
		q.log.Warn("The capture functions keep newer settings of the same owner", "revision", opened.Revision, "given", settings.Revision)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.opened = of
	q.enter(opened.Incarnation)
	return nil
}

// enter notes the life of the queue that Redis tells of. A new one makes
// everything held in the old one void. The mutex is held.
func (q *queue) enter(id string) {
	if q.journalID == id {
		return
	}
	if q.journalID != "" {
		q.f.metrics.dataLoss.WithLabelValues(q.name).Inc()
		q.log.Error("Redis has lost the queue and its entries, a new journal has begun", "before", q.journalID, "journal", id)
		q.meter.note("Redis lost the queue: journal " + q.journalID + " is gone and a new one has begun")
	}
	q.journalID = id
	q.gate.after(func(p *passage) { p.made = true })
	q.trust = trust{}
	for _, p := range q.partitions {
		p.lost = true
	}
	q.forgetLost()
}

// forgetLost drops lost partitions that no worker is at. The mutex is held.
func (q *queue) forgetLost() {
	for number, p := range q.partitions {
		if p.lost && !p.busy {
			delete(q.partitions, number)
		}
	}
}

// hold brings the partitions in line with the leases: lost ones are forgotten,
// new ones entered, and those above the share given back once they are idle.
func (q *queue) hold(ctx context.Context, beat entry.Membership, now time.Time) error {
	q.mu.Lock()
	q.enter(beat.Incarnation)
	before := make(map[int]*entry.Term)
	for number, p := range q.partitions {
		epoch, held := beat.Held[number]
		// Somebody else had the lease in between when Redis tells another epoch
		// than the one that this flusher has begun; or Redis is an older copy, which
		// the next epoch finds out from the lease before.
		if !held || (!p.busy && p.epoch != 0 && epoch != p.epoch) {
			p.lost = true
			if held { // and idle: no worker is at its lease
				before[number] = p.lease
			}
		}
	}
	q.forgetLost()
	for number := range beat.Held {
		if q.partitions[number] == nil {
			q.partitions[number] = &partition{number: number, lastSweep: now, lease: before[number]}
		}
	}
	var surplus []int
	for number, p := range q.partitions {
		if len(q.partitions)-len(surplus) > beat.Share && !p.busy {
			surplus = append(surplus, number)
		}
	}
	for _, number := range surplus {
		delete(q.partitions, number)
	}
	q.mu.Unlock()
	return q.f.source.Release(ctx, q.name, q.f.instance, surplus...)
}
