// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/observe"
	"github.com/writebehind/operator/internal/controller/plan"
	"github.com/writebehind/operator/internal/controller/resources"
)

// defaultStuckAfter is the least time without a flush, while entries wait, after which
// Ready is Stuck: longer than a statement's default time-out of 30 s.
const defaultStuckAfter = 45 * time.Second

// concurrentReconciles keeps one slow API request from delaying every resource. A pass
// reads from memory and mostly writes nothing.
const concurrentReconciles = 4

// CacheOptions keep everything out of the manager's cache that is not the operator's
// own: it would otherwise hold every Pod and ConfigMap of the cluster. Of the
// operator's own objects it keeps what a pass reads. With namespaces it watches those
// alone, which takes no right in any other.
func CacheOptions(namespaces ...string) cache.Options {
	own := cache.ByObject{Label: labels.SelectorFromSet(labels.Set{resources.LabelManagedBy: resources.ManagedBy})}
	var watched map[string]cache.Config
	for _, namespace := range namespaces {
		if watched == nil {
			watched = map[string]cache.Config{}
		}
		watched[namespace] = cache.Config{}
	}
	return cache.Options{DefaultTransform: trim, NewInformer: pagedInformer, DefaultNamespaces: watched, ByObject: map[client.Object]cache.ByObject{
		&appsv1.Deployment{}:            own,
		&appsv1.StatefulSet{}:           own,
		&corev1.ConfigMap{}:             own,
		&corev1.PersistentVolumeClaim{}: own,
		&corev1.Pod{}:                   own,
		&corev1.Service{}:               own,
		&networkingv1.NetworkPolicy{}:   own,
		&policyv1.PodDisruptionBudget{}: own,
	}}
}

// Options of the controller.
type Options struct {
	// Site is what whoever runs the operator has decided for every resource.
	Site plan.Site
	// Release is this operator's version. Another version, or another Site.FlusherImage, is an
	// upgrade, which rolls at most MaxRollouts resources at a time; 0 for all at once.
	Release     string
	MaxRollouts int
	// StuckAfter is how long entries may wait without a flush before Ready is Stuck;
	// default 45 s.
	StuckAfter time.Duration
	// PasswordInterval is how often the Secret of a managed Redis is created if it is
	// missing, while no flusher answers that would report it; default 5 min.
	PasswordInterval time.Duration
	// LostAfter is how long after its grace period a Pod that is still there
	// counts as one of a lost node; default 30 s.
	LostAfter time.Duration
	// KindsInterval is how often the kinds of the Prometheus Operator are looked
	// for; default 1 min.
	KindsInterval time.Duration
	// MonitoringInterval is how often the objects of those kinds are checked although
	// nothing hints at a change; default 10 min.
	MonitoringInterval time.Duration
	// Metrics, if set, takes the operator's own metrics.
	Metrics prometheus.Registerer
	// Observe tunes how the flushers are polled; its Lister is set here.
	Observe observe.Options
}

// SetupWithManager registers the controller and its observer.
func SetupWithManager(mgr ctrl.Manager, options Options) error {
	if err := options.Site.Validate(); err != nil {
		return err
	}
	options.Observe.List = podLister(mgr.GetClient())
	if options.StuckAfter == 0 {
		options.StuckAfter = defaultStuckAfter
	}
	if options.PasswordInterval == 0 {
		options.PasswordInterval = defaultPasswordInterval
	}
	if options.LostAfter == 0 {
		options.LostAfter = defaultLostAfter
	}
	if err := indexByQueue(context.Background(), mgr.GetFieldIndexer()); err != nil {
		return err
	}
	if err := indexByOwner(context.Background(), mgr.GetFieldIndexer()); err != nil {
		return err
	}
	observer := observe.New(options.Observe)
	if err := mgr.Add(observer); err != nil {
		return fmt.Errorf("add observer: %w", err)
	}
	if options.Metrics != nil {
		if err := options.Metrics.Register(observer); err != nil {
			return fmt.Errorf("register metrics: %w", err)
		}
	}
	kinds, err := newKinds(mgr, cmp.Or(options.KindsInterval, defaultKindsInterval))
	if err != nil {
		return err
	}
	if err := mgr.Add(kinds); err != nil {
		return fmt.Errorf("add look for kinds: %w", err)
	}
	r := &Reconciler{
		Client:     mgr.GetClient(),
		APIReader:  mgr.GetAPIReader(),
		Recorder:   mgr.GetEventRecorder("writebehind-operator"),
		Observer:   observer,
		Site:       options.Site,
		StuckAfter: options.StuckAfter,
		Release:    resources.Hash(options.Release + " " + options.Site.FlusherImage),
		turns:      turns{most: options.MaxRollouts},

		PasswordInterval: options.PasswordInterval,
		LostAfter:        options.LostAfter,

		kinds:              kinds,
		monitoringInterval: cmp.Or(options.MonitoringInterval, defaultMonitoringInterval),
	}
	owned := handler.EnqueueRequestsFromMapFunc(ownerOf)
	return ctrl.NewControllerManagedBy(mgr).
		Named("writebehindcache").
		WithOptions(controller.Options{MaxConcurrentReconciles: concurrentReconciles}).
		For(&v1alpha1.WriteBehindCache{}, builder.WithPredicates(
			predicate.Or[client.Object](predicate.GenerationChangedPredicate{}, predicate.AnnotationChangedPredicate{}))).
		Watches(&v1alpha1.WriteBehindCache{}, handler.EnqueueRequestsFromMapFunc(r.rivalsOf), builder.WithPredicates(queuesChanged)).
		Watches(&appsv1.Deployment{}, owned).
		Watches(&appsv1.StatefulSet{}, owned).
		Watches(&corev1.ConfigMap{}, owned).
		Watches(&corev1.PersistentVolumeClaim{}, owned).
		Watches(&corev1.Pod{}, owned).
		Watches(&corev1.Service{}, owned).
		Watches(&networkingv1.NetworkPolicy{}, owned).
		Watches(&policyv1.PodDisruptionBudget{}, owned).
		WatchesRawSource(source.Channel(kinds.changed, handler.EnqueueRequestsFromMapFunc(everyCache(mgr.GetClient())))).
		WatchesRawSource(source.Channel(observer.Wakeups(), &handler.EnqueueRequestForObject{})).
		Complete(r)
}

// ownerOf leads from an object to the resource that it was made for, by the
// label that every object carries.
func ownerOf(_ context.Context, object client.Object) []reconcile.Request {
	name := object.GetLabels()[resources.LabelInstance]
	if name == "" || object.GetLabels()[v1alpha1.LabelOwnerUID] == "" {
		return nil
	}
	return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: object.GetNamespace(), Name: name}}}
}

// podLister lists the flusher Pods that can answer.
func podLister(reader client.Reader) observe.Lister {
	return func(ctx context.Context, key types.NamespacedName, uid types.UID) ([]corev1.Pod, error) {
		name := resources.FlusherName(&v1alpha1.WriteBehindCache{ObjectMeta: metav1.ObjectMeta{Name: key.Name}})
		var pods corev1.PodList
		// Once a second for each resource a copy of each Pod would be made.
		err := reader.List(ctx, &pods, client.InNamespace(key.Namespace), client.MatchingFields{indexOwner: string(uid)}, client.UnsafeDisableDeepCopy)
		if err != nil {
			return nil, fmt.Errorf("list Pods: %w", err)
		}
		return slices.DeleteFunc(pods.Items, func(pod corev1.Pod) bool {
			return pod.Labels[resources.LabelComponent] != resources.ComponentFlusher || !resources.OfFlusher(name, &pod) ||
				pod.Status.Phase != corev1.PodRunning || pod.Status.PodIP == "" || !pod.DeletionTimestamp.IsZero()
		}), nil
	}
}

// indexOwner is the index of Pods by the UID of the resource that they were made for.
// A look at labels goes over every Pod of a namespace, once a second for each of its
// resources.
const indexOwner = "ownerUID"

// indexByOwner makes the cache find Pods by their resource.
func indexByOwner(ctx context.Context, indexer client.FieldIndexer) error {
	if err := indexer.IndexField(ctx, &corev1.Pod{}, indexOwner, indexedOwner); err != nil {
		return fmt.Errorf("index Pods by resource: %w", err)
	}
	return nil
}

func indexedOwner(object client.Object) []string {
	if uid := object.GetLabels()[v1alpha1.LabelOwnerUID]; uid != "" {
		return []string{uid}
	}
	return nil
}
