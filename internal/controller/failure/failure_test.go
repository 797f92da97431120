// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package failure

import (
	"errors"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func TestResult(t *testing.T) {
	other := errors.New("the API server is away")
	for name, c := range map[string]struct {
		err     error
		after   time.Duration
		retried bool
	}{
		"success":                 {nil, 0, false},
		"stalled":                 {fmt.Errorf("pass: %w", &Stalled{Reason: "X"}), 0, false},
		"stalled without a watch": {&Stalled{Reason: "X", Retry: ConflictRetry}, ConflictRetry, false},
		"waiting for a watch":     {&Waiting{What: "x"}, 0, false},
		"waiting for a time":      {&Waiting{What: "x", After: time.Minute}, time.Minute, false},
		"anything else":           {other, 0, true},
		"an old copy":             {apierrors.NewConflict(schema.GroupResource{}, "x", other), staleRetry, false},
	} {
		t.Run(name, func(t *testing.T) {
			result, err := Result(c.err)
			if result.RequeueAfter != c.after || (err != nil) != c.retried {
				t.Errorf("the result is %v, %v", result, err)
			}
		})
	}
}

func TestTheWorstFailureDecides(t *testing.T) {
	terminating := &apierrors.StatusError{ErrStatus: metav1.Status{
		Reason:  metav1.StatusReasonForbidden,
		Details: &metav1.StatusDetails{Causes: []metav1.StatusCause{{Type: corev1.NamespaceTerminatingCause}}},
	}}
	conflict := apierrors.NewConflict(schema.GroupResource{}, "x", errors.New("old"))
	other, stalled := errors.New("the API server is away"), &Stalled{Reason: "X"}
	for name, c := range map[string]struct {
		failures []error
		want     error
	}{
		"none":                              {[]error{nil, nil}, nil},
		"one that a person resolves":        {[]error{nil, stalled}, stalled},
		"one that another attempt resolves": {[]error{stalled, other}, other},
		"an old copy":                       {[]error{stalled, other, conflict}, conflict},
		"the end of the namespace":          {[]error{conflict, stalled, terminating, other}, terminating},
	} {
		if got := Worst(c.failures); !errors.Is(got, c.want) || (got == nil) != (c.want == nil) {
			t.Errorf("%s: the worst is %v, want %v", name, got, c.want)
		}
	}
}

func TestZeroIsNoWait(t *testing.T) {
	for _, c := range []struct{ a, b, want time.Duration }{{0, 0, 0}, {0, 2, 2}, {2, 0, 2}, {3, 2, 2}} {
		if got := Sooner(c.a, c.b); got != c.want {
			t.Errorf("the sooner of %d and %d is %d, want %d", c.a, c.b, got, c.want)
		}
	}
}
