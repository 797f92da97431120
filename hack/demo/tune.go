// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/test/load"
)

const (
	// probes is how many single writes show a flush interval's effect.
	probes = 5
	// probeTimeout is how long one of them may take.
	probeTimeout = 30 * time.Second
	// probeInterval separates two looks at its row.
	probeInterval = 5 * time.Millisecond
)

// tune shortens the flush interval with kubectl and shows that it takes effect
// in pods that go on running.
func (d *demo) tune(ctx context.Context) error {
	cache, err := d.cluster.Cache(ctx, d.cache)
	if err != nil {
		return err
	}
	interval := cache.Spec.Flush.IntervalMilliseconds
	podsBefore, err := d.flusherPods(ctx, cache)
	if err != nil {
		return err
	}
	slow, err := d.probe(ctx)
	if err != nil {
		return err
	}
	d.line("interval %5d ms: a single write is in PostgreSQL after %s (longest of %d: %s)",
		interval, brief(slow[len(slow)/2]), len(slow), brief(slow[len(slow)-1]))

	patch := fmt.Sprintf(`{"spec":{"flush":{"intervalMilliseconds":%d}}}`, tunedInterval)
	d.line("$ kubectl patch wbc %s -n %s --type merge -p '%s'", d.cache.Name, d.namespace, patch)
	started := time.Now()
	if _, err := d.cluster.Kubectl(ctx, "patch", "wbc", d.cache.Name, "-n", d.namespace, "--type", "merge", "-p", patch); err != nil {
		return err
	}
	if cache, err = d.awaitApplied(ctx); err != nil {
		return err
	}
	d.line("SettingsApplied=True for generation %d after %s", cache.Generation, brief(time.Since(started)))

	fast, err := d.probe(ctx)
	if err != nil {
		return err
	}
	d.line("interval %5d ms: a single write is in PostgreSQL after %s (longest of %d: %s)",
		tunedInterval, brief(fast[len(fast)/2]), len(fast), brief(fast[len(fast)-1]))
	podsAfter, err := d.flusherPods(ctx, cache)
	if err != nil {
		return err
	}
	if !slices.Equal(podsBefore, podsAfter) {
		return fmt.Errorf("the flusher pods have changed from %v to %v: a flush setting must not restart them", podsBefore, podsAfter)
	}
	if fast[len(fast)/2] >= slow[len(slow)/2] {
		return fmt.Errorf("the shorter interval was not seen in effect: %s before, %s after", slow[len(slow)/2], fast[len(fast)/2])
	}
	d.line("The flusher pods are the same, and have not restarted: %v", podsAfter)
	return nil
}

// probe writes single products, each after the one before has arrived, and
// returns how long each took, in order of size.
func (d *demo) probe(ctx context.Context) ([]time.Duration, error) {
	var lags []time.Duration
	for i := range probes {
		name := fmt.Sprintf("Probe %d at %s", i, time.Now().Format(time.RFC3339Nano))
		product := load.Product{Name: name, PriceCents: 100, Stock: 1, UpdatedAt: time.Now().UTC().Truncate(time.Microsecond)}
		if _, err := d.load.Put(ctx, 1, product); err != nil {
			return nil, err
		}
		started := time.Now()
		err := pollEvery(ctx, probeInterval, probeTimeout, func() (bool, error) {
			var found bool
			err := d.db.QueryRow(ctx, "SELECT EXISTS (SELECT FROM products WHERE id = 1 AND name = $1)", name).Scan(&found)
			return found, err
		})
		if err != nil {
			return nil, fmt.Errorf("a single write did not arrive in PostgreSQL: %w", err)
		}
		lags = append(lags, time.Since(started))
	}
	slices.Sort(lags)
	return lags, nil
}

// awaitApplied waits until all flushers run the settings of the present spec.
func (d *demo) awaitApplied(ctx context.Context) (cache *v1alpha1.WriteBehindCache, err error) {
	err = poll(ctx, settingsTimeout, func() (bool, error) {
		if cache, err = d.cluster.Cache(ctx, d.cache); err != nil {
			return false, err
		}
		for _, c := range cache.Status.Conditions {
			if c.Type == v1alpha1.ConditionSettingsApplied {
				return c.Status == metav1.ConditionTrue && c.ObservedGeneration == cache.Generation, nil
			}
		}
		return false, nil
	})
	if err != nil {
		return nil, fmt.Errorf("SettingsApplied did not become True for the new settings: %w", err)
	}
	return cache, nil
}

// flusherPods names the flusher pods with the number of their restarts.
func (d *demo) flusherPods(ctx context.Context, cache *v1alpha1.WriteBehindCache) ([]string, error) {
	pods, err := d.cluster.Pods(ctx, d.namespace, cache.Status.Selector)
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(pods))
	for i := range pods {
		names = append(names, fmt.Sprintf("%s (%d restarts)", pods[i].Name, restarts(&pods[i])))
	}
	slices.Sort(names)
	return names, nil
}

func restarts(pod *corev1.Pod) int32 {
	var n int32
	for i := range pod.Status.ContainerStatuses {
		n += pod.Status.ContainerStatuses[i].RestartCount
	}
	return n
}
