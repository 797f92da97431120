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

// rejectedRetry is how long a rejection stands. It is about the object alone, so it
// changes only with the cluster: with another version of it, or another policy.
const rejectedRetry = time.Minute

// rejections remember which objects the API server refused as invalid, by resource and
// object, so that passes for other causes, such as new numbers, do not send them
// again.
type rejections struct {
	mu    sync.Mutex
	known map[string]rejection
}

type rejection struct {
	intent string
	err    failure.Stalled
	at     time.Time
}

func refusalKey(cache *v1alpha1.WriteBehindCache, o *plan.Object) string {
	return string(cache.UID) + " " + o.Kind + " " + o.Name
}

// stands is the rejection of this very intent while it is younger than rejectedRetry.
func (r *rejections) stands(key, intent string, now time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if last, ok := r.known[key]; ok && last.intent == intent && now.Sub(last.at) < rejectedRetry {
		return &last.err // a copy
	}
	return nil
}

// record keeps a rejection; nil forgets it.
func (r *rejections) record(key, intent string, err *failure.Stalled, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	maps.DeleteFunc(r.known, func(_ string, last rejection) bool { return now.Sub(last.at) >= rejectedRetry })
	if err == nil {
		delete(r.known, key)
		return
	}
	if r.known == nil {
		r.known = map[string]rejection{}
	}
	r.known[key] = rejection{intent, *err, now}
}
