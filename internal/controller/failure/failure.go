// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package failure has the kinds of errors that end a pass, and what follows each.
package failure

import (
	"errors"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	ctrl "sigs.k8s.io/controller-runtime"
)

// ConflictRetry is how often a pass checks a name that another owner's object
// holds. The cache holds only the operator's own objects, so no watch reports when
// the name is free.
const ConflictRetry = 30 * time.Second

// staleRetry is how soon a pass that acted on an old copy is repeated; a cache is
// rarely further behind.
const staleRetry = 200 * time.Millisecond

// Stalled is an error that only a person can resolve.
type Stalled struct {
	Reason  string
	Message string
	// Retry is set where no watch would report that the person has acted.
	Retry time.Duration
}

func (e *Stalled) Error() string { return e.Reason + ": " + e.Message }

// Waiting ends a pass early because something has to happen first. A watch wakes
// the next pass; After is set where only time does.
type Waiting struct {
	What  string
	After time.Duration
}

func (e *Waiting) Error() string { return "waiting for " + e.What }

// Result maps the kind of an error to what the work queue does:
//
//	nil        nothing; a watch wakes the next pass
//	Waiting    nothing, or one pass at a known time
//	Stalled    nothing, or a pass at long intervals; the condition has the rest
//	conflict   another pass shortly: the cache was behind, which is no error
//	other      retried with growing delays, and logged by the runtime
func Result(err error) (ctrl.Result, error) {
	var stalled *Stalled
	var waiting *Waiting
	switch {
	case err == nil:
		return ctrl.Result{}, nil
	case errors.As(err, &stalled):
		return ctrl.Result{RequeueAfter: stalled.Retry}, nil
	case errors.As(err, &waiting):
		return ctrl.Result{RequeueAfter: waiting.After}, nil
	case apierrors.IsConflict(err):
		return ctrl.Result{RequeueAfter: staleRetry}, nil
	default:
		return ctrl.Result{}, err
	}
}

// Worst is the failure that decides how the pass goes on. The order is: the
// namespace is being deleted, which ends everything; an old copy; an error that
// another attempt may resolve; an error that only a person can.
func Worst(failures []error) error {
	var stalled *Stalled
	for _, is := range []func(error) bool{
		NamespaceTerminating,
		apierrors.IsConflict,
		func(err error) bool { return !errors.As(err, &stalled) },
		func(error) bool { return true },
	} {
		for _, err := range failures {
			if err != nil && is(err) {
				return err
			}
		}
	}
	return nil
}

// NamespaceTerminating reports whether the API server refused to create an object
// because the namespace is being deleted.
func NamespaceTerminating(err error) bool {
	return apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause)
}

// Sooner is the shorter of two waits. Zero is no wait at all, and never the
// shorter one.
func Sooner(a, b time.Duration) time.Duration {
	if a == 0 || b == 0 {
		return max(a, b)
	}
	return min(a, b)
}
