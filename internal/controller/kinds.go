// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/discovery"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/resources"
)

// defaultKindsInterval is how often the API server is asked for the kinds of the
// Prometheus Operator: one small request, for all resources together.
const defaultKindsInterval = time.Minute

// kinds has the kinds of the Prometheus Operator that the API server serves. A REST
// mapper would not do: it keeps a kind after that is removed, and asks again at every
// pass for one that is not there.
type kinds struct {
	discovery discovery.ServerResourcesInterface
	interval  time.Duration
	// changed carries an event whenever the kinds have changed.
	changed chan event.GenericEvent

	mu     sync.Mutex
	served map[string]bool
}

func newKinds(mgr ctrl.Manager, interval time.Duration) (*kinds, error) {
	d, err := discovery.NewDiscoveryClientForConfigAndClient(mgr.GetConfig(), mgr.GetHTTPClient())
	if err != nil {
		return nil, fmt.Errorf("make discovery client: %w", err)
	}
	return &kinds{discovery: d, interval: interval, changed: make(chan event.GenericEvent)}, nil
}

// has reports whether a kind was served when the API server was last asked. It is
// false before the first answer, and for kinds that nobody asks for.
func (k *kinds) has(kind string) bool {
	if k == nil {
		return false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.served[kind]
}

// NeedLeaderElection keeps a standby operator from asking.
func (k *kinds) NeedLeaderElection() bool { return true }

// Start asks at intervals until ctx ends.
func (k *kinds) Start(ctx context.Context) error {
	ticker := time.NewTicker(k.interval)
	defer ticker.Stop()
	for {
		k.discover(ctx)
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// discover asks the API server, and wakes every resource when the answer is another than
// before. Without an answer the kinds stay as they are.
func (k *kinds) discover(ctx context.Context) {
	log := ctrl.LoggerFrom(ctx).WithName("kinds")
	list, err := k.discovery.ServerResourcesForGroupVersion(resources.MonitoringVersion.String())
	if err != nil && !apierrors.IsNotFound(err) {
		log.Error(err, "Failed to look for the Prometheus Operator's kinds")
		return
	}
	served := map[string]bool{}
	if err == nil {
		for i := range list.APIResources {
			served[list.APIResources[i].Kind] = true
		}
	}
	maps.DeleteFunc(served, func(kind string, _ bool) bool {
		return kind != resources.KindServiceMonitor && kind != resources.KindPrometheusRule
	})
	k.mu.Lock()
	same := maps.Equal(k.served, served)
	k.served = served
	k.mu.Unlock()
	if same {
		return
	}
	log.Info("The Prometheus Operator's kinds have changed", "kinds", slices.Sorted(maps.Keys(served)))
	select {
	case k.changed <- event.GenericEvent{Object: &v1alpha1.WriteBehindCache{}}:
	case <-ctx.Done():
	}
}

// everyCache leads from any object to all resources.
func everyCache(reader client.Reader) func(context.Context, client.Object) []reconcile.Request {
	return func(ctx context.Context, _ client.Object) []reconcile.Request {
		var list v1alpha1.WriteBehindCacheList
		if err := reader.List(ctx, &list); err != nil {
			ctrl.LoggerFrom(ctx).Error(err, "Failed to list the resources to wake")
			return nil
		}
		requests := make([]reconcile.Request, len(list.Items))
		for i := range list.Items {
			requests[i].NamespacedName = client.ObjectKeyFromObject(&list.Items[i])
		}
		return requests
	}
}
