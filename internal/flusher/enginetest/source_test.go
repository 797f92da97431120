// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package enginetest_test

import (
	"testing"

	"github.com/writebehind/operator/internal/flusher/enginetest"
)

func TestTheSourceInMemoryConforms(t *testing.T) {
	inMemory := func(*testing.T) enginetest.SourceUnderTest {
		s := enginetest.NewSource()
		return enginetest.SourceUnderTest{Source: s, Set: s.Set, Delete: s.Delete}
	}
	enginetest.SourceConforms(t, inMemory)
	enginetest.SharesConform(t, inMemory)
}
