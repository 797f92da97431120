// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/writebehind/operator/internal/command"
	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/plural"
)

// next says what will happen to the key, or what somebody has to do.
func (a *Audit) next(m *config.Mapping, e *Explanation) string {
	switch e.State {
	case StateDead:
		return "nothing by itself: the dead letter waits for somebody: see it with dlq show, correct the table or the writer, then dlq replay or dlq discard; " +
			"a newer write of the key takes its place"
	case StateUnknown:
		return "that is not known: see the problems"
	case StateDirty, StateWaiting, StateOnItsWay:
		return a.nextOfDirty(e)
	}
	return a.nextOfClean(m, e)
}

func (a *Audit) nextOfDirty(e *Explanation) string {
	interval := a.config.Flush.Interval()
	flushed := fmt.Sprintf("it is flushed with the next batch of its partition, within %v (flush.intervalMilliseconds) where the database keeps up", interval)
	switch {
	case a.config.Suspend:
		return "nothing until the resource is resumed: spec.suspend is true, so that writes are accepted and not flushed"
	case e.Holder == nil:
		return "nothing yet: no flusher has its partition; see whether flushers run, and what their log says"
	case !e.Holder.Runs:
		return fmt.Sprintf("another flusher takes its partition over, since the lease of %s ran out at %s; if none does, see whether flushers run",
			e.Holder.Flusher, e.Holder.Until.Format(time.RFC3339))
	case e.State == StateWaiting && e.Due != nil:
		return fmt.Sprintf("it is tried again at %s; %s", e.Due.Format(time.RFC3339), a.inTheEnd(e))
	case e.State == StateWaiting:
		return "it is tried again; " + a.inTheEnd(e)
	case e.State == StateOnItsWay:
		return "the stream is carried on: what was written of the key is flushed with the next batch of its partition; " +
			"if the carried offset stands still, see the condition Ready of the resource, or the flusher's log"
	}
	return flushed + "; if it stays dirty for longer, see the condition Ready of the resource, or the flusher's log"
}

// inTheEnd says what becomes of a row that is refused again and again.
func (a *Audit) inTheEnd(e *Explanation) string {
	return fmt.Sprintf("the database has refused it at %s, and after %s (flush.maxRetries) it becomes a dead letter, with the reason",
		plural.Of(e.Attempts, "attempt", "attempts"), plural.Of(a.config.Flush.MaxRetries, "retry", "retries"))
}

func (a *Audit) nextOfClean(m *config.Mapping, e *Explanation) string {
	rows := slices.ContainsFunc(e.Rows, func(r Row) bool { return r.There })
	again := "to have what Redis holds flushed once more: " + repairOf(e.Key)
	switch {
	case !e.Redis.There && rows:
		return "nothing: the key is not in Redis, as after its time to live or an eviction, and its row stays"
	case !e.Redis.There && len(e.Problems) > 0:
		return "that is not known: see the problems"
	case !e.Redis.There:
		return "nothing: neither Redis nor the table knows the key; a write that returned an error has changed nothing, and one to another Redis or another key is not here"
	case e.Redis.Type != kindOf(m):
		return "nothing: see the problems"
	case e.Differs == nil:
		return "that is not known: see the problems"
	case !*e.Differs:
		return "nothing: the row is as Redis has it"
	case slices.ContainsFunc(e.Rows, func(r Row) bool { return r.Unfit != "" }):
		return "nothing by itself: nothing of the key waits, and its value can be no row; write the key again: repair leaves it alone"
	case a.config.Capture == config.CaptureReplication:
		return "nothing by itself: the stream was carried beyond this value, so the row was changed beside the flushers, or a trigger changes it; " + again
	}
	return "nothing by itself: nothing of the key waits, so the value was written without a capture function (SET, RENAME, RESTORE), cached by wb_fill, " +
		"or the row was changed beside the flushers, or a trigger changes it; " + again
}

// repairOf is the command to paste. Keys are anybody's: what is in one must not be run by a shell.
func repairOf(key string) string {
	if strings.ContainsRune(key, 0) {
		return "write the key again, since no command line takes its NUL"
	}
	return "repair " + command.Word(key)
}
