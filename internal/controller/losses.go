// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/observe"
	"github.com/writebehind/operator/internal/flusher/config"
)

// mostJournals is how many lives of queues with data-loss events are remembered,
// as many as the resource's schema lets be. Each is an incident of its own.
const mostJournals = 128

// longestAcknowledgement is the longest value of the annotation that counts as a
// number: every number of events has fewer digits.
const longestAcknowledgement = 20

// countLoss adds to the data-loss events what has come to light of one queue. Who
// notices a loss is the flusher, in the journal's own count, or the operator, in
// the journal's id; and the count is lost with the journal. So what was counted is
// remembered in the status, by journal:
//
//	the count rose          those are the events
//	the count fell          Redis went back to older data: one event
//	another journal at the  the queue was lost: the events that the new journal
//	same Redis              has counted, or one where no flusher saw it vanish
//	a journal at another    a queue that is new to the resource, or came back:
//	Redis, or after none    the events that were not counted yet
func (s *scope) countLoss(m *v1alpha1.MappingStatus) {
	lost := false
	q, document := s.life(m.Name)
	if q != nil {
		address := s.redisAddress()
		lost = m.Journal != "" && m.Journal != q.Journal && m.RedisAddress == address
		m.Journal, m.RedisAddress, m.KeyPrefix = q.Journal, address, s.keyPrefix(m.Name)
	} else {
		// Where a flusher of other settings looks is not known, but a journal that
		// is known already counts wherever it is read.
		q, document = newestWord(s.seen.Answering(), m.Name, s.settled)
		if m.Journal == "" {
			m.Journal = q.Journal
		}
		if m.Journal != q.Journal {
			return
		}
	}

	status := &s.cache.Status
	counted := s.lossOf(q.Journal)
	events := max(q.DataLossEvents-counted, 0)
	switch {
	case lost:
		events = max(events, 1)
	case q.DataLossEvents >= counted:
	case !document.ObservedTime.Truncate(time.Second).After(s.before.Status.LastObservedTime.Time):
		return // a flusher that was looked at late tells of a moment before
	default:
		events = 1
	}
	s.rememberLoss(q.Journal, q.DataLossEvents)
	m.DataLossEvents = new(valueOf(m.DataLossEvents) + events)
	status.DataLossEvents = new(valueOf(status.DataLossEvents) + events)
}

// life is the newest word on a queue from the flushers that run the present
// settings, and so are at the Redis that those name; nil when there is none, and
// while they name several journals: one of them speaks of a moment ago.
func (s *scope) life(name string) (*config.QueueStatus, *config.Status) {
	var documents []*config.Status
	journal := ""
	for i := range s.flusherPods {
		pod := &s.flusherPods[i]
		f, ok := s.seen.Of(pod.UID)
		if !ok || f.Status == nil || !s.settled(f.Status) || !s.runs(pod) {
			continue
		}
		at := slices.IndexFunc(f.Status.Queues, func(q config.QueueStatus) bool { return q.Name == name && q.Journal != "" })
		if at < 0 {
			continue
		}
		if named := f.Status.Queues[at].Journal; journal == "" {
			journal = named
		} else if journal != named {
			return nil, nil
		}
		documents = append(documents, f.Status)
	}
	return newestWord(documents, name, s.settled)
}

// redisAddress is where the flushers are sent to.
func (s *scope) redisAddress() string {
	return strings.Join(s.settings.Redis.External.Addresses, ",")
}

// keyPrefix is that of the mapping that the flushers have of the name. It goes with
// the address: while a mapping that was taken out is not empty, one of its name with
// another prefix waits.
func (s *scope) keyPrefix(name string) string {
	for _, m := range s.settings.Mappings {
		if m.Name == name {
			return m.KeyPrefix
		}
	}
	return ""
}

// lossOf is how many events of one life of a queue were counted.
func (s *scope) lossOf(journal string) int64 {
	if d := s.cache.Status.DataLoss; d != nil {
		for _, j := range d.Journals {
			if j.Journal == journal {
				return j.Events
			}
		}
	}
	return 0
}

// rememberLoss notes how many events of one life of a queue are counted. Without
// any there is nothing to remember.
func (s *scope) rememberLoss(journal string, events int64) {
	d := s.dataLoss()
	at := slices.IndexFunc(d.Journals, func(j v1alpha1.JournalLoss) bool { return j.Journal == journal })
	switch {
	case at < 0 && events > 0:
		d.Journals = append(d.Journals, v1alpha1.JournalLoss{Journal: journal, Events: events})
		d.Journals = d.Journals[max(len(d.Journals)-mostJournals, 0):]
	case at >= 0 && events == 0:
		d.Journals = slices.Delete(d.Journals, at, at+1)
	case at >= 0:
		d.Journals[at].Events = events
	}
	s.keepDataLoss(d)
}

// dataLoss is a copy of what is remembered, which keepDataLoss puts back.
func (s *scope) dataLoss() *v1alpha1.DataLossStatus {
	if d := s.cache.Status.DataLoss; d != nil {
		return d.DeepCopy()
	}
	return &v1alpha1.DataLossStatus{}
}

func (s *scope) keepDataLoss(d *v1alpha1.DataLossStatus) {
	s.cache.Status.DataLoss = d
	if d.Acknowledged == 0 && d.Annotation == "" && len(d.Journals) == 0 {
		s.cache.Status.DataLoss = nil
	}
}

// acknowledgement reads the annotation. ok is false when it is no number of
// events.
func (s *scope) acknowledgement() (text string, number int64, given, ok bool) {
	text, given = s.cache.Annotations[v1alpha1.AnnotationAcknowledgeDataLoss]
	if !given {
		return "", 0, false, true
	}
	n, err := strconv.ParseUint(text, 10, 63)
	if err != nil || len(text) > longestAcknowledgement {
		return text, 0, true, false
	}
	return text, int64(n), true, true
}

// acknowledgeLoss takes the annotation over once, when its value is new. A value
// above the number of events acknowledges those that there are; were it read
// anew at each pass, it would acknowledge losses that nobody has seen yet.
func (s *scope) acknowledgeLoss() {
	if s.cache.Status.DataLossEvents == nil {
		return // nobody knows how many there are to acknowledge
	}
	text, number, given, ok := s.acknowledgement()
	d := s.dataLoss()
	switch {
	case !given || !ok:
		d.Acknowledged, d.Annotation = 0, ""
	case text != d.Annotation:
		d.Acknowledged, d.Annotation = min(number, *s.cache.Status.DataLossEvents), text
	}
	s.keepDataLoss(d)
}

// acknowledged is how many events a person knows of.
func (s *scope) acknowledged() int64 {
	if d := s.cache.Status.DataLoss; d != nil {
		return d.Acknowledged
	}
	return 0
}

// aboutAcknowledgement says what is wrong with the annotation, if anything is.
func (s *scope) aboutAcknowledgement() string {
	text, number, given, ok := s.acknowledgement()
	switch {
	case !given || s.cache.Status.DataLossEvents == nil:
		return ""
	case !ok:
		return fmt.Sprintf("the annotation %s is %q, which acknowledges nothing: a whole number from 0 to %d is allowed",
			v1alpha1.AnnotationAcknowledgeDataLoss, observe.Cut(text, 40), *s.cache.Status.DataLossEvents)
	case number > s.acknowledged():
		return fmt.Sprintf("the annotation %s is %q, but there were %d events when it was given, and 0 to %d was allowed: it acknowledges those and none that follows",
			v1alpha1.AnnotationAcknowledgeDataLoss, text, s.acknowledged(), s.acknowledged())
	}
	return ""
}
