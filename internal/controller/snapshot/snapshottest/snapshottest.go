// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package snapshottest makes snapshots for tests: what a pass would have read of a healthy
// resource. The test then changes it.
package snapshottest

import (
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/observe"
	"github.com/writebehind/operator/internal/controller/resources"
	"github.com/writebehind/operator/internal/controller/snapshot"
	"github.com/writebehind/operator/internal/flusher/config"
)

// Now is when every snapshot is taken, and Long is long before.
var (
	Now  = time.Date(2026, time.May, 4, 12, 0, 0, 0, time.UTC)
	Long = Now.Add(-time.Hour)
)

// Edit is what a test changes.
type Edit = func(*snapshot.Snapshot)

// Ready is a resource with a mapping products on the Redis redis:6379, whose one
// flusher runs the present settings and finds everything right. The resource's status
// is empty, as before its first pass. edit changes it before anything is made of
// it; nil leaves it.
func Ready(edit func(*v1alpha1.WriteBehindCache)) *snapshot.Snapshot {
	cache := shop()
	if edit != nil {
		edit(cache)
	}
	replicas := resources.FlusherReplicas(cache)
	s := &snapshot.Snapshot{Now: Now, Cache: cache}
	s.Flushers.ConfigMap = &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: resources.FlusherName(cache)}}
	s.Flushers.Service = &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: resources.FlusherName(cache)}}
	s.Flushers.Deployment = &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: resources.FlusherName(cache)},
		Status:     appsv1.DeploymentStatus{Replicas: replicas, UpdatedReplicas: replicas, ReadyReplicas: replicas},
	}
	s.Flushers.Deployment.Spec.Template.Annotations = map[string]string{v1alpha1.AnnotationConfigHash: restartHash(cache)}
	if s.Managed() {
		s.Redis.StatefulSet = &appsv1.StatefulSet{
			ObjectMeta: metav1.ObjectMeta{Name: resources.RedisName(cache)},
			Status:     appsv1.StatefulSetStatus{Replicas: 1, UpdatedReplicas: 1, ReadyReplicas: 1},
		}
	}
	s.Seen.Looked = true
	AddFlusher(s, "a")
	return s
}

// AddFlusher adds a flusher that runs the present settings and finds everything right,
// and returns its document. Its journals are named after the mappings. With capture
// Replication the first flusher reads the stream, and has come to its end.
func AddFlusher(s *snapshot.Snapshot, name string) *config.Status {
	pod := corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: resources.FlusherName(s.Cache) + "-" + name, UID: types.UID("uid-" + name),
			Annotations: map[string]string{v1alpha1.AnnotationConfigHash: restartHash(s.Cache)},
		},
		Status: corev1.PodStatus{Phase: corev1.PodRunning},
	}
	settings := resources.FlusherConfig(s.Cache)
	fine := config.Check{OK: true}
	document := &config.Status{
		Owner: settings.Owner, Revision: settings.Revision, RunningRevision: settings.Revision,
		Suspended: settings.Suspend, Draining: settings.Draining, ObservedTime: Now,
		Redis: fine, Database: fine, Durability: config.Durability{Persistence: fine, Eviction: fine, Ledger: fine},
	}
	if s.Replicates() {
		document.Replication = &config.Replication{}
		if len(s.Seen.Flushers) == 0 {
			document.Replication = &config.Replication{
				Reads: true, Attached: true, History: 1764000000000000, BacklogBytes: 64 << 20, Scanned: true, Backlog: fine,
			}
		}
	}
	for _, m := range settings.Mappings {
		q := config.QueueStatus{Name: m.Name, Journal: "journal-of-" + m.Name, State: "open", Ready: fine, Durable: fine, LastFlushTime: Now}
		if settings.Draining {
			q.State = config.StatePaused
		}
		document.Queues = append(document.Queues, q)
	}
	s.Flushers.Pods = append(s.Flushers.Pods, pod)
	s.Flushers.Started = true
	s.Seen.Flushers = append(s.Seen.Flushers, observe.Flusher{Pod: pod.Name, UID: pod.UID, Status: document})
	return document
}

// Says edits what the flusher first added says.
func Says(edit func(*config.Status)) Edit {
	return func(s *snapshot.Snapshot) { edit(s.Seen.Flushers[0].Status) }
}

// Silent keeps every flusher from answering.
func Silent(s *snapshot.Snapshot) {
	for i := range s.Seen.Flushers {
		s.Seen.Flushers[i].Status, s.Seen.Flushers[i].Problem = nil, "does not answer"
	}
}

// NotLooked is an operator that has just begun.
func NotLooked(s *snapshot.Snapshot) { s.Seen = observe.Observation{} }

// Behind keeps the first flusher at settings of an earlier generation.
func Behind(s *snapshot.Snapshot) {
	d := s.Seen.Flushers[0].Status
	d.Revision, d.RunningRevision = d.Revision-1, d.RunningRevision-1
}

// Deleted is a resource whose deletion began a moment ago.
func Deleted(c *v1alpha1.WriteBehindCache) {
	c.DeletionTimestamp = new(metav1.NewTime(Now.Add(-time.Second)))
}

// Forced is a resource whose queues a person has given up.
func Forced(c *v1alpha1.WriteBehindCache) {
	metav1.SetMetaDataAnnotation(&c.ObjectMeta, v1alpha1.AnnotationForceDelete, "true")
}

// Replicated is a resource whose Redis the operator runs, and whose flushers read the
// replication stream.
func Replicated(c *v1alpha1.WriteBehindCache) {
	c.Spec.Capture = v1alpha1.CaptureReplication
	c.Spec.Redis = v1alpha1.Redis{Managed: &v1alpha1.ManagedRedis{
		Image: "redis:7.2", MaxMemory: resource.MustParse("256Mi"), Storage: v1alpha1.Storage{Size: resource.MustParse("1Gi")},
	}}
}

// Streams edits what the flusher first added says of the replication stream.
func Streams(edit func(*config.Replication)) Edit {
	return Says(func(d *config.Status) { edit(d.Replication) })
}

// Mapping is one with the defaults of the schema.
func Mapping(name, prefix string) v1alpha1.Mapping {
	return v1alpha1.Mapping{
		Name: name, KeyPrefix: prefix, Table: "public." + name, KeyColumn: "id",
		Mode: "Latest", Encoding: "JSON", Partitions: 16, OnDelete: "Delete",
	}
}

func shop() *v1alpha1.WriteBehindCache {
	return &v1alpha1.WriteBehindCache{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "ns", Name: "shop", UID: "6f1c9a52-0000-4000-8000-000000000000", Generation: 3,
			Finalizers: []string{v1alpha1.FinalizerDrain},
		},
		Spec: v1alpha1.WriteBehindCacheSpec{
			Redis: v1alpha1.Redis{External: &v1alpha1.ExternalRedis{Addresses: []string{"redis:6379"}, Mode: "Standalone"}},
			Database: v1alpha1.Database{Postgres: v1alpha1.Postgres{
				URLSecretRef: v1alpha1.URLSecretRef{Name: "db", Key: "uri"}, MaxConnections: 4, StatementTimeoutSeconds: 30, LedgerSchema: "writebehind",
			}},
			Mappings: []v1alpha1.Mapping{Mapping("products", "product:")},
			Flush: v1alpha1.Flush{
				IntervalMilliseconds: 5000, BatchSize: 100, Concurrency: 4, MaxInFlightMebibytes: 64,
				CircuitBreaker: v1alpha1.CircuitBreaker{FailureThreshold: 5, OpenMilliseconds: 10000},
			},
			Backpressure:        v1alpha1.Backpressure{MaxQueueDepth: 100000, WarningQueueDepth: 1000, CriticalQueueDepth: 10000, WhenFull: "Reject"},
			DeletionPolicy:      v1alpha1.DeletionPolicyDrain,
			DrainTimeoutSeconds: 300,
		},
	}
}

// restartHash panics on what no resource of a test can be.
func restartHash(cache *v1alpha1.WriteBehindCache) string {
	hash, err := resources.RestartHash(resources.FlusherConfig(cache))
	if err != nil {
		panic(err)
	}
	return hash
}
