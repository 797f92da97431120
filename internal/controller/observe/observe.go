// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package observe polls the /status of the flushers of every resource, independently of the
// reconcile, and wakes the reconcile when something has changed that a person would want to
// know.
//
// Each resource has a goroutine of its own with a bounded number of requests under way, so
// that a slow or dead flusher never delays the poll of another resource. The reconcile gets
// the observation that was published last. A change of a condition is published at once, a
// change of numbers alone every few seconds, so a reconcile for any other cause finds nothing
// new to write.
package observe

import (
	"context"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"github.com/writebehind/operator/api/v1alpha1"
)

// The defaults. A change is seen within a second, written at once when it is a
// condition, and the API server gets at most one write every five seconds from a
// busy queue.
const (
	defaultInterval    = time.Second
	defaultTimeout     = 2 * time.Second
	defaultNumbers     = 5 * time.Second
	defaultPatience    = 5 * time.Second
	defaultConcurrency = 8

	// transportBuffer holds a request and the head of an answer, in bytes.
	transportBuffer = 1 << 10
	// headBytes bounds the head of an answer, which no flusher comes near to.
	headBytes = 16 << 10
)

// Lister lists the running flusher pods of one resource.
type Lister func(ctx context.Context, key types.NamespacedName, uid types.UID) ([]corev1.Pod, error)

// Options of an Observer. A zero field takes its default.
type Options struct {
	// List finds the pods; it is required, and should read from a cache.
	List Lister
	// Endpoint is the host:port where a pod serves /status; default its IP and
	// the flusher's port.
	Endpoint func(*corev1.Pod) string
	// Transport carries the requests; default a plain one without a proxy, since
	// it must never leave the cluster.
	Transport http.RoundTripper
	// Interval is how often a resource is polled, give or take a fifth; default 1 s.
	Interval time.Duration
	// Timeout bounds one request; default 2 s.
	Timeout time.Duration
	// NumbersInterval is how often a change of numbers alone is published;
	// default 5 s.
	NumbersInterval time.Duration
	// Patience is how long the last report of a silent flusher still counts; default 5 s,
	// so that one lost request changes nothing.
	Patience time.Duration
	// Calm is after how long without a change a pod may change once more at once. One that
	// changes what it tells at each look is heard at growing intervals; default 30 s.
	Calm time.Duration
	// Concurrency bounds the requests under way for one resource; default 8.
	Concurrency int
}

// Observer polls the flushers of every tracked resource. It is a manager's Runnable and runs
// only on the leader.
type Observer struct {
	options Options
	client  *http.Client
	wakeups chan event.GenericEvent

	mu      sync.Mutex
	running context.Context //nolint:containedctx // the lifetime of the goroutines that Track starts
	targets map[types.NamespacedName]*target
	workers sync.WaitGroup
}

// New makes an Observer.
func New(options Options) *Observer {
	if options.Endpoint == nil {
		options.Endpoint = podEndpoint
	}
	if options.Transport == nil {
		options.Transport = &http.Transport{
			MaxIdleConnsPerHost: 1, IdleConnTimeout: 30 * time.Second,
			// Each flusher has a connection that lives on: the default of 4 KiB for
			// either buffer would be most of what a thousand flushers cost.
			ReadBufferSize: transportBuffer, WriteBufferSize: transportBuffer,
			MaxResponseHeaderBytes: headBytes,
		}
	}
	options.Interval = orDefault(options.Interval, defaultInterval)
	options.Timeout = orDefault(options.Timeout, defaultTimeout)
	options.NumbersInterval = orDefault(options.NumbersInterval, defaultNumbers)
	options.Patience = orDefault(options.Patience, defaultPatience)
	options.Calm = orDefault(options.Calm, defaultCalm)
	if options.Concurrency == 0 {
		options.Concurrency = defaultConcurrency
	}
	return &Observer{
		options: options,
		client: &http.Client{
			Transport: options.Transport,
			Timeout:   options.Timeout,
			// A flusher redirects nobody; following would let a pod send the
			// operator anywhere.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		wakeups: make(chan event.GenericEvent),
		targets: map[types.NamespacedName]*target{},
	}
}

func orDefault(value, fallback time.Duration) time.Duration {
	if value == 0 {
		return fallback
	}
	return value
}

func podEndpoint(pod *corev1.Pod) string {
	return net.JoinHostPort(pod.Status.PodIP, strconv.Itoa(flusherPort))
}

// Wakeups carries one event for each published change, for a channel source.
func (o *Observer) Wakeups() <-chan event.GenericEvent { return o.wakeups }

// NeedLeaderElection keeps a standby operator from asking: it would only double
// the requests.
func (o *Observer) NeedLeaderElection() bool { return true }

// Start runs until ctx ends and every goroutine is done.
func (o *Observer) Start(ctx context.Context) error {
	o.mu.Lock()
	o.running = ctx
	for _, t := range o.targets {
		o.start(ctx, t)
	}
	o.mu.Unlock()

	<-ctx.Done()
	o.mu.Lock()
	o.running = nil
	o.mu.Unlock()
	o.workers.Wait()
	return nil
}

// Track begins to poll a resource. If the resource is tracked already, Track only updates the
// marks. A resource that was created again under the same name is another one.
func (o *Observer) Track(key types.NamespacedName, uid types.UID, marks Marks) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if t, ok := o.targets[key]; ok {
		if t.uid == uid {
			t.marks = marks
			return
		}
		t.stop()
	}
	t := &target{key: key, uid: uid, marks: marks, stop: func() {}, answered: map[types.UID]answer{}}
	o.targets[key] = t
	if o.running != nil {
		o.start(o.running, t)
	}
}

// start needs o.mu.
func (o *Observer) start(ctx context.Context, t *target) {
	ctx, t.stop = context.WithCancel(ctx)
	t.lookedAt = time.Now()
	o.workers.Go(func() { o.watch(ctx, t) })
}

// Forget stops polling a resource.
func (o *Observer) Forget(key types.NamespacedName) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if t, ok := o.targets[key]; ok {
		t.stop()
		delete(o.targets, key)
	}
}

// Latest returns the observation that was last published of a resource. Before the first poll
// it is empty, and not Looked.
func (o *Observer) Latest(key types.NamespacedName, uid types.UID) Observation {
	o.mu.Lock()
	defer o.mu.Unlock()
	if t, ok := o.targets[key]; ok && t.uid == uid {
		return t.published
	}
	return Observation{}
}

// watch looks at one resource until ctx ends.
func (o *Observer) watch(ctx context.Context, t *target) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		pods, err := o.options.List(ctx, t.key, t.uid)
		if err != nil {
			// The cache is about to be stopped, or has not been filled.
			ctrl.LoggerFrom(ctx).V(1).Info("Could not list flusher Pods", "writeBehindCache", t.key, "error", err.Error())
		} else if o.publish(t, o.poll(ctx, t, pods), time.Now()) {
			o.wake(ctx, t.key)
		}
		timer.Reset(jittered(o.options.Interval))
	}
}

// jittered spreads the looks, so that a thousand resources are not asked in the
// same instant after a restart of the operator.
func jittered(d time.Duration) time.Duration {
	return d*4/5 + rand.N(d*2/5)
}

// publish reports whether the observation is news, and makes it what Latest gives.
func (o *Observer) publish(t *target, latest Observation, now time.Time) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	t.lookedAt = now
	switch compare(t.published, latest, t.marks) {
	case changeNone:
		return false
	case changeNumbers:
		if now.Sub(t.publishedAt) < o.options.NumbersInterval {
			return false
		}
	case changeCondition:
		affords, charges := t.affords(latest, now, o.options.Calm)
		if !affords {
			return false
		}
		t.charge(charges, latest, now, o.options.Calm)
	}
	t.published, t.publishedAt = latest, now
	return true
}

func (o *Observer) wake(ctx context.Context, key types.NamespacedName) {
	cache := &v1alpha1.WriteBehindCache{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name}}
	select {
	case o.wakeups <- event.GenericEvent{Object: cache}:
	case <-ctx.Done():
	}
}
