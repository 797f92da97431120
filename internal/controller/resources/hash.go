// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package resources

import (
	"crypto/sha256"
	"encoding/hex"
)

// hashBytes is 64 bits of a SHA-256: enough to tell two configs apart, short
// enough to read.
const hashBytes = 8

// Hash names a text by its content.
func Hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:hashBytes])
}
