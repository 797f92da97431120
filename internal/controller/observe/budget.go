// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"reflect"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

const (
	// freeChanges is how many changes of what one pod tells are published at once: more than
	// a flusher makes that starts, loses a server and gets it back.
	freeChanges = 5
	// firstWait is how long the next one waits, and each after it twice as long, up to
	// longestWait: a pod that tells something else at each look makes about one write of
	// the status a minute.
	firstWait   = 2 * time.Second
	longestWait = time.Minute
	// mostDoublings keeps the wait from overflowing.
	mostDoublings = 10
	// defaultCalm is after how long without a published change of it a pod has one more at
	// once.
	defaultCalm = 30 * time.Second
)

// budget is how much one pod has changed lately.
type budget struct {
	// changes are those that count; at is when the last one was published.
	changes int
	at      time.Time
	// revision is that of the newest settings that the pod had in force.
	revision int64
}

// renewed says that a pod has newer settings in force than ever, which somebody gave it: what it
// tells from then on counts anew. More often than settings change no pod has that.
func (b budget) renewed(f Flusher, wanted int64) bool {
	return f.Status != nil && f.Status.Revision > b.revision && f.Status.Revision <= wanted
}

// after forgets a change for each time of calm that has passed.
func (b budget) after(now time.Time, calm time.Duration) budget {
	if past := int(now.Sub(b.at) / calm); past > 0 {
		b.changes = max(b.changes-past, 0)
	}
	return b
}

// wait is how long after the last change the next one may be published.
func (b budget) wait() time.Duration {
	over := b.changes - freeChanges
	if over < 0 {
		return 0
	}
	return min(firstWait<<min(over, mostDoublings), longestWait)
}

// affords reports whether a change that touches conditions may be published now, and who
// is to be charged for it. The pods that there are, are no pod's word.
func (t *target) affords(latest Observation, now time.Time, calm time.Duration) (bool, []types.UID) {
	var changed []types.UID
	affords := t.published.Looked != latest.Looked || len(t.published.Flushers) != len(latest.Flushers)
	for _, f := range latest.Flushers {
		before, known := t.published.Of(f.UID)
		switch {
		case !known:
			affords = true
		case !reflect.DeepEqual(shown(Observation{Flushers: []Flusher{before}}, essence), shown(Observation{Flushers: []Flusher{f}}, essence)),
			!sameLevels(t.marks, before, f):
			changed = append(changed, f.UID)
			b := t.budgets[f.UID].after(now, calm)
			affords = affords || b.renewed(f, t.marks.Revision) || now.Sub(b.at) >= b.wait()
		}
	}
	return affords, changed
}

// charge counts the changes of the pods, and forgets pods that are gone.
func (t *target) charge(changed []types.UID, latest Observation, now time.Time, calm time.Duration) {
	kept := make(map[types.UID]budget, len(latest.Flushers))
	for _, f := range latest.Flushers {
		if b, ok := t.budgets[f.UID]; ok {
			kept[f.UID] = b
		}
	}
	for _, uid := range changed {
		b := kept[uid].after(now, calm)
		b.changes, b.at = min(b.changes+1, freeChanges+mostDoublings), now
		kept[uid] = b
	}
	for _, f := range latest.Flushers {
		if b := kept[f.UID]; b.renewed(f, t.marks.Revision) {
			kept[f.UID] = budget{at: now, revision: f.Status.Revision}
		}
	}
	t.budgets = kept
}

func sameLevels(marks Marks, a, b Flusher) bool {
	levels := func(f Flusher) []int { return marks.levels(Observation{Flushers: []Flusher{f}}) }
	return reflect.DeepEqual(levels(a), levels(b))
}
