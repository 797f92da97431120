// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/resources"
	"github.com/writebehind/operator/internal/flusher/config"
)

// maxQueues is the most mappings of one config file, retired ones included.
const maxQueues = 32

// lossRetry is how soon a retired queue is looked at again that was found to be another:
// this pass counts the loss.
const lossRetry = time.Second

// planSettings decides what the flushers are to run: the spec, with the mappings
// that were taken out and are not empty yet, and without what would leave a
// backlog behind. previous is what is in force, or nil.
func (s *scope) planSettings(previous *inForce) error {
	if err := s.forgotten(previous); err != nil {
		return err
	}
	s.held, s.heldReason, s.carried = "", "", s.cache
	if !s.deleting() {
		if err := s.giveWay(previous); err != nil {
			return err
		}
	} else if previous != nil {
		previous = previous.without(s.rivals)
	}
	s.carried = s.withoutRivals(s.cache)
	if previous != nil && s.holdRedis(previous) {
		s.carried = s.carried.DeepCopy()
		s.carried.Spec.Redis.External = previous.External
	}
	s.settings = resources.FlusherConfig(s.carried)
	if previous != nil {
		s.retire(s.settings, previous)
	}
	return nil
}

// retire puts those mappings of previous that the spec no longer has, and that
// are not known to be empty, behind the wanted ones. A wanted one that cannot
// stand beside them waits.
func (s *scope) retire(wanted *config.Config, previous *inForce) {
	var retired, emptied []config.Mapping
	for _, old := range previous.Mappings {
		switch {
		case slices.ContainsFunc(wanted.Mappings, func(m config.Mapping) bool { return sameQueue(m, old) }):
		case old.Retired && s.emptied(old.Name):
			emptied = append(emptied, old)
		default:
			old.Retired = true
			retired = append(retired, old)
		}
	}
	if len(wanted.Mappings)+len(retired) == 0 {
		wanted.Mappings = emptied // rivals have all the others, and flushers need a mapping
	}
	if len(retired) == 0 {
		return
	}

	isNew := func(m config.Mapping) bool {
		return !slices.ContainsFunc(previous.Mappings, func(old config.Mapping) bool { return sameQueue(m, old) })
	}
	room := maxQueues - len(retired)
	for _, m := range wanted.Mappings {
		if !isNew(m) {
			room--
		}
	}
	var kept []config.Mapping
	for _, m := range wanted.Mappings {
		if old := inTheWay(m, retired); old != nil {
			s.hold("mapping %s waits until the queue of mapping %s (keyPrefix %q), which was taken out of the spec, is empty: %s",
				m.Name, old.Name, old.KeyPrefix, s.stillHolds(old.Name))
			continue
		}
		if isNew(m) {
			if room <= 0 {
				s.hold("mapping %s waits: the flushers carry at most %d queues, and %d of mappings that were taken out of the spec are not empty, such as %s: %s",
					m.Name, maxQueues, len(retired), retired[0].Name, s.stillHolds(retired[0].Name))
				continue
			}
			room--
		}
		kept = append(kept, m)
	}
	wanted.Mappings = append(kept, retired...)
}

// sameQueue says whether the mapping still carries the queue that old carried.
func sameQueue(m, old config.Mapping) bool {
	return m.Name == old.Name && m.KeyPrefix == old.KeyPrefix && m.Mode == old.Mode &&
		m.Encoding == old.Encoding && m.Partitions == old.Partitions
}

// inTheWay is the retired mapping that shares keys or the name with m.
func inTheWay(m config.Mapping, retired []config.Mapping) *config.Mapping {
	for i := range retired {
		old := &retired[i]
		if m.Name == old.Name || strings.HasPrefix(m.KeyPrefix, old.KeyPrefix) || strings.HasPrefix(old.KeyPrefix, m.KeyPrefix) {
			return old
		}
	}
	return nil
}

// holdRedis keeps the flushers at the Redis that they know while entries wait in
// it: nobody would ever flush them.
func (s *scope) holdRedis(previous *inForce) bool {
	wanted := s.cache.Spec.Redis.External
	if wanted == nil || previous.External == nil || slices.Equal(wanted.Addresses, previous.External.Addresses) || s.forced() {
		return false
	}
	for _, m := range previous.Mappings {
		if s.nothingLeft(m.Name, strings.Join(previous.External.Addresses, ",")) {
			continue
		}
		s.hold("spec.redis names another Redis while the queue of mapping %s in %s is not known to be empty; until it is, "+
			"the flushers stay there: %s. Stop the writers and wait, or put the address back, "+
			"or give the queue up with the annotation %s: \"true\"%s",
			m.Name, strings.Join(previous.External.Addresses, ","), s.stillHolds(m.Name), v1alpha1.AnnotationForceDelete, s.aboutForce())
		return true
	}
	return false
}

// stillHolds says what is left in a queue that something waits for.
func (s *scope) stillHolds(name string) string {
	q := s.queue(name, s.settled)
	if q == nil || q.Depth == 0 && q.DeadLetters == 0 {
		return "no flusher has seen it empty yet"
	}
	return s.contents(q)
}

func (s *scope) hold(format string, args ...any) {
	s.holdFor(v1alpha1.ReasonQueueNotEmpty, fmt.Sprintf(format, args...))
}

func (s *scope) holdFor(reason, text string) {
	if s.held == "" {
		s.held, s.heldReason = text, reason
	}
}

// ours says whether a document speaks of this resource's settings.
func (s *scope) ours(d *config.Status) bool { return d.Owner == string(s.cache.UID) }

// settled says whether a document's numbers are those of the Redis that it can
// reach.
func (s *scope) settled(d *config.Status) bool {
	return s.ours(d) && d.Redis.OK && !d.ObservedTime.IsZero()
}

// queue is the newest word on one queue from the documents that accept lets
// through, nil when there is none.
func (s *scope) queue(name string, accept func(*config.Status) bool) *config.QueueStatus {
	q, _ := newestWord(s.seen.Answering(), name, accept)
	return q
}

// newestWord is the newest word on one queue, with the document that it is from.
func newestWord(documents []*config.Status, name string, accept func(*config.Status) bool) (q *config.QueueStatus, from *config.Status) {
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

// emptied says whether a retired queue is known to be empty and closed to
// writers, both at one look. One that is another than the queue that was known is lost,
// and is kept until that is counted.
func (s *scope) emptied(name string) bool {
	q := s.queue(name, func(d *config.Status) bool {
		return s.settled(d) && slices.ContainsFunc(d.Queues, func(q config.QueueStatus) bool { return q.Name == name && q.Retired })
	})
	if q == nil || q.State != config.StatePaused || q.Depth > 0 || q.DeadLetters > 0 {
		return false
	}
	lost := slices.ContainsFunc(s.cache.Status.Mappings, func(m v1alpha1.MappingStatus) bool {
		return m.Name == name && m.Journal != "" && m.Journal != q.Journal
	})
	if lost {
		s.lookAgain(lossRetry)
	}
	return !lost
}

// nothingLeft says whether a queue at the Redis that is in force is known to be
// empty, or not to be there. A flusher may be at an earlier Redis yet, so its word
// counts for the life of the queue that it names and for no other; and that none
// says anything is no sign that there is nothing.
func (s *scope) nothingLeft(name, address string) bool {
	earlier := ""
	for _, m := range s.cache.Status.Mappings {
		if m.Name != name || m.Journal == "" {
			continue
		}
		if m.RedisAddress != "" && m.RedisAddress != address {
			earlier = m.Journal
			continue
		}
		q := s.queue(name, func(d *config.Status) bool { return s.settled(d) && journalIn(d, name) == m.Journal })
		return q != nil && q.Depth == 0 && q.DeadLetters == 0
	}
	if len(s.flusherPods) == 0 {
		return !s.everStarted()
	}
	for i := range s.flusherPods {
		f, ok := s.seen.Of(s.flusherPods[i].UID)
		if !ok || f.Status == nil {
			if podStarted(&s.flusherPods[i]) {
				return false
			}
			continue
		}
		if journal := journalIn(f.Status, name); journal != "" && journal != earlier {
			return false // the status is about to tell of it
		}
	}
	return true
}

// journalIn is the life of a queue that a document names, empty when it names none.
func journalIn(d *config.Status, name string) string {
	for i := range d.Queues {
		if d.Queues[i].Name == name {
			return d.Queues[i].Journal
		}
	}
	return ""
}
