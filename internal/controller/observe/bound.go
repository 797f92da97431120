// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"strings"
	"time"
	"unicode"

	"github.com/writebehind/operator/internal/flusher/config"
)

// Bounds of the values in a document. The API server refuses a whole status for one
// value that does not fit the resource's schema, so one odd value from one Pod would
// keep every condition as it was for good.
const (
	// mostCount is far over what a Redis can hold, and the sum of a thousand
	// queues still fits an int64.
	mostCount = int64(1) << 50
	// mostSeconds is a hundred years.
	mostSeconds = 100 * 365 * 24 * 3600
	// mostQueues is twice as many as a config has.
	mostQueues = 64
	// mostName is the longest name of a mapping.
	mostName = 63
	// mostJournal is the bound of the resource's schema.
	mostJournal = 256
	// mostText bounds a message or an error of a pod, so that a condition has room for the
	// operator's own words behind it.
	mostText = 800
	// mostLosses is more data-loss events than a queue can have met.
	mostLosses = int64(1) << 20
	// mostAhead is how far a pod's clock may be ahead before a time of it is not
	// believed: the newest flush of all would stay the newest for as long.
	mostAhead = time.Hour
)

// bound brings every value of a pod's document into its range, and marks its texts as the
// pod's.
func bound(s *config.Status, pod string, now time.Time) {
	s.Revision, s.RunningRevision = max(s.Revision, 0), max(s.RunningRevision, 0)
	s.Instance, s.Circuit = Cut(s.Instance, mostJournal), shownName(s.Circuit, mostName)
	if s.ObservedTime.Sub(now) > mostAhead {
		s.ObservedTime = now
	}
	s.Warnings = config.Warnings{Redis: config.KnownWarnings(s.Warnings.Redis), Database: config.KnownWarnings(s.Warnings.Database)}
	boundCheck(&s.Redis, pod)
	boundCheck(&s.Database, pod)
	boundCheck(&s.Durability.Persistence, pod)
	boundCheck(&s.Durability.Eviction, pod)
	boundCheck(&s.Durability.Ledger, pod)
	if r := s.Replication; r != nil {
		for _, n := range []*int64{&r.BehindBytes, &r.UnreadBytes, &r.BacklogBytes, &r.DirtyBytes, &r.ScannedKeys} {
			*n = min(max(*n, 0), mostCount)
		}
		r.History = max(r.History, 0) // the microsecond in which it began
		r.BehindSeconds = min(max(r.BehindSeconds, 0), mostSeconds)
		r.Notice = Said(pod, r.Notice)
		boundCheck(&r.Backlog, pod)
	}
	for i := range s.Queues {
		q := &s.Queues[i]
		q.Name, q.State, q.Partitions = shownName(q.Name, mostName), shownName(q.State, mostName), nil // which nobody here reads
		q.Journal = shownName(q.Journal, mostJournal)
		for _, n := range []*int64{&q.Depth, &q.DeadLetters, &q.Writes, &q.Flushed, &q.Coalesced, &q.DataLossEvents, &q.Refused} {
			*n = min(max(*n, 0), mostCount)
		}
		q.DataLossEvents = min(q.DataLossEvents, mostLosses)
		q.OldestPendingSeconds = min(max(q.OldestPendingSeconds, 0), mostSeconds)
		if q.LastFlushTime.Sub(now) > mostAhead {
			q.LastFlushTime = time.Time{}
		}
		q.LastError = Said(pod, q.LastError)
		boundCheck(&q.Ready, pod)
		boundCheck(&q.Durable, pod)
	}
}

func boundCheck(c *config.Check, pod string) {
	c.Reason, c.Message = shownReason(c.Reason), Said(pod, c.Message)
}

// Cut makes text fit for display: at most limit bytes without splitting a
// character, and nothing in it that a terminal would act on, such as an escape or
// a change of the direction of writing, or that nobody sees.
func Cut(text string, limit int) string {
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text)
	if len(text) <= limit {
		return text
	}
	return strings.ToValidUTF8(text[:limit], "")
}
