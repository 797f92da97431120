// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package verdict

import (
	"slices"
	"time"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/resources"
	"github.com/writebehind/operator/internal/controller/snapshot"
	"github.com/writebehind/operator/internal/flusher/config"
)

// mostJournals is how many lives of queues with data-loss events are remembered, as
// many as the resource's schema allows. Each is an incident of its own.
const mostJournals = 128

// countDataLoss adds to the data-loss events what has come to light of one queue. A loss
// is noticed by the flusher, in the journal's own count, or by the operator, in the
// journal's id; and the count is lost with the journal. So the status remembers what
// was counted, by journal:
//
//	the count rose          those are the events
//	the count fell          Redis went back to older data: one event
//	another journal at the  the queue was lost: the events that the new journal
//	same Redis              has counted, or one where no flusher saw it vanish
//	a journal at another    a queue that is new to the resource, or came back:
//	Redis, or after none    the events that were not counted yet
//
// With capture Replication the count is kept in the database and goes on from one history of
// the stream to the next, so it is remembered by mapping; a new history is counted by the
// flusher that began it.
func countDataLoss(f *facts, m *v1alpha1.MappingStatus) {
	lost := false
	q, document := life(f, m.Name)
	if q != nil {
		address := resources.RedisPlace(f.Settings.Redis.External)
		lost = m.Journal != "" && m.Journal != q.Journal && resources.SamePlace(m.RedisAddress, address) && !f.Replicates()
		m.Journal, m.RedisAddress, m.KeyPrefix = q.Journal, address, keyPrefix(f.Settings, m.Name)
	} else {
		// Where a flusher of other settings looks is not known, but a journal that
		// is known already counts wherever it is read.
		q, document = snapshot.Newest(f.documents, m.Name, f.Settled)
		if m.Journal == "" {
			m.Journal = q.Journal
		}
		if m.Journal != q.Journal {
			return
		}
	}

	counter := q.Journal
	if f.Replicates() {
		counter = streamOf + m.Name
	}
	counted := lossOf(f.status, counter)
	events := max(q.DataLossEvents-counted, 0)
	switch {
	case lost:
		events = max(events, 1)
	case q.DataLossEvents >= counted:
	case !document.ObservedTime.Truncate(time.Second).After(f.Cache.Status.LastObservedTime.Time):
		return // this document was read late, and is about a moment before
	default:
		events = 1
	}
	rememberLoss(f.status, counter, q.DataLossEvents)
	m.DataLossEvents = new(valueOf(m.DataLossEvents) + events)
	f.status.DataLossEvents = new(valueOf(f.status.DataLossEvents) + events)
}

// streamOf begins what the status calls the count of a queue whose entries come from the
// replication stream. No id of a journal has a colon.
const streamOf = "stream:"

// life is the newest report on a queue from the flushers that run the present
// settings, and so are at the Redis that those name. It is nil when there is none,
// and while they name several journals: one of them is about a moment ago.
func life(f *facts, name string) (*config.QueueStatus, *config.Status) {
	var documents []*config.Status
	journal := ""
	for i := range f.Flushers.Pods {
		pod := &f.Flushers.Pods[i]
		answer, ok := f.Seen.Of(pod.UID)
		if !ok || answer.Status == nil || !f.Settled(answer.Status) || !f.runs(pod) {
			continue
		}
		named := snapshot.Journal(answer.Status, name)
		switch {
		case named == "":
			continue
		case journal == "":
			journal = named
		case journal != named:
			return nil, nil
		}
		documents = append(documents, answer.Status)
	}
	return snapshot.Newest(documents, name, f.Settled)
}

// keyPrefix is that of the mapping that the flushers have of the name. It goes with
// the address: while a mapping that was taken out is not empty, one of its name with
// another prefix waits.
func keyPrefix(settings *config.Config, name string) string {
	for _, m := range settings.Mappings {
		if m.Name == name {
			return m.KeyPrefix
		}
	}
	return ""
}

// lossOf is how many events of one life of a queue were counted.
func lossOf(status *v1alpha1.WriteBehindCacheStatus, journal string) int64 {
	if d := status.DataLoss; d != nil {
		for _, j := range d.Journals {
			if j.Journal == journal {
				return j.Events
			}
		}
	}
	return 0
}

// rememberLoss keeps how many events of one life of a queue are counted. Without any
// there is nothing to remember.
func rememberLoss(status *v1alpha1.WriteBehindCacheStatus, journal string, events int64) {
	d := dataLoss(status)
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
	keepDataLoss(status, d)
}

// dataLoss is a copy of what is remembered, which keepDataLoss puts back.
func dataLoss(status *v1alpha1.WriteBehindCacheStatus) *v1alpha1.DataLossStatus {
	if d := status.DataLoss; d != nil {
		return d.DeepCopy()
	}
	return &v1alpha1.DataLossStatus{}
}

func keepDataLoss(status *v1alpha1.WriteBehindCacheStatus, d *v1alpha1.DataLossStatus) {
	status.DataLoss = d
	if d.Acknowledged == 0 && d.Annotation == "" && len(d.Journals) == 0 {
		status.DataLoss = nil
	}
}
