// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package flusher

import (
	"context"
	"fmt"
	"time"

	"github.com/writebehind/operator/internal/flusher/entry"
)

// trust reports whether what stands in this Redis may be written over what stands in the
// database.
//
// An older copy of Redis that was started beside the original has the same journal, and
// its flusher gets epochs as everybody does. What tells it is the ledger, which is ahead
// of it. So may be a Redis that came back with older data, beside which there is no other:
// that one has to go on. They are told apart by what happens next: whoever is at the
// original sees that its epochs are gone though nobody has taken its leases, and begins
// new ones. So a side that is behind waits, and if its epochs are taken though it holds
// its leases, there is another side, and this one stops.
type trust struct {
	// firstBegin is when the first partition of the journal was begun, whole is set once
	// all of them have told whether they are behind.
	firstBegin time.Time
	whole      bool
	// doubted is until when nothing is flushed, zero if there is no doubt.
	doubted time.Time
	// split means that, and why, nothing is flushed from here any more.
	split string
}

// begins records that a partition is about to begin an epoch.
func (t *trust) begins(now time.Time) {
	if t.firstBegin.IsZero() {
		t.firstBegin = now
	}
}

// update finds out whether every partition has begun: one that is not behind must not be
// flushed before another one tells that this Redis is an older copy. Partitions that
// cannot begin do not hold the others up for longer than a doubt lasts.
func (t *trust) update(partitions holdings, now time.Time, longest time.Duration) {
	if t.whole || len(partitions) == 0 {
		return
	}
	if !t.firstBegin.IsZero() && now.Sub(t.firstBegin) > longest {
		t.whole = true
		return
	}
	for _, p := range partitions {
		if p.busy || p.epoch == 0 {
			return
		}
	}
	t.whole = true
}

// complete reports whether rows may be written.
func (t trust) complete() bool {
	return t.whole && t.doubted.IsZero() && t.split == ""
}

// distrust keeps the queue from being flushed until nobody else can be at work.
func (q *queue) distrust() {
	q.member.after(func(l *life) { l.trust.doubted = time.Now().Add(q.f.options.DoubtTime) })
	q.log.Warn("The ledger is ahead of this Redis, so nothing is flushed until it is known that no flusher works at another one",
		"wait", q.f.options.DoubtTime)
}

// verify looks whether the ledger still has the epochs of this flusher. Another flusher
// at this Redis takes the lease before the epoch; so one that has the epoch although the
// lease holds is at another Redis.
func (q *queue) verify(ctx context.Context) {
	now := time.Now()
	id, held := q.member.begun()
	if len(held) == 0 {
		return
	}
	q.move(held)
	epochs, err := q.f.database.Epochs(ctx, id, q.name)
	if err != nil {
		q.log.Debug("Could not read the epochs in the ledger", "error", err)
		return
	}
	for number, lease := range held {
		if epochs[number] == lease.Epoch {
			continue
		}
		holds, err := q.f.source.Holds(ctx, lease)
		if err != nil {
			return
		}
		if holds {
			q.outrun(number, lease, epochs[number] > lease.Epoch)
		}
	}
	if q.member.doubtsNoMore(now) {
		q.log.Info("No flusher works at another Redis, so this one is flushed")
	}
}

// outrun deals with an epoch that is gone from the ledger although the lease holds. A
// side that is not behind begins a new one, which tells the other; so it does where the
// ledger itself has lost the epoch. Where Sentinels elect the Redis, neither side stops for
// good: who is at the one that they do not tell leaves it within seconds, be it the one that
// is ahead, and the other one waits for that.
func (q *queue) outrun(number int, lease *entry.Term, raised bool) {
	split := ""
	if raised && !q.f.elected {
		split = fmt.Sprintf("split brain: this Redis holds an older copy of queue %s, the ledger in PostgreSQL is ahead of it, and a flusher at "+
			"another Redis with the same journal %s is at work; nothing is flushed from here, so that no row goes back to an older value: "+
			"stop this Redis and send its applications to the other one or, to go on with this one, stop the other's flushers and restart this flusher; "+
			"with mappings[].versionColumn each row also guards itself against older values",
			q.name, lease.Incarnation)
	}
	switch begins, stops := q.member.beginAgain(number, lease, split); {
	case stops:
		q.meter.setLastError(split)
		q.log.Error("Split brain: nothing is flushed from here any more", "partition", number, "journal", lease.Incarnation)
		return
	case !begins:
		return
	case raised && q.f.elected:
		q.meter.setLastError(fmt.Sprintf("a flusher at another Redis with the same journal %s has taken partition %d of queue %s in the ledger, as at a primary "+
			"that Sentinels have replaced: nothing is flushed until it has left that", lease.Incarnation, number, q.name))
		q.distrust()
	case raised:
		q.meter.setLastError(fmt.Sprintf("a flusher at another Redis with the same journal %s has taken partition %d of queue %s in the ledger: "+
			"two Redis hold one queue, stop the one that is not wanted", lease.Incarnation, number, q.name))
		q.log.Warn("A flusher at another Redis with the same journal is at work", "partition", number, "journal", lease.Incarnation)
	default:
		q.log.Warn("The ledger has lost the epoch of a partition", "partition", number)
	}
	q.wake()
}
