// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"crypto/sha256"
	"encoding/hex"
	"testing"
)

// pinned is the text of the function library that has the present number. A flusher
// loads its library only over one with a lower number, so every change of the text
// needs a new one, or flushers of two releases would work with one of the two.
const (
	pinnedVersion = 5
	pinnedHash    = "624712334a59e6b3d7c0a6185ffba74cbe5842ec6d72c3c7b2c4c342150cc87e"
)

func TestEveryChangeOfTheLibraryHasANewNumber(t *testing.T) {
	t.Parallel()
	sum := sha256.Sum256([]byte(library))
	if got := hex.EncodeToString(sum[:]); got != pinnedHash || LibraryVersion != pinnedVersion {
		t.Errorf("the library has number %d and hash %s, number %d is pinned to %s: raise LIBRARY in writebehind.lua, "+
			"and pin the new number with the new hash here", LibraryVersion, got, pinnedVersion, pinnedHash)
	}
}
