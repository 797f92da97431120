// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package entry

// Set makes the row what the key's value says. Of several writes the newest counts.
var Set = &Operation{Letter: 's', Name: "set", Valued: true, Proof: RowsPass}
