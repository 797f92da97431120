// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"context"
	"errors"
	"time"

	"github.com/writebehind/operator/internal/flusher/entry"
)

// How often the database is asked, and what it is left to in between at first: a comparison that
// takes hours must outlast a restart or a busy moment, and a person waits a few seconds at most
// for the answer that it is away.
const (
	mostAsks   = 4
	firstPause = 500 * time.Millisecond
)

// patiently asks the database again where it was away, or busy.
func patiently[T any](ctx context.Context, ask func() (T, error)) (T, error) {
	for asks, pause := 1, firstPause; ; asks, pause = asks+1, 2*pause {
		answer, err := ask()
		fault, ok := errors.AsType[*entry.Fault](err)
		if !ok || asks == mostAsks || fault.Kind != entry.Transient && fault.Kind != entry.Contention {
			return answer, err
		}
		select {
		case <-ctx.Done():
			return answer, err
		case <-time.After(pause):
		}
	}
}
