// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package flusher

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/writebehind/operator/internal/flusher/entry"
)

// errFenced says that another flusher has taken the partition over in the ledger.
var errFenced = errors.New("another flusher holds the partition")

// begin enters a new epoch of a partition just leased: first in the ledger, which
// fences every predecessor, then in the journal, which makes its claim void.
func (q *queue) begin(ctx context.Context, p *partition) error {
	id := q.member.now().incarnation
	p.found.begins = true
	ledger, err := q.f.database.Acquire(ctx, id, q.name, p.number)
	if err != nil {
		return fmt.Errorf("take over partition %d: %w", p.number, err)
	}
	lease := &entry.Term{
		Shard:  entry.Shard{Queue: q.name, Partition: p.number, Incarnation: id},
		Member: q.f.instance, Epoch: ledger.Epoch, Home: q.home(ledger.Home),
	}
	agreement, err := q.f.source.Begin(ctx, lease, ledger.Queue, ledger.Shard, p.lease, ledger.Earlier)
	if err != nil {
		return fmt.Errorf("take over partition %d: %w", p.number, err)
	}
	q.reportLoss(p, agreement)
	p.redisBehind = agreement == entry.RedisWentBack || agreement == entry.RedisWentBackAsTold
	p.epoch, p.flush, p.lease = ledger.Epoch, ledger.Flush, lease
	p.found.began = true
	q.log.Debug("Partition is taken over", "partition", p.number, "epoch", p.epoch, "flush", p.flush)
	return nil
}

// reportLoss tells of data that one of the servers has lost. The journal has counted it
// already.
func (q *queue) reportLoss(p *partition, agreement entry.Agreement) {
	var text string
	switch agreement {
	case entry.RedisWentBack:
		text = "Redis came back with older data than it had confirmed: writes since then are lost"
	case entry.RedisWentBackAsTold:
		q.distrust()
		return
	case entry.EarlierLifeLost:
		text = "Redis lost the queue while no flusher ran: the ledger records rows that were flushed before that, and what was queued after them is lost"
	case entry.DatabaseWentBack:
		text = "PostgreSQL came back with older data than it had confirmed: rows flushed since then are lost"
	default:
		return
	}
	if agreement == entry.RedisWentBack {
		q.distrust()
	}
	q.meter.reportLoss(text, "partition", p.number)
}

// sweepBatches is how many batches one sweep may take: then the slot is free for
// whoever has waited longest.
const sweepBatches = 8

// sweep flushes the first target entries of a partition, batch by batch. Entries
// that come in meanwhile wait for the next one: a key that is written all the time
// must not keep its partition busy for ever. load is what waited in the partition.
func (q *queue) sweep(ctx context.Context, p *partition, target int64, load entry.Load) error {
	fresh, retriesAlone := load.Fresh > 0, target <= min(load.Due, retriesAtOnce)
	trial := q.f.breaker.state() == gobreaker.StateHalfOpen
	if trial {
		// The first look after the circuit was open asks for nothing but an answer.
		if check := q.f.database.Check(ctx); !check.OK {
			return &entry.Fault{Kind: entry.Transient, Err: errors.New(check.Message)}
		}
	}
	room := q.f.memory.share()
	defer room.giveBack()
	for batch := 0; batch < sweepBatches && target > 0 && ctx.Err() == nil; batch++ {
		settings, passage := q.settings.Load(), q.gate.now()
		policy, prefix := settings.policy, settings.Mapping.KeyPrefix
		doubtful := trial || passage.paused()
		if policy.suspend || passage.table == nil {
			return nil
		}
		p.retryNext = !p.retryNext
		most := policy.bounds(target, fresh, doubtful, p.retryNext)
		if few := p.doubt.most(); few > 0 {
			most.Entries = min(most.Entries, few)
			if fresh {
				most.Retries = 0
			}
		}
		most.Bytes, most.Room = p.appetite.bound(), room
		started := time.Now()
		claim, err := q.f.source.Claim(ctx, p.lease, prefix, most)
		if claim != nil {
			// Also of one that failed at a later page: nobody is told once more.
			q.missed(claim)
		}
		if err != nil {
			p.appetite.failed(err, entry.PageBytes)
			return err
		}
		if len(claim.Entries) == 0 {
			return nil
		}
		f, err := q.carry(ctx, p, passage.table, claim, policy, prefix)
		if errors.Is(err, errAltered) {
			// What got through is not acknowledged, and no epoch writes it twice.
			p.epoch = 0
			return nil
		}
		if err != nil {
			p.stumbled(err, len(claim.Entries))
			p.appetite.failed(err, claim.Bytes())
			return err
		}
		p.doubt.passed(len(claim.Entries) - f.yielded)
		receipt, err := q.f.source.Acknowledge(ctx, claim, f.settlements)
		if err != nil {
			p.appetite.failed(err, claim.Bytes())
			return err
		}
		p.appetite.passed()
		if !retriesAlone {
			// Rows that are tried again and again are no reason for the others to wait.
			p.lastFlush = time.Now()
		}
		q.meter.flushed(f, receipt, started)
		if f.ended != nil {
			// What was sent on the session that has ended may yet commit.
			return f.ended
		}
		target -= int64(len(claim.Entries))
		if doubtful {
			return nil
		}
	}
	return nil
}

// pause stops the flow of a mapping whose rows are all refused: that is not the
// rows' fault, and nothing is dead-lettered because of it. A few rows are tried
// once an interval, or once a minute where that is longer. needs is what has to be shown
// until it flows again, few says that they are too few to know that the mapping is at fault.
// Before that the catalogue is asked once more: it may say in full why every row is
// refused, as that no policy lets any through.
func (f *flush) pause(ctx context.Context, cause *entry.Fault, needs entry.Proof, few bool) {
	q := f.q
	if !q.gate.now().paused() {
		_, err := q.f.database.Table(ctx, q.settings.Load().Mapping)
		if misfit, ok := errors.AsType[*entry.Misfit](err); ok {
			q.meter.setLastError(misfit.Message)
			q.misfit(misfit)
			return
		}
	}
	o := obstacle{cause: cause, until: time.Now().Add(f.policy.retryAfter(0)), needs: needs, few: few}
	var first bool
	var text string
	q.gate.after(func(p *passage) {
		first = p.pauses(q.name, o)
		text = p.check.Message
	})
	if first {
		q.meter.setLastError(text)
	}
}

// resume lets a paused mapping flow again, after a row got through or when none waits.
func (q *queue) resume() {
	var ends bool
	q.gate.after(func(p *passage) { ends = p.resumes() })
	if ends {
		q.evidence.restart()
	}
}
