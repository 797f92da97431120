// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"errors"
	"testing"
	"time"

	"github.com/writebehind/operator/internal/controller/failure"
)

func TestARefusalStandsForAWhile(t *testing.T) {
	var r rejections
	now := time.Now()
	stalled := &failure.Stalled{Reason: "X", Message: "no", Retry: rejectedRetry}
	r.record("a", "x", stalled, now)
	err := r.stands("a", "x", now.Add(rejectedRetry-1))
	var again *failure.Stalled
	if !errors.As(err, &again) || *again != *stalled {
		t.Fatalf("the stalled is %v", err)
	}
	again.Retry = 1
	if errors.As(r.stands("a", "x", now), &again); again.Retry != rejectedRetry {
		t.Error("one pass changes the stalled for the next")
	}
	for name, err := range map[string]error{
		"another intent": r.stands("a", "y", now), "another object": r.stands("b", "x", now), "in time": r.stands("a", "x", now.Add(rejectedRetry)),
	} {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	r.record("a", "x", nil, now)
	if err := r.stands("a", "x", now); err != nil {
		t.Errorf("what was applied since: %v", err)
	}
	r.record("b", "x", stalled, now)
	r.record("c", "x", stalled, now.Add(rejectedRetry))
	if len(r.known) != 1 {
		t.Errorf("%d verdicts are kept, want the one that stands", len(r.known))
	}
}
