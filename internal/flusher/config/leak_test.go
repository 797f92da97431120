// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package config_test

import (
	"testing"

	"go.uber.org/goleak"
)

// TestMain makes sure that nothing which was started goes on after it was stopped.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}
