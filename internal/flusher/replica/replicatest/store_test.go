// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replicatest_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/writebehind/operator/internal/flusher/replica"
	"github.com/writebehind/operator/internal/flusher/replica/replicatest"
)

func TestTheStoreInMemoryConforms(t *testing.T) {
	replicatest.StoreConforms(t, func(*testing.T) replica.Store { return &replicatest.Store{} })
}

func TestALeaseInMemoryRunsOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s replicatest.Store
		lease := func(member string) replica.Hold {
			hold, err := s.Lease(t.Context(), "source", member, time.Minute)
			if err != nil {
				t.Fatal(err)
			}
			return hold
		}
		first := lease("a")
		time.Sleep(time.Minute - time.Nanosecond)
		if hold := lease("b"); hold != first {
			t.Errorf("Before the minute is over, b gets %+v; want %+v", hold, first)
		}
		time.Sleep(time.Nanosecond)
		if hold := lease("b"); hold.Member != "b" || hold.Epoch <= first.Epoch {
			t.Errorf("After the minute, b gets %+v after %+v", hold, first)
		}
	})
}
