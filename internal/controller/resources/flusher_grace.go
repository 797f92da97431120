// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package resources

import (
	"time"

	"github.com/writebehind/operator/api/v1alpha1"
)

const (
	// defaultFlusherGrace is how long a flusher's Pod may take to end, in seconds, in a
	// resource of before there was a choice.
	defaultFlusherGrace int32 = 60
	// flusherGraceReserve is what a flusher needs to roll back what is in flight and to give its
	// partitions back, on a node that is short of CPU: each server may be silent for 5 s. One that
	// is killed loses nothing, but keeps its partitions until their leases run out.
	flusherGraceReserve = 15 * time.Second
)

func flusherGrace(cache *v1alpha1.WriteBehindCache) int32 {
	if seconds := cache.Spec.Flusher.TerminationGracePeriodSeconds; seconds > 0 {
		return seconds
	}
	return defaultFlusherGrace
}

// flushingAtTheEnd is how long a flusher goes on flushing, of the time that its Pod has to end.
func flushingAtTheEnd(grace int32) time.Duration {
	all := time.Duration(grace) * time.Second
	return max(all-flusherGraceReserve, all/2)
}
