// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package snapshot

import (
	"fmt"
	"slices"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/resources"
	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/plural"
)

// Queue is the newest report on one queue from the documents that accept lets
// through; nil when there is none.
func (s *Snapshot) Queue(name string, accept func(*config.Status) bool) *config.QueueStatus {
	q, _ := Newest(s.Seen.Answering(), name, accept)
	return q
}

// Newest is the newest report on one queue, with the document that has it.
func Newest(documents []*config.Status, name string, accept func(*config.Status) bool) (q *config.QueueStatus, from *config.Status) {
	for _, d := range documents {
		if !accept(d) || from != nil && !d.ObservedTime.After(from.ObservedTime) {
			continue
		}
		for i := range d.Queues {
			if d.Queues[i].Name == name {
				q, from = &d.Queues[i], d
			}
		}
	}
	return q, from
}

// Journal is the life of a queue that a document names, empty when it names none.
func Journal(d *config.Status, name string) string {
	for i := range d.Queues {
		if d.Queues[i].Name == name {
			return d.Queues[i].Journal
		}
	}
	return ""
}

// Emptied reports whether one document shows a retired queue both empty and closed
// to writers. A queue whose life is another than the known one is lost instead: it
// is kept until the loss is counted.
func (s *Snapshot) Emptied(name string) (emptied, lost bool) {
	q := s.Queue(name, func(d *config.Status) bool {
		return s.Settled(d) && slices.ContainsFunc(d.Queues, func(q config.QueueStatus) bool { return q.Name == name && q.Retired })
	})
	if q == nil || q.State != config.StatePaused || q.Depth > 0 || q.DeadLetters > 0 || s.unread() != "" {
		return false, false
	}
	// A flusher counts itself what a new history of the stream has lost.
	lost = !s.Replicates() && slices.ContainsFunc(s.Cache.Status.Mappings, func(m v1alpha1.MappingStatus) bool {
		return m.Name == name && m.Journal != "" && m.Journal != q.Journal
	})
	return !lost, lost
}

// NothingLeft reports whether a queue at the Redis that is in force is known to be
// empty, or not to be there. A flusher may be at an earlier Redis yet, so its report
// counts only for the life of the queue that it names. Where no flusher reports a
// queue, there may still be one.
func (s *Snapshot) NothingLeft(name, address string) bool {
	earlier := ""
	for _, m := range s.Cache.Status.Mappings {
		if m.Name != name || m.Journal == "" {
			continue
		}
		if m.RedisAddress != "" && !resources.SamePlace(m.RedisAddress, address) {
			earlier = m.Journal
			continue
		}
		q := s.Queue(name, func(d *config.Status) bool { return s.Settled(d) && Journal(d, name) == m.Journal })
		return q != nil && q.Depth == 0 && q.DeadLetters == 0 && s.Unread() == ""
	}
	if len(s.Flushers.Pods) == 0 {
		return !s.EverStarted()
	}
	for i := range s.Flushers.Pods {
		f, ok := s.Seen.Of(s.Flushers.Pods[i].UID)
		if !ok || f.Status == nil {
			if Started(&s.Flushers.Pods[i]) {
				return false
			}
			continue
		}
		if journal := Journal(f.Status, name); journal != "" && journal != earlier {
			return false // the status is about to tell of it
		}
	}
	return true
}

// Contents returns how much a queue holds, and how to take dead letters out: nothing else
// removes them.
func (s *Snapshot) Contents(q *config.QueueStatus) string {
	text := plural.Of(q.Depth, "entry", "entries") + " and " + plural.Of(q.DeadLetters, "dead letter", "dead letters")
	if q.Refused > 0 {
		text += fmt.Sprintf(", refused by the database: %d", q.Refused)
	}
	if q.DeadLetters > 0 {
		text += fmt.Sprintf(" (%s replay --all, or discard, takes the dead letters out)", s.DeadLetterCommand())
	}
	return text
}

// StillHolds returns what remains in a queue that something waits for.
func (s *Snapshot) StillHolds(name string) string {
	q := s.Queue(name, s.Settled)
	switch {
	case q != nil && (q.Depth > 0 || q.DeadLetters > 0):
		return s.Contents(q)
	case s.Unread() != "":
		return s.Unread()
	}
	return "no flusher has reported it empty yet"
}

// DeadLetterCommand is what a person types to look after dead letters, without the
// subcommand.
func (s *Snapshot) DeadLetterCommand() string {
	return fmt.Sprintf("kubectl exec -n %s deploy/%s -- /flusher dlq", s.Cache.Namespace, resources.FlusherName(s.Cache))
}
