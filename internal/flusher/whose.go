// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package flusher

import (
	"context"
	"errors"
	"time"

	cachev1alpha1 "github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/entry"
)

// home identifies a database among the queue's members.
func (q *queue) home(h entry.Home) entry.Home {
	return entry.Home{ID: h.ID, Name: h.Name, Owner: q.settings.Load().Owner, Revision: q.f.options.URLRevision, Since: q.f.database.Since()}
}

// move makes partitions begin again whose epochs are another database's than the one that
// the URL leads to now, and takes them out of held. The beat comes first, which tells
// whether the queue may move.
func (q *queue) move(held map[int]*entry.Term) {
	at := q.f.database.Home()
	for number, lease := range held {
		if at.ID == "" || lease.Home.ID == "" || lease.Home.ID == at.ID {
			continue
		}
		delete(held, number)
		if begins, _ := q.member.beginAgain(number, lease, ""); begins {
			q.log.Info("The URL leads to another database", "partition", number, "before", lease.Home.Name, "database", at.Name)
			q.wake()
		}
	}
}

// refuse records an error that says that the queue is not this config's, or not of
// its shape: Redis is well, and this queue alone has to wait, to forget what it held
// and to leave that to the others at once.
func (q *queue) refuse(ctx context.Context, err error) bool {
	check := q.f.source.Explain(err)
	if check.Reason != cachev1alpha1.ReasonJournalMismatch && check.Reason != cachev1alpha1.ReasonQueueConflict {
		return false
	}
	q.backoff.failed(time.Now())
	if !q.gate.now().isRefused() {
		// What was held is given back, and shown by whoever takes it.
		q.meter.observe(nil)
		q.eager.Store(false)
	}
	q.gate.after(func(p *passage) { p.refused = check })
	q.member.leave()
	q.leave(ctx)
	q.onlook(ctx, 0)
	return true
}

// onlook reads the numbers of a queue that is refused, as they are in Redis: it may hold
// entries that nobody flushes, and zeros would say that all is well. It does so once in an
// interval.
//
// What somebody holds, they show. What nobody holds is shown by one of those that look on,
// the queue's onlooker, so that a sum over all flushers has each partition once.
func (q *queue) onlook(ctx context.Context, interval time.Duration) {
	now := time.Now()
	if !q.meter.onlookDue(now, interval) {
		return
	}
	stats, err := q.f.source.Stats(ctx, q.name)
	if err == nil || errors.Is(err, entry.ErrNoQueue) {
		q.meter.read(stats, time.Time{})
	}
	var loads entry.Loads
	shows := false
	if err == nil {
		shows, err = q.f.source.Onlooks(ctx, q.name, q.f.instance, q.f.options.LeaseTime)
	}
	if err == nil && shows {
		var free []int
		if free, err = q.f.source.Free(ctx, q.name); err == nil {
			loads, err = q.f.source.Poll(ctx, q.name, free)
		}
	}
	if err != nil && !errors.Is(err, entry.ErrNoQueue) {
		// What is shown stands for a lease's time.
		q.log.Debug("Could not read the numbers of a queue that this flusher may not flush", "error", err)
		return
	}
	q.meter.show(loads.Of, now)
}
