// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"errors"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	ctrl "sigs.k8s.io/controller-runtime"
)

// conflictRetry is how often a name that somebody else's object holds is looked
// at again. The cache holds only the operator's own objects, so no watch tells
// when it is free.
const conflictRetry = 30 * time.Second

// goneRetry is how soon a name is looked at again whose holder is being deleted,
// which takes seconds.
const goneRetry = 2 * time.Second

// staleRetry is how soon a pass is made again that acted on an old copy; a cache
// is rarely further behind.
const staleRetry = 200 * time.Millisecond

// stalledError says that only a person can make progress possible.
type stalledError struct {
	reason  string
	message string
	// retry is set where no watch would tell that the person has acted.
	retry time.Duration
}

func (e *stalledError) Error() string { return e.reason + ": " + e.message }

// waitingError says that the pass ended early because something has to happen
// first. A watch wakes the next one; after is set where only time does.
type waitingError struct {
	what  string
	after time.Duration
}

func (e *waitingError) Error() string { return "waiting for " + e.what }

// outcome is the one place that maps the kind of an error to what the queue does:
//
//	nil        nothing; a watch wakes the next pass
//	waiting    nothing, or one pass at a known time
//	stalled    nothing, or a look at long intervals; the condition says the rest
//	conflict   another pass shortly: the cache was behind, which is no error
//	other      retried with growing delays, and logged by the runtime
func outcome(err error) (ctrl.Result, error) {
	var stalled *stalledError
	var waiting *waitingError
	switch {
	case err == nil:
		return ctrl.Result{}, nil
	case errors.As(err, &stalled):
		return ctrl.Result{RequeueAfter: stalled.retry}, nil
	case errors.As(err, &waiting):
		return ctrl.Result{RequeueAfter: waiting.after}, nil
	case apierrors.IsConflict(err):
		return ctrl.Result{RequeueAfter: staleRetry}, nil
	default:
		return ctrl.Result{}, err
	}
}
