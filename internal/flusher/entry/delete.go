// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package entry

// Delete takes the row away. A row of which nothing has to be right says nothing of those of
// which something has.
var Delete = &Operation{Letter: 'd', Name: "delete", Proof: RemovalsPass}
