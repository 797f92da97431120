// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"net/http"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/healthz"
)

// readTimeout is how long a probe waits for the cache to be complete; a kubelet
// waits one second for the answer.
const readTimeout = 500 * time.Millisecond

var errNotInformed = errors.New("the cache is not complete: the operator cannot act yet, see its log")

// syncer reports when a cache holds all that it watches.
type syncer interface {
	WaitForCacheSync(ctx context.Context) bool
}

// informed is ready when this operator could act, whether it leads or waits: its
// cache holds everything that it watches. In a rollout the old operator therefore
// stays until the new one has all rights that it needs.
func informed(cache syncer) healthz.Checker {
	return func(request *http.Request) error {
		ctx, cancel := context.WithTimeout(request.Context(), readTimeout)
		defer cancel()
		if !cache.WaitForCacheSync(ctx) {
			return errNotInformed
		}
		return nil
	}
}
