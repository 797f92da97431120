// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package flusher

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/writebehind/operator/internal/flusher/journal"
)

func TestPartitionsCompeteForSlotsByAge(t *testing.T) {
	t.Parallel()
	got := oldestFirst([]journal.Load{{HeadMilliseconds: 10}, {}, {HeadMilliseconds: 900}, {HeadMilliseconds: 10}, {HeadMilliseconds: 400}})
	if diff := cmp.Diff([]int{2, 4, 0, 3, 1}, got); diff != "" {
		t.Errorf("the order differs (-want +got):\n%s", diff)
	}
}
