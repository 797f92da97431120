// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package enginetest_test

import (
	"testing"

	"github.com/writebehind/operator/internal/flusher/enginetest"
)

func TestTheDatabaseInMemoryConforms(t *testing.T) {
	enginetest.DatabaseConforms(t, func(t *testing.T) enginetest.DatabaseUnderTest {
		_, under := enginetest.InMemory(t)
		return under
	})
}
