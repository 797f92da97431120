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

// kind is of what a change is. Each kind has a budget of its own: a queue that goes over a mark
// and back at every flush is no reason to learn a minute late that the database is down.
type kind int

const (
	// ofLevels are marks that a queue has passed.
	ofLevels kind = iota
	// ofChecks is everything else that conditions are made of.
	ofChecks
	kinds
)

// account is what one pod has told lately.
type account struct {
	budgets [kinds]budget
	// revision is that of the newest settings that the pod had in force.
	revision int64
}

// renewed says that a pod has the newest settings in force and had none of them before, which
// somebody gave it: what it tells from then on counts anew. More often than settings change no
// pod has that.
func (a account) renewed(f Flusher, newest int64) bool {
	return f.Status != nil && a.revision < newest && f.Status.Revision == newest
}

// budget is how much of one kind a pod has changed lately.
type budget struct {
	// changes are those that count; at is when the last one was published.
	changes int
	at      time.Time
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

// charge is a change of one kind by one pod.
type charge struct {
	uid types.UID
	of  kind
}

// affords reports whether a change that touches conditions may be published now, and who
// is to be charged for it. The pods that there are, are no pod's word.
func (t *target) affords(latest Observation, now time.Time, calm time.Duration) (affords bool, charges []charge) {
	affords = t.published.Looked != latest.Looked || len(t.published.Flushers) != len(latest.Flushers)
	for _, f := range latest.Flushers {
		before, known := t.published.Of(f.UID)
		if !known {
			affords = true
			continue
		}
		for of, differs := range [kinds]bool{
			ofLevels: !sameLevels(t.marks, before, f),
			ofChecks: !reflect.DeepEqual(shown(Observation{Flushers: []Flusher{before}}, essence), shown(Observation{Flushers: []Flusher{f}}, essence)),
		} {
			if !differs {
				continue
			}
			charges = append(charges, charge{f.UID, kind(of)})
			a := t.accounts[f.UID]
			b := a.budgets[of].after(now, calm)
			affords = affords || a.renewed(f, t.marks.Revision) || now.Sub(b.at) >= b.wait()
		}
	}
	return affords, charges
}

// charge counts the changes of the pods, and forgets pods that are gone.
func (t *target) charge(charges []charge, latest Observation, now time.Time, calm time.Duration) {
	kept := make(map[types.UID]account, len(latest.Flushers))
	for _, f := range latest.Flushers {
		if a, ok := t.accounts[f.UID]; ok {
			kept[f.UID] = a
		}
	}
	for _, c := range charges {
		a := kept[c.uid]
		b := a.budgets[c.of].after(now, calm)
		b.changes, b.at = min(b.changes+1, freeChanges+mostDoublings), now
		a.budgets[c.of] = b
		kept[c.uid] = a
	}
	for _, f := range latest.Flushers {
		if a := kept[f.UID]; a.renewed(f, t.marks.Revision) {
			kept[f.UID] = account{budgets: [kinds]budget{{at: now}, {at: now}}, revision: f.Status.Revision}
		}
	}
	t.accounts = kept
}

func sameLevels(marks Marks, a, b Flusher) bool {
	levels := func(f Flusher) []int { return marks.levels(Observation{Flushers: []Flusher{f}}) }
	return reflect.DeepEqual(levels(a), levels(b))
}
