// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"testing"

	"go.uber.org/goleak"
)

// TestMain makes sure that nothing which was started goes on after it was stopped.
// What waits for the end of the tests' own server goes on.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/writebehind/operator/internal/flusher/postgres/postgrestest.(*Server).launch.func1"))
}
