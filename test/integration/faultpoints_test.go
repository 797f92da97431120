// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"fmt"
	"sync"
	"testing"
)

// faultPoints are the places between a claim and its acknowledgement, in their
// order. Each is crossed with a flusher that is killed there and with a connection
// that ends there, while nobody writes and while what is claimed is written again.
var faultPoints = map[string]point{
	"claim-not-sent":               {request: "claim"},
	"claim-answer-lost":            {answer: "claim"},
	"claim-answered":               {answer: "claim", delivered: true},
	"batch-not-sent":               {request: "begin"},
	"batch-begun":                  {request: "move"},
	"batch-half-sent":              {request: "values", half: true},
	"batch-sent-but-for-its-tail":  {request: "tail"},
	"ledger-moved":                 {request: "rows", answer: "moved"},
	"rows-written":                 {request: "commit", answer: "written"},
	"commit-run-but-not-asked-for": {request: "sync", answer: "committed"},
	"commit-answer-lost":           {answer: "committed"},
	"commit-answered":              {answer: "committed", delivered: true},
	"acknowledgement-not-sent":     {request: "ack"},
	"acknowledgement-answer-lost":  {answer: "ack"},
	"acknowledgement-answered":     {answer: "ack", delivered: true},
}

// takeOverPoints are those of a flusher that takes over from one that died between
// its commit and its acknowledgement.
var takeOverPoints = map[string]point{
	"lease-not-asked-for":        {request: "beat"},
	"lease-answer-lost":          {answer: "beat"},
	"epoch-not-raised":           {request: "raise"},
	"epoch-raised-answer-lost":   {answer: "raised"},
	"epoch-commit-not-sent":      {request: "raise-commit"},
	"epoch-commit-answer-lost":   {answer: "raise-committed"},
	"epoch-answered":             {answer: "raise-committed", delivered: true},
	"epoch-not-entered":          {request: "enter"},
	"epoch-entered-answer-lost":  {answer: "enter"},
	"epoch-entered-and-answered": {answer: "enter", delivered: true},
}

// refusalPoints are those of a claim with a row that the database refuses: the
// server's words point at it, those behind it are written and then those before it,
// and it waits; then it is refused alone, and dies.
var refusalPoints = map[string]point{
	"refusal-answer-lost":                      {answer: "refused"},
	"rest-not-sent":                            {request: "begin", nth: 1},
	"commit-of-the-rest-answer-lost":           {answer: "committed"},
	"commit-of-those-before-answer-lost":       {answer: "committed", nth: 1},
	"commit-of-those-before-answered":          {answer: "committed", nth: 1, delivered: true},
	"acknowledgement-of-a-refusal-not-sent":    {request: "ack-refused"},
	"acknowledgement-of-a-refusal-answer-lost": {answer: "ack-refused"},
	"acknowledgement-of-a-refusal-answered":    {answer: "ack-refused", delivered: true},
	"acknowledgement-of-a-death-not-sent":      {request: "ack-dead"},
	"acknowledgement-of-a-death-answer-lost":   {answer: "ack-dead"},
	"acknowledgement-of-a-death-answered":      {answer: "ack-dead", delivered: true},
}

// misfit is which of a case's keys holds what the table refuses.
const misfit = 5

func oneMisfit(i int64) int64 {
	if i == misfit {
		return -1
	}
	return 1
}

// fault is one way to cross a point.
type fault struct{ killed, rewritten bool }

var faults = map[string]fault{
	"kill/quiet": {true, false}, "kill/rewritten": {true, true}, "error/quiet": {false, false}, "error/rewritten": {false, true},
}

// happen crosses the point, and lets the flusher or its successor go on.
func (r *rehearsal) happen(f fault, p *point, meanwhile func()) {
	r.t.Helper()
	r.at(p)
	if f.rewritten {
		meanwhile()
	}
	if f.killed {
		r.die()
		r.begin()
		return
	}
	r.wire.cutPoint(p)
}

// again is what a key holds after it was written again at the point: the first is
// newer, the second deleted.
func (f fault) again(i int64) int64 {
	switch {
	case f.rewritten && i == 0:
		return 2
	case f.rewritten && i == 1:
		return 0
	}
	return 1
}

func (r *rehearsal) rewrite(first int64) func() {
	return func() {
		r.set(first, document(2))
		r.del(first + 1)
	}
}

func (f fault) writes() int64 {
	if f.rewritten {
		return keysEach + 2
	}
	return keysEach
}

// atOnce is how many points are crossed side by side: they mostly wait for leases
// to run out.
const atOnce = 5

// cross runs every fault at every point, the faults of one point one after the
// other on one stack.
func cross(t *testing.T, points map[string]point, run func(*rehearsal, point, fault)) {
	var all sync.WaitGroup
	places := make(chan struct{}, atOnce)
	for name, at := range points {
		places <- struct{}{}
		all.Go(func() {
			defer func() { <-places }()
			t.Run(name, func(t *testing.T) {
				r := rehearse(t)
				r.begin()
				r.isReady()
				for _, name := range []string{"error/quiet", "error/rewritten", "kill/quiet", "kill/rewritten"} {
					t.Run(name, func(t *testing.T) {
						r.t = t
						run(r, at, faults[name])
					})
				}
				r.t = t
			})
		})
	}
	all.Wait()
}

func TestEveryPointBetweenClaimAndAcknowledge(t *testing.T) {
	t.Parallel()
	cross(t, faultPoints, func(r *rehearsal, at point, f fault) {
		before := r.books()
		p := r.wire.arm(at)
		first := r.writeAll(fresh)
		r.happen(f, p, r.rewrite(first))
		r.settled(p, before, f.writes())
		r.rows(first, f.again)
		r.noDeadLetters()
	})
}

// TestEveryPointOfATakeOver lets a flusher die after its commit and before its
// acknowledgement, and the one that takes over fail on its way.
func TestEveryPointOfATakeOver(t *testing.T) {
	t.Parallel()
	cross(t, takeOverPoints, func(r *rehearsal, at point, f fault) {
		before := r.books()
		committed := r.wire.arm(point{request: "ack"})
		first := r.writeAll(fresh)
		r.at(committed)
		r.die()
		p := r.wire.arm(at)
		r.begin()
		r.happen(f, p, r.rewrite(first))
		r.settled(p, before, f.writes())
		r.rows(first, f.again)
		r.noDeadLetters()
	})
}

// TestEveryPointOfARefusal has one row among good ones that the database refuses.
// It is a dead letter in the end, once, with its payload; or, when it is written
// again meanwhile so that it fits, a row.
func TestEveryPointOfARefusal(t *testing.T) {
	t.Parallel()
	cross(t, refusalPoints, func(r *rehearsal, at point, f fault) {
		before, letters := r.books(), r.deadLetters()
		p := r.wire.arm(at)
		first := r.writeAll(oneMisfit)
		r.happen(f, p, func() {
			r.rewrite(first)()
			r.set(first+misfit, document(2))
		})
		writes := f.writes()
		if f.rewritten {
			writes++
		}
		r.settled(p, before, writes)
		r.rows(first, func(i int64) int64 {
			switch {
			case i != misfit:
				return f.again(i)
			case f.rewritten:
				return 2
			}
			return 0
		})
		if !f.rewritten {
			key := fmt.Sprintf("product:%d", first+misfit)
			letter := r.deadLetters()[key]
			if letter == nil || letter.Payload != document(-1) || letter.SQLState != "23514" || letter.Constraint != "products_stock_check" {
				r.t.Errorf("the dead letter is %+v", letter)
			}
			letters[key] = letter
		}
		if n := len(r.deadLetters()); n != len(letters) {
			r.t.Errorf("%d dead letters, want %d", n, len(letters))
		}
	})
}
