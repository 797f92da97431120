// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package verdict

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/failure"
	"github.com/writebehind/operator/internal/controller/plan"
	"github.com/writebehind/operator/internal/controller/snapshot"
	"github.com/writebehind/operator/internal/controller/snapshot/snapshottest"
	"github.com/writebehind/operator/internal/flusher/config"
)

const stuckAfter = time.Minute

// reach plans and judges.
func reach(t *testing.T, s *snapshot.Snapshot, did Progress) Verdict {
	t.Helper()
	p, err := plan.Make(s, "image")
	if err != nil && did.Failure == nil {
		did.Failure = err
	}
	before := s.Cache.DeepCopy()
	v := Reach(s, p, did, stuckAfter)
	if !reflect.DeepEqual(before, s.Cache) {
		t.Error("the resource that was read was changed")
	}
	return v
}

// shown is a condition in one line: status, reason, generation and message.
func shown(status *v1alpha1.WriteBehindCacheStatus, kind string) string {
	c := meta.FindStatusCondition(status.Conditions, kind)
	if c == nil {
		return "absent"
	}
	return fmt.Sprintf("%s %s %d: %s", c.Status, c.Reason, c.ObservedGeneration, c.Message)
}

func failing(reason, message string) config.Check {
	return config.Check{Reason: reason, Message: message}
}

// earlier has an earlier pass leave a condition long ago.
func earlier(kind string, status metav1.ConditionStatus, reason, message string, generation int64) snapshottest.Edit {
	return func(s *snapshot.Snapshot) {
		meta.SetStatusCondition(&s.Cache.Status.Conditions, metav1.Condition{
			Type: kind, Status: status, Reason: reason, Message: message, ObservedGeneration: generation,
			LastTransitionTime: metav1.NewTime(snapshottest.Long),
		})
	}
}

// pending is a Pod that cannot be scheduled.
var pending = corev1.PodStatus{Phase: corev1.PodPending, Conditions: []corev1.PodCondition{{
	Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Message: "no node",
}}}

// TestPrecedence begins with all that can be wrong at once, and repairs one thing at a
// time: each repair uncovers the next cause.
func TestPrecedence(t *testing.T) {
	type repair struct {
		what string
		edit func(*snapshot.Snapshot, *Progress)
		want string // how the condition then begins
	}
	edit := func(e snapshottest.Edit) func(*snapshot.Snapshot, *Progress) {
		return func(s *snapshot.Snapshot, _ *Progress) { e(s) }
	}
	says := func(e func(*config.Status)) func(*snapshot.Snapshot, *Progress) { return edit(snapshottest.Says(e)) }
	var silent *config.Status
	silenced := func(s *snapshot.Snapshot) {
		silent = s.Seen.Flushers[0].Status
		snapshottest.Silent(s)
	}
	fine := config.Check{OK: true}
	for kind, c := range map[string]struct {
		resource func(*v1alpha1.WriteBehindCache)
		wrong    []snapshottest.Edit
		did      Progress
		first    string
		repairs  []repair
	}{
		v1alpha1.ConditionRedisReady: {
			resource: func(c *v1alpha1.WriteBehindCache) { c.Spec.Redis = v1alpha1.Redis{Managed: &v1alpha1.ManagedRedis{}} },
			wrong: []snapshottest.Edit{snapshottest.Says(func(d *config.Status) {
				d.Redis = config.Check{}
				d.Queues[0].Ready = failing(v1alpha1.ReasonSplitBrain, "two of them")
			}), func(s *snapshot.Snapshot) {
				s.Redis.Pods = []corev1.Pod{{ObjectMeta: metav1.ObjectMeta{Name: "shop-redis-0"}, Status: pending}}
			}},
			first: "Unknown Progressing 3: A flusher has not checked Redis yet",
			repairs: []repair{
				{"it looked", says(func(d *config.Status) { d.Redis = failing(v1alpha1.ReasonAuthenticationFailed, "wrong password") }), "False AuthenticationFailed 3: wrong password; Pod shop-redis-0 cannot be scheduled: no node; Redis takes the password of Secret"},
				{"Redis works", says(func(d *config.Status) { d.Redis = fine }), "False SplitBrain 3: mapping products: two of them"},
				{"the queue works", says(func(d *config.Status) { d.Queues[0].Ready = failing(v1alpha1.ReasonTableUnlogged, "the database's") }), "True AsExpected 3: Redis is reachable"},
			},
		},
		v1alpha1.ConditionDatabaseReady: {
			wrong: []snapshottest.Edit{
				snapshottest.Says(func(d *config.Status) {
					d.Database, d.Circuit = config.Check{}, circuitHalfOpen
					d.Queues[0].Ready, d.Queues[0].Depth = failing(v1alpha1.ReasonSchemaMismatch, "no column"), 1
					d.Queues[0].LastFlushTime = snapshottest.Long
				}),
			},
			first: "Unknown Progressing 3: A flusher has not checked PostgreSQL yet",
			repairs: []repair{
				{"it looked", says(func(d *config.Status) { d.Database = failing(v1alpha1.ReasonConnectionFailed, "no answer") }), "False ConnectionFailed 3: no answer"},
				{"the server works", says(func(d *config.Status) { d.Database = fine }), "False SchemaMismatch 3: mapping products: no column"},
				{"the table fits, after the circuit opened", edit(func(s *snapshot.Snapshot) {
					earlier(v1alpha1.ConditionDatabaseReady, metav1.ConditionFalse, v1alpha1.ReasonCircuitOpen, "open", 3)(s)
					s.Seen.Flushers[0].Status.Queues[0].Ready = fine
				}), "False CircuitOpen 3: open"},
				{"a batch was flushed", says(func(d *config.Status) { d.Queues[0].LastFlushTime = snapshottest.Now }), "True AsExpected 3: PostgreSQL is reachable"},
			},
		},
		v1alpha1.ConditionDurable: {
			resource: func(c *v1alpha1.WriteBehindCache) {
				metav1.SetMetaDataAnnotation(&c.ObjectMeta, v1alpha1.AnnotationAcknowledgeDataLoss, "some")
			},
			wrong: []snapshottest.Edit{snapshottest.Says(func(d *config.Status) {
				d.Durability = config.Durability{
					Ledger: failing(v1alpha1.ReasonTableUnlogged, "ledger"), Eviction: failing(v1alpha1.ReasonEvictionUnsafe, "evicts"), Persistence: failing(v1alpha1.ReasonAppendOnlyOff, "no file"),
				}
				d.Queues[0].Durable, d.Queues[0].DataLossEvents = failing(v1alpha1.ReasonConnectionFailed, "not asked"), 2
			})},
			first: "False DataLoss 3: Redis or PostgreSQL lost confirmed data: 2 data-loss events (2 of mapping products), acknowledged: 0",
			repairs: []repair{
				{
					"the loss is acknowledged", edit(func(s *snapshot.Snapshot) { s.Cache.Annotations[v1alpha1.AnnotationAcknowledgeDataLoss] = "9" }),
					"False AppendOnlyOff 3: no file; evicts; ledger; the annotation cache.writebehind.dev/acknowledge-data-loss is \"9\", but when it was set the number of events was 2",
				},
				{"Redis persists", says(func(d *config.Status) { d.Durability.Persistence = fine }), "False EvictionUnsafe 3: evicts; ledger"},
				{"Redis evicts nothing dirty", says(func(d *config.Status) { d.Durability.Eviction = fine }), "False TableUnlogged 3: ledger"},
				{"the ledger is logged", says(func(d *config.Status) { d.Durability.Ledger = fine }), "Unknown ConnectionFailed 3: not asked"},
				{"the table was looked at", says(func(d *config.Status) { d.Queues[0].Durable = fine }), "True AsExpected 3: Redis persists and evicts no dirty entry, the tables are logged, and every data-loss event is acknowledged (2)"},
			},
		},
		v1alpha1.ConditionBacklogHealthy: {
			wrong: []snapshottest.Edit{snapshottest.Says(func(d *config.Status) { d.Queues = nil })},
			first: "Unknown Progressing 3: No flusher has reported a queue yet",
			repairs: []repair{
				{"a full queue is seen", says(func(d *config.Status) {
					d.Queues = []config.QueueStatus{{Name: "products", Journal: "x", Depth: 99999, DeadLetters: 1}}
				}), "False Full 3: Queue products holds 99999 entries and 1 dead letter; backpressure.maxQueueDepth is 100000: writes of keys that are not dirty yet are refused"},
				{"it takes more", edit(func(s *snapshot.Snapshot) { s.Cache.Spec.Backpressure.WhenFull = v1alpha1.WhenFullAccept }), "False Full 3: Queue products holds 99999 entries and 1 dead letter; backpressure.maxQueueDepth is 100000: writes are still accepted"},
				{"it drains", says(func(d *config.Status) { d.Queues[0].Depth = 10000 }), "False Critical 3"},
				{"it drains further", says(func(d *config.Status) { d.Queues[0].Depth = 1000 }), "False Warning 3"},
				{"it drained", says(func(d *config.Status) { d.Queues[0].Depth = 998 }), "True AsExpected 3: Every queue is under backpressure.warningQueueDepth (1000)"},
			},
		},
		v1alpha1.ConditionDeadLetterQueueEmpty: {
			wrong: []snapshottest.Edit{snapshottest.Says(func(d *config.Status) { d.Queues = nil })},
			first: "Unknown Progressing 3",
			repairs: []repair{
				{
					"one is seen", says(func(d *config.Status) {
						d.Queues = []config.QueueStatus{{Name: "products", Journal: "x", DeadLetters: 1}}
					}),
					"False DeadLetters 3: Dead letters: 1 of mapping products; shown with their reasons by: kubectl exec -n ns deploy/shop-flusher -- /flusher dlq list",
				},
				{"it is gone", says(func(d *config.Status) { d.Queues[0].DeadLetters = 0 }), "True AsExpected 3: No queue has dead letters"},
			},
		},
		v1alpha1.ConditionSettingsApplied: {
			wrong: []snapshottest.Edit{snapshottest.Behind, func(s *snapshot.Snapshot) { s.Flushers.Pods[0].Status = pending }},
			did:   Progress{Failure: &failure.Stalled{Reason: v1alpha1.ReasonQueueNotEmpty, Message: "held"}},
			first: "False QueueNotEmpty 3: held",
			repairs: []repair{
				{"only the volume is not as wanted", func(_ *snapshot.Snapshot, did *Progress) {
					did.Failure = &failure.Stalled{Reason: v1alpha1.ReasonStorageCannotShrink, Message: "too small"}
				}, "False Rolling 3: Flushers that run the settings of generation 3: 0 of 1; Pod shop-flusher-a cannot be scheduled: no node"},
				{"the flusher runs them, and cannot write them to Redis", edit(func(s *snapshot.Snapshot) {
					s.Flushers.Pods[0].Status = corev1.PodStatus{Phase: corev1.PodRunning}
					d := s.Seen.Flushers[0].Status
					d.RunningRevision, d.Redis = 3, failing(v1alpha1.ReasonConnectionFailed, "no answer")
				}), "False Rolling 3: Flushers that run the settings of generation 3: 0 of 1; Pod shop-flusher-a cannot write them to Redis: see condition RedisReady"},
				{"they are in force", says(func(d *config.Status) { d.Revision = 3 }), "True AsExpected 3: Every flusher runs the settings of generation 3"},
			},
		},
		v1alpha1.ConditionReady: {
			resource: func(c *v1alpha1.WriteBehindCache) { snapshottest.Deleted(c); c.Spec.Suspend = true },
			wrong: []snapshottest.Edit{snapshottest.Says(func(d *config.Status) {
				d.Redis, d.Database = failing(v1alpha1.ReasonOutOfMemory, "full"), failing(v1alpha1.ReasonReadOnly, "a replica")
				stuck := config.QueueStatus{Name: "orders", Depth: 1, OldestPendingSeconds: 3600, Ready: failing(v1alpha1.ReasonStuck, "orders does not move"), LastError: "22P02"}
				d.Queues = []config.QueueStatus{stuck}
			}), silenced},
			did:   Progress{Failure: &failure.Stalled{Reason: v1alpha1.ReasonInvalidSpec, Message: "no"}},
			first: "False Draining 3: The resource is being deleted",
			repairs: []repair{
				{"it is not being deleted", edit(func(s *snapshot.Snapshot) { s.Cache.DeletionTimestamp = nil }), "False InvalidSpec 3: no"},
				{"the spec can be used", func(_ *snapshot.Snapshot, did *Progress) { did.Failure = nil }, "False FlushersDown 3: No flusher answers: Pod shop-flusher-a does not answer"},
				{"a flusher answers", edit(func(s *snapshot.Snapshot) { s.Seen.Flushers[0].Status = silent }), "False Suspended 3: spec.suspend is true"},
				{"it is not suspended", edit(func(s *snapshot.Snapshot) { s.Cache.Spec.Suspend = false }), "False OutOfMemory 3: full"},
				{"Redis works", says(func(d *config.Status) { d.Redis = fine }), "False ReadOnly 3: a replica"},
				{"PostgreSQL works", says(func(d *config.Status) { d.Database = fine }), "False Progressing 3: No flusher reports mapping products yet"},
				{"every mapping is reported", says(func(d *config.Status) { d.Queues = append(d.Queues, config.QueueStatus{Name: "products", Ready: fine}) }), "False Stuck 3: orders does not move; the last error is 22P02"},
				{"no watchdog barks", says(func(d *config.Status) { d.Queues[0].Ready = fine }), "False Stuck 3: Queue orders has 1 entry, the oldest over 1m15s old, and nothing was flushed: 22P02"},
				{"it moves", says(func(d *config.Status) { d.Queues[0].LastFlushTime = snapshottest.Now }), "True AsExpected 3: Data is reaching the database"},
			},
		},
		v1alpha1.ConditionReconciling: {
			resource: func(c *v1alpha1.WriteBehindCache) {
				c.Spec.Redis = v1alpha1.Redis{Managed: &v1alpha1.ManagedRedis{}}
				snapshottest.Deleted(c)
			},
			wrong: []snapshottest.Edit{snapshottest.Behind, func(s *snapshot.Snapshot) { s.Redis.StatefulSet, s.Flushers.Deployment = nil, nil }},
			did:   Progress{Failure: &failure.Stalled{Reason: v1alpha1.ReasonInvalidSpec}},
			first: "absent",
			repairs: []repair{
				{"it is not being deleted", edit(func(s *snapshot.Snapshot) { s.Cache.DeletionTimestamp = nil }), "absent"},
				{"it waits", func(_ *snapshot.Snapshot, did *Progress) { did.Failure = &failure.Waiting{What: "x"} }, "True Progressing 3: Waiting for x"},
				{"it fails", func(_ *snapshot.Snapshot, did *Progress) { did.Failure = errors.New("no answer") }, "True Progressing 3: The last attempt failed: no answer"},
				{"it succeeds", func(_ *snapshot.Snapshot, did *Progress) { did.Failure = nil }, "True Progressing 3: The StatefulSet of Redis is being made"},
				{"Redis is there", edit(func(s *snapshot.Snapshot) {
					s.Redis.StatefulSet = &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Name: "shop-redis"}}
				}), "True Progressing 3: StatefulSet shop-redis is not ready"},
				{"Redis is ready", edit(func(s *snapshot.Snapshot) {
					s.Redis.StatefulSet.Status = appsv1.StatefulSetStatus{UpdatedReplicas: 1, ReadyReplicas: 1}
				}), "True Progressing 3: The Deployment of the flushers is being made"},
				{"the Deployment is there", edit(func(s *snapshot.Snapshot) {
					s.Flushers.Deployment = &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "shop-flusher"}}
				}), "True Progressing 3: Deployment shop-flusher is rolling out"},
				{"it rolled out", edit(func(s *snapshot.Snapshot) {
					s.Flushers.Deployment = snapshottest.Ready(func(c *v1alpha1.WriteBehindCache) { c.Spec = s.Cache.Spec }).Flushers.Deployment
				}), "True Progressing 3: Flushers that run the settings of generation 3: 0 of 1"},
				{"the settings are in force", says(func(d *config.Status) { d.Revision = 3 }), "absent"},
			},
		},
	} {
		t.Run(kind, func(t *testing.T) {
			s, did := snapshottest.Ready(c.resource), c.did
			for _, edit := range c.wrong {
				edit(s)
			}
			look := func(what, want string) {
				t.Helper()
				v := reach(t, s, did)
				if got := shown(&v.Status, kind); !strings.HasPrefix(got, want) {
					t.Errorf("%s: %s, want %s", what, got, want)
				}
				// What stands is what the next pass finds.
				s.Cache.Status = v.Status
				for i := range s.Cache.Status.Conditions {
					s.Cache.Status.Conditions[i].LastTransitionTime = metav1.NewTime(snapshottest.Long)
				}
			}
			look("everything is wrong", c.first)
			for _, r := range c.repairs {
				r.edit(s, &did)
				look(r.what, r.want)
			}
		})
	}
}
