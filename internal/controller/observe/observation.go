// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"reflect"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/writebehind/operator/internal/flusher/config"
)

// Observation is the last reports of one resource's flushers, ordered by the name of the
// pod. It never changes once published.
type Observation struct {
	// Looked is false until the flushers were polled once since Track. An observation
	// without flushers then means nothing.
	Looked   bool
	Flushers []Flusher
}

// Flusher is one pod's answer.
type Flusher struct {
	Pod string
	UID types.UID
	// Status is the document that the pod serves, nil while it does not answer.
	Status *config.Status
	// Problem is why there is no answer, in words that stay the same.
	Problem string
}

// Answering are the documents of those flushers that answer.
func (o Observation) Answering() []*config.Status {
	var all []*config.Status
	for _, f := range o.Flushers {
		if f.Status != nil {
			all = append(all, f.Status)
		}
	}
	return all
}

// Of is the answer of one pod.
func (o Observation) Of(uid types.UID) (Flusher, bool) {
	for _, f := range o.Flushers {
		if f.UID == uid {
			return f, true
		}
	}
	return Flusher{}, false
}

// change is how much a new observation differs from the published one.
type change int

const (
	// changeNone is nothing that the resource's status would show.
	changeNone change = iota
	// changeNumbers is published every few seconds.
	changeNumbers
	// changeCondition is published at once.
	changeCondition
)

// Marks are the depths of a queue, dirty entries and dead letters together, that
// turn a condition.
type Marks struct {
	Warning, Critical, Full int64
	// Revision is that of the newest settings: a pod that has them in force for the first time
	// is heard at once.
	Revision int64
}

// passed is how many of the marks a depth has reached.
func (m Marks) passed(depth int64) int {
	n := 0
	for _, mark := range []int64{m.Warning, m.Critical, m.Full} {
		if depth >= mark {
			n++
		}
	}
	return n
}

// levels has one number a queue of each flusher that answers.
func (m Marks) levels(o Observation) []int {
	var all []int
	for _, d := range o.Answering() {
		for i := range d.Queues {
			all = append(all, m.passed(d.Queues[i].Depth+d.Queues[i].DeadLetters))
		}
	}
	return all
}

func compare(published, latest Observation, marks Marks) change {
	if published.Looked != latest.Looked || !reflect.DeepEqual(shown(published, essence), shown(latest, essence)) ||
		!slices.Equal(marks.levels(published), marks.levels(latest)) {
		return changeCondition
	}
	if !reflect.DeepEqual(shown(published, numbers), shown(latest, numbers)) {
		return changeNumbers
	}
	return changeNone
}

// share is how much of the backlog is taken, in steps that conditions know.
func share(r *config.Replication) int64 {
	percent := r.BacklogPercent()
	switch {
	case percent >= 100:
		return 2
	case percent >= config.NearOverrun:
		return 1
	}
	return 0
}

func shown(o Observation, reduce func(config.Status) config.Status) []Flusher {
	out := make([]Flusher, len(o.Flushers))
	for i, f := range o.Flushers {
		if f.Status != nil {
			reduced := reduce(*f.Status)
			f.Status = &reduced
		}
		out[i] = f
	}
	return out
}

// numbers keeps what the resource's status shows: an idle queue is then the same
// at each look.
func numbers(s config.Status) config.Status {
	s.Instance = ""
	s.ObservedTime = time.Time{}
	queues := make([]config.QueueStatus, len(s.Queues))
	for i, q := range s.Queues {
		q.OldestPendingSeconds = float64(int64(q.OldestPendingSeconds))
		q.LastFlushTime = q.LastFlushTime.Truncate(time.Second)
		q.Writes, q.Coalesced, q.Partitions = 0, 0, nil
		queues[i] = q
	}
	s.Queues = queues
	if s.Replication != nil {
		r := *s.Replication
		r.BehindSeconds, r.DirtyBytes = float64(int64(r.BehindSeconds)), 0
		s.Replication = &r
	}
	return s
}

// essence keeps what conditions are made of, and whether a number is zero where
// that is a threshold. Messages may change at once with their reason, but alone
// they are treated as numbers: one that counts seconds must not make the
// operator write once a second. So is what an ordinary queue does every few seconds: it
// empties, fails and goes on, or its circuit is tried.
func essence(s config.Status) config.Status {
	s = numbers(s)
	s.Circuit, s.Redis.Message, s.Database.Message = "", "", ""
	s.Durability.Persistence.Message, s.Durability.Eviction.Message, s.Durability.Ledger.Message = "", "", ""
	if r := s.Replication; r != nil {
		r.BehindBytes, r.UnreadBytes, r.BehindSeconds, r.ScannedKeys, r.Backlog.Message = share(r), 0, 0, 0, ""
	}
	for i := range s.Queues {
		q := &s.Queues[i]
		q.Ready.Message, q.Durable.Message = "", ""
		q.Depth, q.LastError = 0, ""
		q.DeadLetters = min(q.DeadLetters, 1)
		q.Refused = min(q.Refused, 1)
		q.OldestPendingSeconds = 0
		q.Flushed = 0
		q.LastFlushTime = time.Time{}
	}
	return s
}
