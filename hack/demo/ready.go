// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/writebehind/operator/api/v1alpha1"
)

// awaitReady waits until the cache is Ready for its present spec, and shows what
// the conditions say meanwhile.
func (d *demo) awaitReady(ctx context.Context, key client.ObjectKey) (*v1alpha1.WriteBehindCache, error) {
	shown := map[string]string{}
	var cache *v1alpha1.WriteBehindCache
	err := poll(ctx, readyTimeout, func() (done bool, err error) {
		if cache, err = d.cluster.Cache(ctx, key); err != nil {
			return false, err
		}
		for _, text := range changed(cache.Status.Conditions, shown) {
			d.line("%s  %s", time.Now().Format(time.TimeOnly), text)
		}
		return ready(cache), nil
	})
	if err != nil {
		return nil, fmt.Errorf("the WriteBehindCache %s is not Ready: %w", key.Name, err)
	}
	return cache, nil
}

// changed are the conditions that say something else than what was shown of them. Those that say
// the same share a line: at the beginning all say that no flusher answers.
func changed(conditions []metav1.Condition, shown map[string]string) (lines []string) {
	types := map[string][]string{}
	var texts []string
	for i := range conditions {
		c := &conditions[i]
		text := fmt.Sprintf("%s: %s", c.Reason, c.Message)
		if shown[c.Type] == string(c.Status)+text {
			continue
		}
		shown[c.Type] = string(c.Status) + text
		if types[text] == nil {
			texts = append(texts, text)
		}
		types[text] = append(types[text], fmt.Sprintf("%s=%s", c.Type, c.Status))
	}
	for _, text := range texts {
		lines = append(lines, strings.Join(types[text], " ")+"  "+text)
	}
	return lines
}

// poll looks until done, for at most as long as timeout.
func poll(ctx context.Context, timeout time.Duration, look func() (done bool, err error)) error {
	return pollEvery(ctx, pollInterval, timeout, look)
}

func pollEvery(ctx context.Context, interval, timeout time.Duration, look func() (done bool, err error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("not within %s", timeout))
	defer cancel()
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		if done, err := look(); done || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ticker.C:
		}
	}
}

func ready(cache *v1alpha1.WriteBehindCache) bool {
	for _, c := range cache.Status.Conditions {
		if c.Type == v1alpha1.ConditionReady {
			return c.Status == metav1.ConditionTrue && c.ObservedGeneration == cache.Generation
		}
	}
	return false
}
