// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package verdict

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/failure"
	"github.com/writebehind/operator/internal/controller/snapshot"
	"github.com/writebehind/operator/internal/controller/snapshot/snapshottest"
	"github.com/writebehind/operator/internal/flusher/config"
)

func TestWhenAnotherPassIsDue(t *testing.T) {
	away := errors.New("the API server is away")
	for name, c := range map[string]struct {
		did      Progress
		after    time.Duration
		err      error
		observed bool
	}{
		"success":                   {Progress{}, 0, nil, true},
		"something is due":          {Progress{Again: 3}, 3, nil, true},
		"a failure goes first":      {Progress{Again: 3, Failure: &failure.Waiting{After: 5}}, 5, nil, true},
		"a failure without a time":  {Progress{Again: 3, Failure: &failure.Stalled{Reason: "X"}}, 3, nil, true},
		"a failure that is retried": {Progress{Again: 3, Failure: away}, 0, away, false},
	} {
		v := reach(t, snapshottest.Ready(nil), c.did)
		if v.Result.RequeueAfter != c.after || !errors.Is(v.Err, c.err) || (v.Status.ObservedGeneration == 3) != c.observed {
			t.Errorf("%s: %+v, %v, generation %d", name, v.Result, v.Err, v.Status.ObservedGeneration)
		}
	}
}

func TestThePasswordIsToldOnceItIsThere(t *testing.T) {
	redis := &v1alpha1.RedisStatus{Address: "shop-redis:6379", SecretName: "x"}
	s := snapshottest.Ready(nil)
	if v := reach(t, s, Progress{Redis: redis}); v.Status.Redis != redis {
		t.Errorf("the status says %+v", v.Status.Redis)
	}
	s.Cache.Status.Redis = redis
	if v := reach(t, s, Progress{}); !equality.Semantic.DeepEqual(v.Status.Redis, redis) {
		t.Errorf("the status then says %+v", v.Status.Redis)
	}
}

func TestNumbers(t *testing.T) {
	s := snapshottest.Ready(func(c *v1alpha1.WriteBehindCache) {
		c.Spec.Mappings = append(c.Spec.Mappings, snapshottest.Mapping("orders", "order:"), snapshottest.Mapping("pages", "page:"))
		c.Status.Mappings = []v1alpha1.MappingStatus{{Name: "pages", Journal: "x", QueueDepth: new(int64(5)), LastError: "old"}, {Name: "gone", QueueDepth: new(int64(9))}}
	})
	first := s.Seen.Flushers[0].Status
	second := snapshottest.AddFlusher(s, "b")
	second.ObservedTime = snapshottest.Now.Add(time.Second)
	set := func(q *config.QueueStatus, depth, dead int64, oldest float64, flushed int64, at time.Time, last string) {
		q.Depth, q.DeadLetters, q.OldestPendingSeconds, q.Flushed, q.LastFlushTime, q.LastError = depth, dead, oldest, flushed, at, last
	}
	set(&first.Queues[0], 1, 1, 1, 1, snapshottest.Now, "") // older than what the second says
	set(&second.Queues[0], 2, 3, 9.7, 4, snapshottest.Long, "22P02")
	set(&second.Queues[1], 10, 0, 1, 6, snapshottest.Long, "")
	first.Queues, second.Queues = first.Queues[:2], second.Queues[:2] // nobody tells of pages
	v := reach(t, s, Progress{})

	status := &v.Status
	if got := len(status.Mappings); got != 3 || status.Mappings[0].Name != "products" || status.Mappings[2].Name != "pages" {
		t.Fatalf("the mappings are %+v", status.Mappings)
	}
	products, pages := status.Mappings[0], status.Mappings[2]
	if *products.QueueDepth != 2 || *products.DeadLetters != 3 || *products.OldestPendingSeconds != 9 || *products.FlushedTotal != 4 {
		t.Errorf("the numbers of products are %+v, want the newest", products)
	}
	if !products.LastFlushTime.Time.Equal(snapshottest.Now) || products.LastError != "22P02" {
		t.Errorf("the last flush of products is %s, its error %q", products.LastFlushTime, products.LastError)
	}
	if *pages.QueueDepth != 5 || pages.LastError != "" {
		t.Errorf("pages, of which nobody tells, is %+v", pages)
	}
	if *status.QueueDepth != 17 || *status.DeadLetters != 3 || *status.FlushedTotal != 10 || *status.OldestPendingSeconds != 9 {
		t.Errorf("the sums are %d %d %d %d", *status.QueueDepth, *status.DeadLetters, *status.FlushedTotal, *status.OldestPendingSeconds)
	}
	if !status.LastObservedTime.Time.Equal(second.ObservedTime) {
		t.Errorf("observed at %s", status.LastObservedTime)
	}
}

func TestAClockAloneIsNoReasonToWrite(t *testing.T) {
	s := snapshottest.Ready(nil)
	s.Cache.Status = reach(t, s, Progress{}).Status
	s.Now = s.Now.Add(time.Hour)
	snapshottest.Says(func(d *config.Status) { d.ObservedTime = s.Now })(s)
	v := reach(t, s, Progress{})
	if !equality.Semantic.DeepEqual(v.Status, s.Cache.Status) || len(v.Events) > 0 {
		t.Errorf("the status becomes %+v, with events %v", v.Status, v.Events)
	}
}

func TestUnknownIsNotZero(t *testing.T) {
	s := snapshottest.Ready(nil)
	snapshottest.Says(func(d *config.Status) { d.Redis = failing(v1alpha1.ReasonConnectionFailed, "x") })(s)
	v := reach(t, s, Progress{})
	if v.Status.QueueDepth != nil || v.Status.DeadLetters != nil || v.Status.DataLossEvents != nil {
		t.Errorf("numbers of a Redis that nobody reached are %+v", v.Status)
	}
}

// known is a status with a journal that was seen at the address.
func known(journal, address string, counted int64) snapshottest.Edit {
	return func(s *snapshot.Snapshot) {
		s.Cache.Status.Mappings = []v1alpha1.MappingStatus{{Name: "products", Journal: journal, RedisAddress: address, DataLossEvents: new(counted)}}
		s.Cache.Status.DataLossEvents = new(counted)
		if counted > 0 {
			s.Cache.Status.DataLoss = &v1alpha1.DataLossStatus{Journals: []v1alpha1.JournalLoss{{Journal: journal, Events: counted}}}
		}
	}
}

// TestAnotherJournalBehindTheSameSentinelsIsALoss, in whatever order they are given.
func TestAnotherJournalBehindTheSameSentinelsIsALoss(t *testing.T) {
	for seen, want := range map[string]int64{"m@a:1,b:1": 3, "m@b:1,a:1": 3, "m@b:1,c:1": 3, "m@c:1,d:1": 2, "n@a:1,b:1": 2, "a:1": 2} {
		s := snapshottest.Ready(func(c *v1alpha1.WriteBehindCache) {
			c.Spec.Redis.External = &v1alpha1.ExternalRedis{Mode: v1alpha1.RedisModeSentinel, MasterName: "m", Addresses: []string{"b:1", "a:1"}}
		})
		known("another", seen, 2)(s)
		status := reach(t, s, Progress{}).Status
		if got := valueOf(status.DataLossEvents); got != want || status.Mappings[0].RedisAddress != "m@a:1,b:1" {
			t.Errorf("%s: %d events, want %d, and the Redis is %s", seen, got, want, status.Mappings[0].RedisAddress)
		}
	}
}

// A loss is counted once, whoever notices it.
func TestLosses(t *testing.T) {
	tells := func(events int64) snapshottest.Edit {
		return snapshottest.Says(func(d *config.Status) { d.Queues[0].DataLossEvents = events })
	}
	const here, mine = "redis:6379", "journal-of-products"
	for name, c := range map[string]struct {
		edits []snapshottest.Edit
		want  int64
	}{
		"the first look at a queue":                   {nil, 0},
		"the first look at one with losses":           {[]snapshottest.Edit{tells(2)}, 2},
		"the count stays":                             {[]snapshottest.Edit{known(mine, here, 2), tells(2)}, 2},
		"the count rose":                              {[]snapshottest.Edit{known(mine, here, 2), tells(5)}, 5},
		"the count fell":                              {[]snapshottest.Edit{known(mine, here, 2), tells(1)}, 3},
		"the count fell, in a document of before":     {[]snapshottest.Edit{known(mine, here, 2), tells(1), observedNow}, 2},
		"another journal, and nobody saw the old go":  {[]snapshottest.Edit{known("another", here, 2), tells(0)}, 3},
		"another journal, which counts that itself":   {[]snapshottest.Edit{known("another", here, 2), tells(1)}, 3},
		"a journal at another Redis":                  {[]snapshottest.Edit{known("another", "earlier:6379", 2), tells(0)}, 2},
		"another journal, as a flusher of before has": {[]snapshottest.Edit{known("another", here, 2), tells(1), snapshottest.Behind}, 2},
		"the known journal, from a flusher of before": {[]snapshottest.Edit{known(mine, here, 2), tells(3), snapshottest.Behind}, 3},
		"two journals, of which one is of before": {[]snapshottest.Edit{known(mine, here, 0), func(s *snapshot.Snapshot) {
			snapshottest.AddFlusher(s, "b").Queues[0].Journal = "another"
		}}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := snapshottest.Ready(nil)
			for _, edit := range c.edits {
				edit(s)
			}
			v := reach(t, s, Progress{})
			if got := valueOf(v.Status.DataLossEvents); got != c.want || valueOf(v.Status.Mappings[0].DataLossEvents) != c.want {
				t.Errorf("%d events, %d of the mapping; want %d", got, valueOf(v.Status.Mappings[0].DataLossEvents), c.want)
			}
			s.Cache.Status = v.Status
			if got := valueOf(reach(t, s, Progress{}).Status.DataLossEvents); got != c.want {
				t.Errorf("the next pass counts %d", got)
			}
		})
	}
}

// observedNow is a status that was written after the flushers were last looked at.
func observedNow(s *snapshot.Snapshot) { s.Cache.Status.LastObservedTime.Time = s.Now }

func TestAcknowledgement(t *testing.T) {
	s := snapshottest.Ready(func(c *v1alpha1.WriteBehindCache) { c.Annotations = map[string]string{} })
	snapshottest.Says(func(d *config.Status) { d.Queues[0].DataLossEvents = 2 })(s)
	for _, step := range []struct {
		text  string
		lost  int64
		acked int64
		says  string
	}{
		{"", 2, 0, ""},
		{"1", 2, 1, ""},
		{"9", 2, 2, `is "9", but when it was set the number of events was 2`},
		{"9", 3, 2, `is "9", but when it was set the number of events was 2`}, // no blank cheque
		{"3", 3, 3, ""},
		{"-1", 3, 0, `is "-1", which acknowledges nothing: a whole number from 0 to 3 is allowed`},
		{"000000000000000000003", 3, 0, "acknowledges nothing"},
	} {
		s.Cache.Annotations[v1alpha1.AnnotationAcknowledgeDataLoss] = step.text
		if step.text == "" {
			delete(s.Cache.Annotations, v1alpha1.AnnotationAcknowledgeDataLoss)
		}
		snapshottest.Says(func(d *config.Status) { d.Queues[0].DataLossEvents = step.lost })(s)
		s.Cache.Status = reach(t, s, Progress{}).Status
		var acked int64
		if d := s.Cache.Status.DataLoss; d != nil {
			acked = d.Acknowledged
		}
		durable := shown(&s.Cache.Status, v1alpha1.ConditionDurable)
		if acked != step.acked || !contains(durable, step.says) || contains(durable, "the annotation") != (step.says != "") {
			t.Errorf("%q acknowledges %d of %d, and Durable is %s; want %d and %q", step.text, acked, step.lost, durable, step.acked, step.says)
		}
	}
}

func TestWhatIsNoNumberAcknowledgesNothing(t *testing.T) {
	s := snapshottest.Ready(func(c *v1alpha1.WriteBehindCache) { c.Annotations = map[string]string{} })
	snapshottest.Says(func(d *config.Status) { d.Queues[0].DataLossEvents = 2 })(s)
	for _, value := range []string{"all", "-1", "2.0", "2 ", "", "+2", "99999999999999999999", strings.Repeat("9", 300)} {
		s.Cache.Annotations[v1alpha1.AnnotationAcknowledgeDataLoss] = value
		v := reach(t, s, Progress{})
		want := fmt.Sprintf("is %q, which acknowledges nothing: a whole number from 0 to 2 is allowed", value[:min(len(value), 40)])
		if got := shown(&v.Status, v1alpha1.ConditionDurable); !contains(got, "acknowledged: 0") || !contains(got, want) {
			t.Errorf("%q: Durable is %s", value, got)
		}
		s.Cache.Status = v.Status
	}
}

func TestTheWorstOfSeveralFlushersCounts(t *testing.T) {
	s := snapshottest.Ready(nil)
	second := snapshottest.AddFlusher(s, "b")
	second.Database = failing(v1alpha1.ReasonConnectionFailed, "no route from this node")
	v := reach(t, s, Progress{})
	if got := shown(&v.Status, v1alpha1.ConditionReady); got != "False ConnectionFailed 3: no route from this node" {
		t.Errorf("Ready is %s", got)
	}
}

// With names of 63 characters the message still holds the remedy.
func TestManyMappingsWithDeadLettersLeaveRoomForTheCommand(t *testing.T) {
	s := snapshottest.Ready(func(c *v1alpha1.WriteBehindCache) {
		c.Spec.Mappings = nil
		for i := range 20 {
			c.Spec.Mappings = append(c.Spec.Mappings, snapshottest.Mapping(fmt.Sprintf("%s-%02d", strings.Repeat("m", 60), i), fmt.Sprintf("m%02d:", i)))
		}
	})
	snapshottest.Says(func(d *config.Status) {
		for i := range d.Queues {
			d.Queues[i].DeadLetters, d.Queues[i].DataLossEvents = 1, 1
		}
	})(s)
	v := reach(t, s, Progress{})
	if got := shown(&v.Status, v1alpha1.ConditionDeadLetterQueueEmpty); !contains(got, "of 12 other mappings") || !contains(got, "/flusher dlq list") {
		t.Errorf("DeadLetterQueueEmpty is %s", got)
	}
	if got := shown(&v.Status, v1alpha1.ConditionDurable); !contains(got, "12 of other mappings") || !contains(got, "acknowledge-data-loss=20") {
		t.Errorf("Durable is %s", got)
	}
}
