// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package scale

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/resources"
	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/journal"
	"github.com/writebehind/operator/internal/flusher/journal/journaltest"
	"github.com/writebehind/operator/internal/flusher/postgres/postgrestest"
	"github.com/writebehind/operator/test/programs"
)

// warningDepth is the mark of every resource; a queue that holds as much turns a
// condition.
const warningDepth = 1000

// world is all resources, and what the API server of a test lacks.
type world struct {
	*cluster
	t         *testing.T
	resources []*resource
	byKey     map[types.NamespacedName]*resource
	addresses *addresses
	// programs is the folder of the two that are built here.
	programs string

	// What the real flushers work on.
	rdb     *redis.Client
	urlFile string
}

// resource is one WriteBehindCache with its flusher.
type resource struct {
	key     types.NamespacedName
	ip      string
	managed bool
	// played is nil where the flusher is real.
	played *played
	queue  string

	// redisPod and flusherPod make each of the Pods once.
	redisPod, flusherPod sync.Once
	// settings gets the first settings, for a real flusher.
	settings chan *config.Config

	mu      sync.Mutex
	status  v1alpha1.WriteBehindCacheStatus
	waiting *awaited
}

// awaited is a condition that is to come, since when, and who is told how long it
// took.
type awaited struct {
	condition string
	status    metav1.ConditionStatus
	since     time.Time
	took      chan<- time.Duration
}

func newWorld(t *testing.T, o options) *world {
	t.Helper()
	// The servers start while the programs are built.
	folder, built := t.TempDir(), make(chan error, 1)
	go func() { built <- programs.Build(t.Context(), folder, nil, "cmd/manager", "cmd/flusher") }()
	w := &world{cluster: newCluster(t), t: t, byKey: map[types.NamespacedName]*resource{}, addresses: newAddresses(t), programs: folder}
	for i := range o.resources {
		r := &resource{
			key:      types.NamespacedName{Namespace: fmt.Sprintf("team-%02d", i%o.namespaces()), Name: fmt.Sprintf("shop-%04d", i)},
			ip:       w.addresses.next(),
			queue:    fmt.Sprintf("products%04d", i),
			settings: make(chan *config.Config, 1),
		}
		if i >= o.real {
			// Half of those that are played have a Redis of their own, which takes
			// the operator twice the objects.
			r.played, r.managed = &played{}, i%2 == 0
			r.played.listen(t, r.ip)
		}
		w.resources = append(w.resources, r)
		w.byKey[r.key] = r
	}
	for i := range o.namespaces() {
		programs.Must(t, w.client.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("team-%02d", i)}}))
	}
	w.serveReal(o)
	programs.Must(t, <-built)
	return w
}

// serveReal starts the servers of the real flushers.
func (w *world) serveReal(o options) {
	w.t.Helper()
	journal.Quiet()
	server := journaltest.New(w.t, journaltest.AppendOnly("everysec"))
	w.rdb = server.Client(w.t)
	db := postgrestest.New(w.t)
	for _, r := range w.resources[:o.real] {
		db.Exec(w.t, "CREATE TABLE "+r.queue+" (id bigint PRIMARY KEY, name text)")
	}
	w.urlFile = db.URLFile(w.t)
}

// spec is the resource as its user writes it.
func (w *world) spec(r *resource) *v1alpha1.WriteBehindCache {
	cache := &v1alpha1.WriteBehindCache{
		ObjectMeta: metav1.ObjectMeta{Namespace: r.key.Namespace, Name: r.key.Name},
		Spec: v1alpha1.WriteBehindCacheSpec{
			Database: v1alpha1.Database{Postgres: v1alpha1.Postgres{
				URLSecretRef: v1alpha1.URLSecretRef{Name: r.key.Name + "-db"}, MaxConnections: 2,
			}},
			Mappings:     []v1alpha1.Mapping{mapping(r.queue)},
			Backpressure: v1alpha1.Backpressure{WarningQueueDepth: warningDepth},
		},
	}
	switch {
	case r.managed:
		cache.Spec.Redis.Managed = &v1alpha1.ManagedRedis{}
	case r.played != nil:
		cache.Spec.Redis.External = &v1alpha1.ExternalRedis{Addresses: []string{"redis.elsewhere:6379"}}
	default:
		cache.Spec.Redis.External = &v1alpha1.ExternalRedis{Addresses: []string{w.rdb.Options().Addr}}
	}
	if r.played != nil {
		cache.Spec.Mappings = append(cache.Spec.Mappings, mapping(strings.Replace(r.queue, "products", "pages", 1)))
	}
	return cache
}

func mapping(queue string) v1alpha1.Mapping {
	return v1alpha1.Mapping{Name: queue, KeyPrefix: queue + ":", Table: "public." + queue, KeyColumn: "id"}
}

// create makes every resource, as fast as the API server takes them.
func (w *world) create() {
	w.t.Helper()
	w.each(w.resources, func(ctx context.Context, r *resource) error { return w.client.Create(ctx, w.spec(r)) })
}

// addLarge makes ConfigMaps that somebody has labelled as the operator's, half of them as a
// resource's own. They come before the operator, as they are there after each of its starts.
func (r *run) addLarge() {
	r.t.Helper()
	payload := strings.Repeat("x", 1<<20-1<<10)
	slots, errs := make(chan struct{}, 4), make(chan error, r.options.large)
	for i := range r.options.large {
		labels := map[string]string{resources.LabelManagedBy: resources.ManagedBy}
		if i%2 == 0 {
			labels[resources.LabelInstance], labels[v1alpha1.LabelOwnerUID] = "large", "somebody"
		}
		slots <- struct{}{}
		go func() {
			defer func() { <-slots }()
			errs <- r.client.Create(context.Background(), &corev1.ConfigMap{
				ObjectMeta: metav1.ObjectMeta{Namespace: "team-00", Name: fmt.Sprintf("large-%03d", i), Labels: labels},
				Data:       map[string]string{"payload": payload},
			})
		}()
	}
	for range r.options.large {
		programs.Must(r.t, <-errs)
	}
}

// each does something with many resources, a few at a time.
func (w *world) each(all []*resource, do func(context.Context, *resource) error) {
	w.t.Helper()
	slots, errs := make(chan struct{}, 8), make(chan error, len(all))
	for _, r := range all {
		slots <- struct{}{}
		go func() {
			defer func() { <-slots }()
			errs <- do(w.t.Context(), r)
		}()
	}
	for range all {
		programs.Must(w.t, <-errs)
	}
}

// published takes a status over that the operator has written.
func (r *resource) published(cache *v1alpha1.WriteBehindCache) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status = cache.Status
	if a := r.waiting; a != nil && meta.IsStatusConditionPresentAndEqual(r.status.Conditions, a.condition, a.status) {
		a.took <- time.Since(a.since)
		r.waiting = nil
	}
}

// cross has the flusher's queue cross the mark, to the other side of where it is, and
// tells how long it takes until the status says so.
func (r *resource) cross(took chan<- time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	depth, status := int64(warningDepth), metav1.ConditionFalse
	if meta.IsStatusConditionFalse(r.status.Conditions, v1alpha1.ConditionBacklogHealthy) {
		depth, status = 0, metav1.ConditionTrue
	}
	r.waiting = &awaited{v1alpha1.ConditionBacklogHealthy, status, time.Now(), took}
	r.played.hold(depth)
}

// flushed is what the status says of the first queue.
func (r *resource) flushed() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.status.Mappings) == 0 || r.status.Mappings[0].FlushedTotal == nil {
		return 0
	}
	return *r.status.Mappings[0].FlushedTotal
}

// is reports whether a condition has a status.
func (r *resource) is(condition string, status metav1.ConditionStatus) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return meta.IsStatusConditionPresentAndEqual(r.status.Conditions, condition, status)
}

// settled says what is not as it is where nothing is left to do.
func (r *resource) settled() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, name := range []string{
		v1alpha1.ConditionReady, v1alpha1.ConditionRedisReady, v1alpha1.ConditionDatabaseReady, v1alpha1.ConditionSettingsApplied, v1alpha1.ConditionBacklogHealthy,
	} {
		if c := meta.FindStatusCondition(r.status.Conditions, name); c == nil || c.Status != metav1.ConditionTrue {
			return fmt.Errorf("%s: %s is not True: %+v", r.key, name, c)
		}
	}
	if c := meta.FindStatusCondition(r.status.Conditions, v1alpha1.ConditionReconciling); c != nil {
		return fmt.Errorf("%s: Reconciling: %s", r.key, c.Message)
	}
	return nil
}

// unsettled counts the resources at which something is left to do, and names one.
func (w *world) unsettled() error {
	var first error
	n := 0
	for _, r := range w.resources {
		if err := r.settled(); err != nil {
			first = err
			n++
		}
	}
	if n > 0 {
		return fmt.Errorf("%d of %d resources are not ready, among them %w", n, len(w.resources), first)
	}
	return nil
}

// podStatus is that of a Pod whose only container runs.
func podStatus(ip, container string) corev1.PodStatus {
	now := metav1.Now()
	status := corev1.PodStatus{
		Phase: corev1.PodRunning, PodIP: ip, PodIPs: []corev1.PodIP{{IP: ip}}, HostIP: "10.0.0.1", HostIPs: []corev1.HostIP{{IP: "10.0.0.1"}},
		StartTime: &now, QOSClass: corev1.PodQOSBurstable,
		ContainerStatuses: []corev1.ContainerStatus{{
			Name: container, Ready: true, Started: new(true), Image: "operator.test/writebehind:1",
			ImageID: "operator.test/writebehind@sha256:" + strings.Repeat("0", 64), ContainerID: "containerd://" + strings.Repeat("0", 64),
			State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: now}},
		}},
	}
	for _, c := range []corev1.PodConditionType{corev1.PodReadyToStartContainers, corev1.PodInitialized, corev1.PodReady, corev1.ContainersReady, corev1.PodScheduled} {
		status.Conditions = append(status.Conditions, corev1.PodCondition{Type: c, Status: corev1.ConditionTrue, LastTransitionTime: now})
	}
	return status
}

// rolledOut is the status of a Deployment whose Pods are all there.
func rolledOut(d *appsv1.Deployment) appsv1.DeploymentStatus {
	n := *d.Spec.Replicas
	return appsv1.DeploymentStatus{ObservedGeneration: d.Generation, Replicas: n, UpdatedReplicas: n, ReadyReplicas: n, AvailableReplicas: n}
}
