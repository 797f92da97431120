// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package audit

// pageOfKeys is how many keys, or rows, are looked at in one step: it takes either server a few
// milliseconds.
const pageOfKeys = 200
