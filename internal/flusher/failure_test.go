// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package flusher

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/writebehind/operator/internal/flusher/entry"
)

func TestEveryKindOfFaultHasAReaction(t *testing.T) {
	t.Parallel()
	kinds := 0
	for kind := entry.Transient; kind.String() != ""; kind++ {
		if _, ok := reactions[kind]; !ok {
			t.Errorf("%v has none", kind)
		}
		kinds++
	}
	if kinds != len(reactions) || kinds == 0 {
		t.Errorf("%d kinds have %d reactions", kinds, len(reactions))
	}
}

func TestWhatAFaultSaysBesideItsKindComesFirst(t *testing.T) {
	t.Parallel()
	// What is asked of a fault: sent again, in parts, the same while a row is searched, one
	// row's, a control decides, counts for the circuit, waits for others, plain.
	type answers struct{ again, parts, searching, ofOneRow, controls, counts, others, plain bool }
	for name, c := range map[string]struct {
		fault entry.Fault
		want  answers
	}{
		"a server that is away":          {entry.Fault{Kind: entry.Transient}, answers{counts: true}},
		"another fault at the rows":      {entry.Fault{Kind: entry.Transient, AtRows: true}, answers{searching: true, counts: true}},
		"a session that has ended there": {entry.Fault{Kind: entry.Transient, AtRows: true, SessionEnded: true}, answers{counts: true}},
		"a trigger that calls it so":     {entry.Fault{Kind: entry.Transient, AtRows: true, Raised: true}, answers{searching: true, controls: true}},
		"a deadlock":                     {entry.Fault{Kind: entry.Contention, AtRows: true}, answers{again: true, searching: true}},
		"one that may yet commit":        {entry.Fault{Kind: entry.Contention, AtRows: true, Unsettled: true}, answers{}},
		"a table that is locked":         {entry.Fault{Kind: entry.Locked}, answers{}},
		"a time-out":                     {entry.Fault{Kind: entry.TooHeavy, SQLSTATE: "57014"}, answers{parts: true, searching: true, controls: true, counts: true}},
		"a full disk":                    {entry.Fault{Kind: entry.TooHeavy, SQLSTATE: "53100"}, answers{parts: true, searching: true, controls: true, counts: true}},
		"a batch with too much of it":    {entry.Fault{Kind: entry.TooHeavy, SQLSTATE: "54000"}, answers{parts: true, searching: true, controls: true}},
		"a time-out that is raised":      {entry.Fault{Kind: entry.TooHeavy, SQLSTATE: "57014", Raised: true}, answers{parts: true, searching: true, controls: true}},
		"a time-out that may yet commit": {entry.Fault{Kind: entry.TooHeavy, SQLSTATE: "57014", Unsettled: true}, answers{controls: true, counts: true}},
		"a row that refers to another":   {entry.Fault{Kind: entry.Order, SQLSTATE: "23503"}, answers{parts: true, searching: true, ofOneRow: true, others: true}},
		"a unique value":                 {entry.Fault{Kind: entry.Row, SQLSTATE: "23505"}, answers{parts: true, searching: true, ofOneRow: true, others: true}},
		"a value that does not fit":      {entry.Fault{Kind: entry.Row, SQLSTATE: "22P02"}, answers{parts: true, searching: true, ofOneRow: true, plain: true}},
		"a CHECK":                        {entry.Fault{Kind: entry.Row, SQLSTATE: "23514"}, answers{parts: true, searching: true, ofOneRow: true, plain: true}},
		"one that a trigger raises":      {entry.Fault{Kind: entry.Row, SQLSTATE: "23514", Raised: true}, answers{parts: true, searching: true, ofOneRow: true, controls: true}},
		"a trigger's own word":           {entry.Fault{Kind: entry.Row, SQLSTATE: "P0001", Raised: true}, answers{parts: true, searching: true, ofOneRow: true, controls: true}},
		"a column that is not there":     {entry.Fault{Kind: entry.Mapping, SQLSTATE: "42703"}, answers{}},
	} {
		f := &c.fault
		got := answers{
			again: isSentAgain(f, 1), parts: inParts(f, false), searching: inParts(f, true), ofOneRow: ofOneRow(f),
			controls: controls(f), counts: databaseFails(fmt.Errorf("write: %w", f)), others: movesOn(f), plain: plain(f),
		}
		if got != c.want {
			t.Errorf("%s: got %+v, want %+v", name, got, c.want)
		}
	}
	deadlock := &entry.Fault{Kind: entry.Contention}
	if !isSentAgain(deadlock, 4) || isSentAgain(deadlock, 5) {
		t.Error("a deadlock is not tried five times")
	}
}

// TestWhatBecomesOfAPartitionWhoseWorkFailed, of its queue, and of the servers.
func TestWhatBecomesOfAPartitionWhoseWorkFailed(t *testing.T) {
	t.Parallel()
	type comes struct{ lost, locked, read, databaseRests, redisRests bool }
	for name, c := range map[string]struct {
		err  error
		want comes
	}{
		"the circuit is open":         {gobreaker.ErrOpenState, comes{}},
		"the circuit has its trial":   {gobreaker.ErrTooManyRequests, comes{}},
		"the lease is gone":           {entry.ErrLeaseLost, comes{lost: true}},
		"the claim is void":           {entry.ErrClaimVoid, comes{lost: true}},
		"the epoch is another's":      {errFenced, comes{lost: true}},
		"the queue is gone":           {entry.ErrNoQueue, comes{lost: true}},
		"the functions are gone":      {entry.ErrNoFunctions, comes{lost: true}},
		"the journal is older":        {entry.ErrStep, comes{}},
		"the table fits no longer":    {&entry.Misfit{Reason: "SchemaMismatch"}, comes{read: true}},
		"no batch fits":               {&entry.Fault{Kind: entry.Mapping, Reason: "SchemaMismatch"}, comes{read: true}},
		"the table is locked":         {&entry.Fault{Kind: entry.Locked}, comes{locked: true}},
		"the database is away":        {&entry.Fault{Kind: entry.Transient}, comes{databaseRests: true}},
		"a session has ended":         {&entry.Fault{Kind: entry.Transient, SessionEnded: true}, comes{}},
		"deadlocks, again and again":  {&entry.Fault{Kind: entry.Contention}, comes{databaseRests: true}},
		"a row that nothing explains": {&entry.Fault{Kind: entry.Row}, comes{databaseRests: true}},
		"Redis is away":               {errNobody, comes{redisRests: true}},
	} {
		synctest.Test(t, func(t *testing.T) {
			f := alone(secretless(), Options{})
			q := f.queues[0]
			q.fits()
			p := &partition{number: 1, epoch: 5, lease: under(5)}
			q.failed(t.Context(), p, fmt.Errorf("write partition 1: %w", c.err))
			now, passage := time.Now(), q.gate.now()
			got := comes{p.leaseLost, now.Before(passage.locked), passage.table == nil, f.databaseBackoff.waits(now), f.redisBackoff.waits(now)}
			if got != c.want || p.epoch != 0 {
				t.Errorf("%s: it comes to %+v and epoch %d, want %+v and a new one", name, got, p.epoch, c.want)
			}
		})
	}
	// Work that the end has cut off has shown nothing.
	over, cancel := context.WithCancel(t.Context())
	cancel()
	f := alone(secretless(), Options{})
	p := &partition{epoch: 5}
	f.queues[0].failed(over, p, errors.New("cancelled"))
	if p.epoch != 5 || f.redisBackoff.waits(time.Now()) {
		t.Errorf("work that was cut off comes to %+v", p)
	}
}
