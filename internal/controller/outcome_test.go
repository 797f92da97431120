// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"errors"
	"fmt"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/writebehind/operator/api/v1alpha1"
)

func TestOutcome(t *testing.T) {
	s := &scope{cache: &v1alpha1.WriteBehindCache{}}
	other := errors.New("the API server is away")
	for name, c := range map[string]struct {
		err     error
		after   time.Duration
		retried bool
	}{
		"success":                 {nil, 0, false},
		"stalled":                 {fmt.Errorf("pass: %w", &stalledError{reason: "X"}), 0, false},
		"stalled without a watch": {&stalledError{reason: "X", retry: conflictRetry}, conflictRetry, false},
		"waiting for a watch":     {&waitingError{what: "x"}, 0, false},
		"waiting for a time":      {&waitingError{what: "x", after: time.Minute}, time.Minute, false},
		"anything else":           {other, 0, true},
		"a refused object":        {s.refused(object{kind: "Deployment"}, apierrors.NewInvalid(schema.GroupKind{Kind: "Deployment"}, "x", nil)), refusedRetry, false},
		"an old copy":             {s.refused(object{}, apierrors.NewConflict(schema.GroupResource{}, "x", other)), staleRetry, false},
	} {
		t.Run(name, func(t *testing.T) {
			result, err := outcome(c.err)
			if result.RequeueAfter != c.after || (err != nil) != c.retried {
				t.Errorf("outcome is %v, %v", result, err)
			}
		})
	}
}
