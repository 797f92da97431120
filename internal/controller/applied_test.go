// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"testing"
	"time"
)

func TestAppliedKnowsTheAnswerToItsIntent(t *testing.T) {
	var a applied
	live := liveService()
	live.UID, live.ResourceVersion = "a", "7"
	if a.unchanged(live, "x") {
		t.Error("unchanged before anything was applied")
	}
	now := time.Now()
	a.record("a", "x", "7", now)
	if !a.unchanged(live, "x") {
		t.Error("the answer to the intent counts as changed")
	}
	if a.unchanged(live, "y") {
		t.Error("another intent counts as applied")
	}
	live.ResourceVersion = "8"
	if a.unchanged(live, "x") {
		t.Error("a later change counts as the answer")
	}
}

func TestAppliedBoundsAFightWithAnother(t *testing.T) {
	var a applied
	now := time.Now()
	for i := range applyBurst {
		if wait := a.wait("a", "x", now); wait != 0 {
			t.Fatalf("attempt %d waits %s", i, wait)
		}
		a.record("a", "x", "1", now)
		now = now.Add(time.Second)
	}
	if wait := a.wait("a", "x", now); wait != applyWindow-applyBurst*time.Second {
		t.Errorf("waits %s", wait)
	}
	if wait := a.wait("a", "y", now); wait != 0 {
		t.Errorf("a new intent waits %s", wait)
	}
	if wait := a.wait("b", "x", now); wait != 0 {
		t.Errorf("another object waits %s", wait)
	}
	now = now.Add(applyWindow)
	if wait := a.wait("a", "x", now); wait != 0 {
		t.Errorf("waits %s when the window has passed", wait)
	}
	a.record("a", "x", "2", now)
	if wait := a.wait("a", "x", now); wait != 0 {
		t.Errorf("waits %s at the second attempt of a new window", wait)
	}
}
