// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestProgressGivesTimeAndSilenceEndsIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := &Database{settings: Settings{StatementTimeout: time.Second}}
		ctx, progress, end := d.watched(t.Context())
		defer end()
		for range 10 {
			time.Sleep(d.patience() - time.Millisecond)
			progress()
		}
		if ctx.Err() != nil {
			t.Fatal("the exchange was given up in spite of its progress")
		}
		begun := time.Now()
		<-ctx.Done()
		if took := time.Since(begun); took != d.patience() || !errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
			t.Errorf("a silent server is given up after %v, for %v", took, context.Cause(ctx))
		}
	})
}
