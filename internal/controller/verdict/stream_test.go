// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package verdict

import (
	"testing"

	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/plan"
	"github.com/writebehind/operator/internal/controller/snapshot"
	"github.com/writebehind/operator/internal/controller/snapshot/snapshottest"
	"github.com/writebehind/operator/internal/flusher/config"
)

func TestStatusOfTheStream(t *testing.T) {
	s := snapshottest.Ready(snapshottest.Replicated)
	snapshottest.Streams(func(r *config.Replication) {
		r.BehindBytes, r.BehindSeconds, r.Scanned, r.ScannedKeys, r.Notice = 16<<20, 3.9, false, 12, "FLUSHALL"
	})(s)
	v := reach(t, s, Progress{})
	want := &v1alpha1.ReplicationStatus{
		History: 1764000000000000, BehindBytes: new(int64(16 << 20)), BehindSeconds: new(int64(3)), BacklogPercent: new(int64(25)),
		Scanning: true, ScannedKeys: 12, Notice: "FLUSHALL",
	}
	if v.Status.Capture != v1alpha1.CaptureReplication || !equality.Semantic.DeepEqual(v.Status.Replication, want) {
		t.Errorf("capture %q, %+v, want %+v", v.Status.Capture, v.Status.Replication, want)
	}
	notices := 0
	for _, e := range v.Events {
		if e.Reason == v1alpha1.EventReplicationNotice && e.Warning && e.Note == "FLUSHALL" {
			notices++
		}
	}
	s.Cache.Status = v.Status
	snapshottest.Streams(func(r *config.Replication) { r.Notice = "" })(s) // another flusher reads
	v = reach(t, s, Progress{})
	if notices != 1 || len(v.Events) != 0 || v.Status.Replication.Notice != "FLUSHALL" {
		t.Errorf("%d events of the notice, then %v and %q", notices, v.Events, v.Status.Replication.Notice)
	}
	snapshottest.Silent(s)
	if after := reach(t, s, Progress{}).Status.Replication; !equality.Semantic.DeepEqual(after, v.Status.Replication) {
		t.Errorf("while nobody answers: %+v", after)
	}
	functions := reach(t, snapshottest.Ready(nil), Progress{})
	if functions.Status.Capture != v1alpha1.CaptureFunctions || functions.Status.Replication != nil {
		t.Errorf("with capture Functions: %q, %+v", functions.Status.Capture, functions.Status.Replication)
	}
}

func TestBacklogOfTheStream(t *testing.T) {
	external := func(s *snapshot.Snapshot) {
		s.Cache.Spec.Redis = v1alpha1.Redis{External: &v1alpha1.ExternalRedis{Addresses: []string{"redis:6379"}}}
	}
	behind := func(mebibytes int64, seconds float64) snapshottest.Edit {
		return snapshottest.Streams(func(r *config.Replication) { r.BehindBytes, r.BehindSeconds = mebibytes<<20, seconds })
	}
	deep := snapshottest.Says(func(d *config.Status) { d.Queues[0].Depth = 5000 })
	for name, c := range map[string]struct {
		edits []snapshottest.Edit
		want  string
	}{
		"nothing is behind": {nil, "True AsExpected"},
		"under half":        {[]snapshottest.Edit{behind(31, 4)}, "True AsExpected"},
		"half":              {[]snapshottest.Edit{behind(32, 8), deep}, "False NearOverrun 3: 32 MiB of the replication stream are not committed, which is 50 % of Redis' backlog of 64 MiB: left are 32 MiB, about 8s at the present rate"},
		"more than half":    {[]snapshottest.Edit{behind(48, 30)}, "left are 16 MiB, about 10s at the present rate; then every key is read again, and what was deleted meanwhile is a data-loss event; flush faster or write less, and raise spec.redis.managed.replication.backlog"},
		"passed":            {[]snapshottest.Edit{behind(70, 8)}, "109 % of Redis' backlog of 64 MiB: when a flusher has to attach again now, every key is read again"},
		"no age is known":   {[]snapshottest.Edit{behind(32, 0)}, "left are 32 MiB; then"},
		"an external Redis": {[]snapshottest.Edit{external, behind(32, 0)}, "CONFIG SET repl-backlog-size"},
		"a deep queue":      {[]snapshottest.Edit{deep}, "False Warning"},
		"no backlog known":  {[]snapshottest.Edit{behind(99, 1), snapshottest.Streams(func(r *config.Replication) { r.BacklogBytes = 0 })}, "True AsExpected"},
		"it expires": {[]snapshottest.Edit{snapshottest.Streams(func(r *config.Replication) {
			r.Backlog = failing(v1alpha1.ReasonBacklogExpires, "CONFIG SET repl-backlog-ttl 0")
		})}, "False BacklogExpires 3: CONFIG SET repl-backlog-ttl 0"},
		"it was not looked at": {[]snapshottest.Edit{snapshottest.Streams(func(r *config.Replication) { r.Backlog = config.Check{} })}, "True AsExpected"},
	} {
		t.Run(name, func(t *testing.T) {
			s := snapshottest.Ready(snapshottest.Replicated)
			for _, edit := range c.edits {
				edit(s)
			}
			v := reach(t, s, Progress{})
			if got := shown(&v.Status, v1alpha1.ConditionBacklogHealthy); !contains(got, c.want) {
				t.Errorf("BacklogHealthy is %s; want %s", got, c.want)
			}
		})
	}
	if config.NearOverrun != 50 {
		t.Error("the shares above are around one half")
	}
}

func TestBacklogEventsSayBacklogOnce(t *testing.T) {
	s := snapshottest.Ready(snapshottest.Replicated)
	s.Cache.Status = reach(t, s, Progress{}).Status
	snapshottest.Streams(func(r *config.Replication) { r.Backlog = failing(v1alpha1.ReasonBacklogExpires, "why") })(s)
	v := reach(t, s, Progress{})
	if len(v.Events) != 1 || v.Events[0].Reason != "BacklogExpires" {
		t.Errorf("the events are %v", v.Events)
	}
	s.Cache.Status = v.Status
	snapshottest.Streams(func(r *config.Replication) { r.BehindBytes = r.BacklogBytes })(s)
	if v = reach(t, s, Progress{}); len(v.Events) != 1 || v.Events[0].Reason != "BacklogNearOverrun" {
		t.Errorf("the events are %v", v.Events)
	}
}

// TestLossesOfTheStream: the count is kept in the database, and goes on from one history to
// the next. Two mappings have the history's name in common.
func TestLossesOfTheStream(t *testing.T) {
	s := snapshottest.Ready(func(c *v1alpha1.WriteBehindCache) {
		snapshottest.Replicated(c)
		c.Spec.Mappings = append(c.Spec.Mappings, snapshottest.Mapping("pages", "page:"))
	})
	history := func(name string, products, pages int64) {
		snapshottest.Says(func(d *config.Status) {
			d.Queues[0].Journal, d.Queues[0].DataLossEvents = name, products
			d.Queues[1].Journal, d.Queues[1].DataLossEvents = name, pages
		})(s)
	}
	for _, step := range []struct {
		name            string
		products, pages int64
		all             int64
	}{
		{"h1.16", 0, 0, 0}, {"h1.16", 1, 0, 1}, {"h2.16", 2, 1, 3}, {"h2.16", 2, 1, 3}, {"h3.16", 2, 1, 3},
	} {
		history(step.name, step.products, step.pages)
		v := reach(t, s, Progress{})
		if got := valueOf(v.Status.DataLossEvents); got != step.all || v.Status.Mappings[0].Journal != step.name {
			t.Errorf("%+v: %d events, journal %s", step, got, v.Status.Mappings[0].Journal)
		}
		s.Cache.Status = v.Status
	}
	snapshottest.Streams(func(r *config.Replication) { r.Notice = "the server could not go on" })(s)
	v := reach(t, s, Progress{})
	durable := shown(&v.Status, v1alpha1.ConditionDurable)
	if !contains(durable, "Deletions or writes may be missing in the tables, last because the server could not go on: 3 data-loss events") {
		t.Errorf("Durable is %s", durable)
	}
}

func TestADrainReadsTheStreamToItsEnd(t *testing.T) {
	s := snapshottest.Ready(func(c *v1alpha1.WriteBehindCache) { snapshottest.Replicated(c); snapshottest.Deleted(c) })
	if f := newFactsOf(t, s); len(notDrained(f)) != 0 {
		t.Errorf("what is empty is not drained: %v", notDrained(f))
	}
	snapshottest.Streams(func(r *config.Replication) { r.BehindBytes = 9 })(s)
	if left := notDrained(newFactsOf(t, s)); len(left) != 1 || !contains(left[0], "9 bytes of the replication stream are not carried yet; Redis goes on taking writes, so stop the applications that write") {
		t.Errorf("what is left is %v", left)
	}
}

func TestRedisReadyOfTheStream(t *testing.T) {
	s := snapshottest.Ready(snapshottest.Replicated)
	v := reach(t, s, Progress{})
	if got := shown(&v.Status, v1alpha1.ConditionRedisReady); contains(got, "capture functions") || !contains(got, "True AsExpected") {
		t.Errorf("RedisReady is %s", got)
	}
	snapshottest.Says(func(d *config.Status) {
		d.Redis = failing(v1alpha1.ReasonSettingsUnfit, "CONFIG SET lazyfree-lazy-expire yes")
	})(s)
	v = reach(t, s, Progress{})
	if got := shown(&v.Status, v1alpha1.ConditionRedisReady); got != "False SettingsUnfit 3: CONFIG SET lazyfree-lazy-expire yes" {
		t.Errorf("RedisReady is %s", got)
	}
}

func newFactsOf(t *testing.T, s *snapshot.Snapshot) *facts {
	t.Helper()
	p, err := plan.Make(s, &plan.Site{FlusherImage: "image"})
	if err != nil {
		t.Fatal(err)
	}
	return newFacts(s, p, Progress{}, stuckAfter)
}
