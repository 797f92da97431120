// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"maps"
	"sync"
	"time"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/failure"
	"github.com/writebehind/operator/internal/controller/plan"
)

// refusedRetry is how long a refusal stands. It is about the object alone, so it
// changes only with the cluster: with another version of it, or another policy.
const refusedRetry = time.Minute

// refusals remember which objects the API server refused as invalid, by resource and
// object, so that passes for other causes, such as new numbers, do not send them
// again.
type refusals struct {
	mu    sync.Mutex
	known map[string]refusal
}

type refusal struct {
	intent string
	err    failure.Stalled
	at     time.Time
}

func refusalKey(cache *v1alpha1.WriteBehindCache, o *plan.Object) string {
	return string(cache.UID) + " " + o.Kind + " " + o.Name
}

// stands is the refusal of this very intent while it is younger than refusedRetry.
func (r *refusals) stands(key, intent string, now time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if last, ok := r.known[key]; ok && last.intent == intent && now.Sub(last.at) < refusedRetry {
		return &last.err // a copy
	}
	return nil
}

// record keeps a refusal; nil forgets it.
func (r *refusals) record(key, intent string, err *failure.Stalled, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	maps.DeleteFunc(r.known, func(_ string, last refusal) bool { return now.Sub(last.at) >= refusedRetry })
	if err == nil {
		delete(r.known, key)
		return
	}
	if r.known == nil {
		r.known = map[string]refusal{}
	}
	r.known[key] = refusal{intent, *err, now}
}
