// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package verdict

import (
	"errors"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/failure"
	"github.com/writebehind/operator/internal/controller/plan"
	"github.com/writebehind/operator/internal/controller/rivals"
	"github.com/writebehind/operator/internal/controller/snapshot"
	"github.com/writebehind/operator/internal/controller/snapshot/snapshottest"
	"github.com/writebehind/operator/internal/flusher/config"
)

// drain decides a deletion as a pass does.
func drain(t *testing.T, s *snapshot.Snapshot, err error) (Drain, bool) {
	t.Helper()
	if d := BeforeDraining(s); d.Done {
		return d, false
	}
	p, failed := plan.Make(s, "image")
	if failed != nil {
		t.Fatal(failed)
	}
	return WhileDraining(s, p, err), true
}

func TestADeletionEndsWhenNothingNeedsToBeWaitedFor(t *testing.T) {
	type resource = func(*v1alpha1.WriteBehindCache)
	retain := func(c *v1alpha1.WriteBehindCache) { c.Spec.DeletionPolicy = v1alpha1.DeletionPolicyRetain }
	managed := func(c *v1alpha1.WriteBehindCache) { c.Spec.Redis = v1alpha1.Redis{Managed: &v1alpha1.ManagedRedis{}} }
	late := func(c *v1alpha1.WriteBehindCache) {
		c.DeletionTimestamp = new(metav1.NewTime(snapshottest.Now.Add(-time.Hour)))
	}
	misspelled := func(c *v1alpha1.WriteBehindCache) {
		c.Annotations = map[string]string{v1alpha1.AnnotationForceDelete: "yes"}
	}
	began := func(s *snapshot.Snapshot) {
		earlier(v1alpha1.ConditionDraining, metav1.ConditionTrue, v1alpha1.ReasonDraining, "began", 3)(s)
		s.Cache.Status.Mappings = []v1alpha1.MappingStatus{{Name: "products", Journal: "journal-of-products"}}
	}
	holds := snapshottest.Says(func(d *config.Status) { d.Queues[0].Depth, d.Queues[0].Refused, d.Queues[0].LastError = 2, 1, "22P02" })
	dead := snapshottest.Says(func(d *config.Status) { d.Queues[0].DeadLetters = 1 })
	cutOff := snapshottest.Says(func(d *config.Status) { d.Redis = failing(v1alpha1.ReasonConnectionFailed, "no answer") })
	closed := snapshottest.Says(func(d *config.Status) { d.Queues[0].State = config.StatePaused })
	neverRan := func(s *snapshot.Snapshot) {
		s.Flushers.Started, s.Flushers.Deployment.Status.ReadyReplicas = false, 0
	}
	neverReached := snapshottest.Says(func(d *config.Status) {
		d.Redis, d.ObservedTime, d.Queues = failing(v1alpha1.ReasonConnectionFailed, "no answer"), time.Time{}, nil
	})
	journal := func(s *snapshot.Snapshot) {
		s.Cache.Status.Mappings = []v1alpha1.MappingStatus{{Name: "products", Journal: "journal-of-products"}}
	}
	away := errors.New("the API server is away")
	ending := &apierrors.StatusError{ErrStatus: metav1.Status{
		Reason: metav1.StatusReasonForbidden, Message: "it is ending",
		Details: &metav1.StatusDetails{Causes: []metav1.StatusCause{{Type: corev1.NamespaceTerminatingCause}}},
	}}
	noPods := func(s *snapshot.Snapshot) { s.Flushers.Pods, s.Seen.Flushers = nil, nil }

	for name, c := range map[string]struct {
		resources []resource
		edits     []snapshottest.Edit
		err       error
		brings    bool // whether draining has to be brought about first
		done      bool
		says      string // reason and how the message begins
		after     time.Duration
		failure   error
	}{
		"empty": {brings: true, done: true, says: "Drained: The queues are empty; the objects are being removed"},
		"empty, although something could not be brought about": {err: away, brings: true, done: true, says: "Drained: The queues are empty"},
		"not closed yet": {
			edits:  []snapshottest.Edit{snapshottest.Says(func(d *config.Status) { d.Queues[0].State = "open" })},
			brings: true, says: "Draining: queue products is not closed to writers yet", after: 299 * time.Second,
		},
		"not empty": {
			edits: []snapshottest.Edit{holds}, brings: true, after: 299 * time.Second,
			says: "Draining: queue products holds 2 entries and 0 dead letters, refused by the database: 1: 22P02",
		},
		"dead letters": {
			edits: []snapshottest.Edit{dead}, brings: true, after: 299 * time.Second,
			says: "Draining: queue products holds 0 entries and 1 dead letter (kubectl exec -n ns deploy/shop-flusher -- /flusher dlq replay --all, or discard, takes the dead letters out)",
		},
		"a failure is in the way": {edits: []snapshottest.Edit{holds}, err: away, brings: true, says: "Draining: queue products holds 2 entries", failure: away},
		"only a person can help": {
			edits: []snapshottest.Edit{holds}, err: &failure.Stalled{Reason: "X", Message: "no"}, brings: true, after: 299 * time.Second,
			says: "Draining: queue products holds 2 entries", failure: &failure.Stalled{},
		},
		"only a person can help, and is looked for at intervals": {
			edits: []snapshottest.Edit{holds}, err: &failure.Stalled{Reason: "X", Retry: 30 * time.Second}, brings: true, after: 30 * time.Second,
			says: "Draining: queue products holds 2 entries", failure: &failure.Stalled{},
		},
		"only a person can help, and is looked for after the time-out": {
			edits: []snapshottest.Edit{holds}, err: &failure.Stalled{Reason: "X", Retry: time.Hour}, brings: true, after: 299 * time.Second,
			says: "Draining: queue products holds 2 entries", failure: &failure.Stalled{},
		},
		"Redis is away": {
			edits: []snapshottest.Edit{journal, cutOff}, brings: true, after: 299 * time.Second,
			says: `Draining: queue products is not closed to writers yet; ConnectionFailed: no answer. If that does not change, the annotation cache.writebehind.dev/force-delete: "true" gives up`,
		},
		"nobody answers": {
			edits: []snapshottest.Edit{journal, snapshottest.Silent}, brings: true, after: 299 * time.Second,
			says: "Draining: No flusher answers: Pod shop-flusher-a does not answer, and no flusher has reported the queues empty",
		},
		"the time is up": {
			resources: []resource{late}, edits: []snapshottest.Edit{holds}, brings: true,
			says: "DrainBlocked: queue products holds 2 entries and 0 dead letters, refused by the database: 1: 22P02. drainTimeoutSeconds (300) have passed; draining goes on.",
		},
		"a misspelled annotation": {resources: []resource{misspelled}, edits: []snapshottest.Edit{holds}, brings: true, after: 299 * time.Second, says: "Draining: queue products holds"},
		"nobody looked yet":       {edits: []snapshottest.Edit{began, snapshottest.NotLooked}, brings: true, says: "Draining: began"},
		"a queue that no flusher carries": {
			edits: []snapshottest.Edit{func(s *snapshot.Snapshot) {
				s.Cache.Status.Mappings = []v1alpha1.MappingStatus{{Name: "orders", Journal: "x"}}
				snapshottest.Forced(s.Cache)
			}}, done: true, says: "Drained: The annotation",
		},
		"given up":                      {resources: []resource{snapshottest.Forced}, edits: []snapshottest.Edit{holds}, done: true, says: "Drained: The annotation cache.writebehind.dev/force-delete gives up what is queued"},
		"no flusher ever ran":           {edits: []snapshottest.Edit{neverRan}, done: true, says: "Drained: No flusher ever reached Redis: there is nothing to drain"},
		"none ever reached Redis":       {edits: []snapshottest.Edit{neverReached}, done: true, says: "Drained: No flusher ever reached Redis"},
		"none says so, but a queue was": {edits: []snapshottest.Edit{neverReached, journal}, brings: true, says: "Draining: queue products is not closed", after: 299 * time.Second},
		"others have the queues": {
			edits: []snapshottest.Edit{func(s *snapshot.Snapshot) { s.Rivals = map[string]*rivals.Rival{"products": {}} }}, done: true,
			says: "Drained: Other resources have the same queues on this Redis",
		},
		"the namespace ends": {
			edits: []snapshottest.Edit{journal, noPods}, err: ending, brings: true, done: true,
			says: "Drained: The namespace is being deleted and no flusher is left, which gives up what is queued: No flusher answers",
		},
		"the namespace ends, and a flusher is left": {edits: []snapshottest.Edit{holds}, err: ending, brings: true, says: "Draining: queue products holds", failure: ending},

		"an external Redis retained":                      {resources: []resource{retain}, done: true, says: "Retained: spec.deletionPolicy is Retain: Redis keeps the queued entries"},
		"a managed Redis retained":                        {resources: []resource{managed, retain}, done: true, says: "Retained: spec.deletionPolicy is Retain: StatefulSet shop-redis with its Service, ConfigMaps and volume, and Secrets "},
		"retained after draining began, and open again":   {resources: []resource{retain}, edits: []snapshottest.Edit{began}, brings: true, done: true, says: "Retained: "},
		"retained after draining began, and still closed": {resources: []resource{retain}, edits: []snapshottest.Edit{began, closed}, brings: true, says: "Draining: Waiting for queue products to be open to writers again, before Redis is retained. To leave it closed"},
		"retained after draining began, which fails":      {resources: []resource{retain}, edits: []snapshottest.Edit{began, closed}, err: away, brings: true, says: "Draining: Redis cannot be retained yet: the API server is away", failure: away},
	} {
		t.Run(name, func(t *testing.T) {
			s := snapshottest.Ready(func(cache *v1alpha1.WriteBehindCache) {
				snapshottest.Deleted(cache)
				for _, edit := range c.resources {
					edit(cache)
				}
			})
			for _, edit := range c.edits {
				edit(s)
			}
			d, brings := drain(t, s, c.err)
			if got := d.Condition.Reason + ": " + d.Condition.Message; d.Condition.Status != metav1.ConditionTrue || !strings.HasPrefix(got, c.says) {
				t.Errorf("Draining is %s %s, want %s", d.Condition.Status, got, c.says)
			}
			if brings != c.brings || d.Done != c.done || d.Done == (d.Err != nil) {
				t.Errorf("brings about %t, done %t, with %v", brings, d.Done, d.Err)
			}
			var waiting *failure.Waiting
			var stalled *failure.Stalled
			switch {
			case d.Done:
			case errors.As(d.Err, &waiting):
				if c.failure != nil || waiting.After != c.after {
					t.Errorf("waits for %s, want %s", waiting.After, c.after)
				}
			case errors.As(d.Err, &stalled):
				if !errors.As(c.failure, new(*failure.Stalled)) || stalled.Retry != c.after {
					t.Errorf("stalled for %s, want %s", stalled.Retry, c.after)
				}
			case !errors.Is(d.Err, c.failure):
				t.Errorf("ends with %v, want %v", d.Err, c.failure)
			}
		})
	}
}

func TestARecordStandsWithWhatItWaitsFor(t *testing.T) {
	s := snapshottest.Ready(snapshottest.Deleted)
	if r := Record(s); r != nil {
		t.Errorf("there is a record: %+v", r)
	}
	done := abnormal(v1alpha1.ReasonDrained, "The queues are empty")
	waits := done.WaitingFor("flusher Pods a, b to end")
	if waits.Message != "The queues are empty; waiting for flusher Pods a, b to end" {
		t.Errorf("it says %s", waits.Message)
	}
	earlier(v1alpha1.ConditionDraining, waits.Status, waits.Reason, waits.Message, 3)(s)
	if r := Record(s); r == nil || *r != *done {
		t.Errorf("the record is %+v", r)
	}
}

func TestADeletionWaitsForTheFlushersToEnd(t *testing.T) {
	going := func(ago time.Duration) snapshottest.Edit {
		return func(s *snapshot.Snapshot) {
			pod := s.Flushers.Pods[0]
			pod.DeletionTimestamp = new(metav1.NewTime(s.Now.Add(-ago)))
			s.Flushers.Pods, s.Flushers.Terminating = nil, []corev1.Pod{pod}
		}
	}
	forced := func(s *snapshot.Snapshot) { snapshottest.Forced(s.Cache) }
	for name, c := range map[string]struct {
		edits []snapshottest.Edit
		waits bool
		after time.Duration
	}{
		"one that runs":                         {nil, true, 0},
		"one that ends":                         {[]snapshottest.Edit{going(time.Second)}, true, 0},
		"one of a lost node":                    {[]snapshottest.Edit{going(time.Hour)}, true, 0},
		"one that ends, given up":               {[]snapshottest.Edit{going(time.Second), forced}, true, 29 * time.Second},
		"one of a lost node, given up":          {[]snapshottest.Edit{going(time.Hour), forced}, false, 0},
		"none":                                  {[]snapshottest.Edit{func(s *snapshot.Snapshot) { s.Flushers.Pods = nil }}, false, 0},
		"one that nobody deleted yet, given up": {[]snapshottest.Edit{forced}, true, 0},
	} {
		s := snapshottest.Ready(snapshottest.Deleted)
		for _, edit := range c.edits {
			edit(s)
		}
		w := FlushersEnd(s, 30*time.Second)
		if (w != nil) != c.waits || w != nil && (w.What != "flusher Pods shop-flusher-a to end" || w.After != c.after) {
			t.Errorf("%s: waits for %+v", name, w)
		}
	}
	if got := podNames(make([]corev1.Pod, mostNamed+2)); !strings.HasSuffix(got, "and 2 more") {
		t.Errorf("many Pods are %q", got)
	}
}
