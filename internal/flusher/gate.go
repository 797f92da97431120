// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package flusher

import (
	"fmt"
	"log/slog"
	"sync"
	"time"

	cachev1alpha1 "github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/entry"
)

// gate stands between a queue and its table. It keeps one passage, which whoever is about
// to write looks at, and logs what becomes of it.
type gate struct {
	mapping string
	log     *slog.Logger

	mu      sync.Mutex
	passage passage
	// told is what the log said last of the mapping, hides what it said of rows that may be
	// hidden.
	told  config.Check
	hides string
}

// now is the passage as it is.
func (g *gate) now() passage {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.passage
}

// after makes the passage another one, and logs what the mapping comes to when that is not
// what was logged last.
func (g *gate) after(event func(*passage)) {
	g.mu.Lock()
	event(&g.passage)
	check := g.passage.ready(g.mapping)
	changed := g.told != check
	g.told = check
	g.mu.Unlock()
	switch {
	case !changed:
	case check.OK:
		g.log.Info("Mapping is ready")
	case check.Reason != "":
		g.log.Warn("Mapping is not ready", "reason", check.Reason, "message", check.Message)
	}
}

// fits takes a table that was read and fits.
func (g *gate) fits(table Table) {
	hides := table.Hides()
	g.mu.Lock()
	changed := g.hides != hides
	g.hides = hides
	g.mu.Unlock()
	if changed && hides != "" {
		g.log.Warn("Rows of the table may be hidden", "message", hides)
	}
	g.after(func(p *passage) { p.fits(table, time.Now()) })
}

// passage says what a queue may write. It is a value: a copy never changes, and an event
// makes another one of it.
//
//	unknown   there is no table, and the check has no reason
//	unfit     there is no table, and the check says why
//	open      there is a table, and no obstacle
//	paused    the obstacle has a cause: a few rows are tried when its time has come
//	locked    for a moment, whatever else it is
type passage struct {
	// table is the table as it was read at that time. It is nil while it does not fit and
	// when it has to be read anew.
	table Table
	read  time.Time
	// check is what the last look at the table, or the last pause, found.
	check    config.Check
	obstacle obstacle
	// locked is until when the table is left alone, since somebody else has locked it.
	locked time.Time
	// made says that the queue is in Redis, refused why it is not this config's or not of
	// its shape, if that is so.
	made    bool
	refused config.Check
}

// obstacle is what batches meet although the catalogue shows nothing of it. The zero value
// is none.
type obstacle struct {
	check config.Check
	// cause is what all rows of a paused mapping are refused for, and until when it is not
	// tried. It is nil where it is not rows that are refused.
	cause *entry.Fault
	until time.Time
	// needs is what has to be shown for one of the rows at least, few says that they were
	// too few to know that the mapping is at fault.
	needs entry.Proof
	few   bool
}

// paused tells whether the mapping is, also when it is time to try a few rows.
func (p passage) paused() bool { return p.obstacle.cause != nil }

// flows tells whether batches may be tried at that time.
func (p passage) flows(now time.Time) bool {
	return p.table != nil && !now.Before(p.obstacle.until)
}

// known is what every row of a paused mapping is refused for, or nil.
func (p passage) known() *entry.Fault {
	if p.obstacle.few {
		return nil
	}
	return p.obstacle.cause
}

// isRefused tells whether the queue in Redis is another one.
func (p passage) isRefused() bool { return p.refused != (config.Check{}) }

// ready is whether the mapping can work: the queue has to be this config's, and the table
// has to fit.
func (p passage) ready(mapping string) config.Check {
	switch {
	case p.isRefused():
		return p.refused
	case p.check.OK && !p.made:
		// Whoever waits for readiness means to write, and would find no queue.
		return notChecked("queue " + mapping + " in Redis")
	}
	return p.check
}

// durable is what is known of whether the table keeps what is committed.
func (p passage) durable(mapping string) config.Check {
	switch {
	case p.table != nil:
		return p.table.Durability()
	case !p.check.OK:
		return p.check
	}
	return notChecked("the table of mapping " + mapping)
}

// fits takes a table that was read and fits. What batches met goes on until one gets
// through.
func (p *passage) fits(table Table, now time.Time) {
	p.table, p.read = table, now
	if p.check = p.obstacle.check; p.obstacle == (obstacle{}) {
		p.check = config.Check{OK: true}
	}
}

// unread takes note that the table could not be looked at. What was known of it stands.
func (p *passage) unread(why config.Check) { p.check = why }

// misfits shuts the passage until the table fits the mapping.
func (p *passage) misfits(why config.Check) {
	p.table, p.check = nil, why
	if !p.paused() {
		p.obstacle = obstacle{}
	}
}

// unwritable has the table read anew, since no batch can be written whatever its rows are.
// Where the catalogue does not say more, this is told, until a batch gets through.
func (p *passage) unwritable(why config.Check) {
	p.table = nil
	if !p.paused() {
		p.obstacle = obstacle{check: why}
	}
}

// pauses stops the flow of a mapping whose rows are all refused. It reports whether that
// is news.
func (p *passage) pauses(mapping string, o obstacle) (first bool) {
	first = !p.paused()
	o.few = o.few && (first || p.obstacle.few)
	what := "the database refuses every row"
	if o.few {
		what = "the database refuses what is written, and nothing shows that it takes any other row"
	}
	o.check = config.Check{Reason: cachev1alpha1.ReasonMappingPaused, Message: fmt.Sprintf(
		"mapping %s is paused: %s, %s; the rows wait: correct the table or its triggers or, if the rows are wrong, write or delete their keys",
		mapping, what, o.cause.Message)}
	p.obstacle, p.check = o, o.check
	return first
}

// resumes lets the mapping flow again. It reports whether anything was in the way.
func (p *passage) resumes() (ends bool) {
	ends = p.paused() || p.obstacle != (obstacle{}) && p.table != nil
	if p.obstacle = (obstacle{}); ends {
		p.check = config.Check{OK: true}
	}
	return ends
}
