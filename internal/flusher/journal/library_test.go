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
	pinnedHash    = "bd4fa01905a7e161dbae35b42efee86869bc10331324e6fb457edc6274053885"
)

func TestEveryChangeOfTheLibraryHasANewNumber(t *testing.T) {
	t.Parallel()
	sum := sha256.Sum256([]byte(library))
	if got := hex.EncodeToString(sum[:]); got != pinnedHash || LibraryVersion != pinnedVersion {
		t.Errorf("the library has number %d and hash %s, number %d is pinned to %s: raise LIBRARY in writebehind.lua, "+
			"and pin the new number with the new hash here", LibraryVersion, got, pinnedVersion, pinnedHash)
	}
}
