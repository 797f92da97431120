// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package entry

// Append makes a row of one entry of a stream, if that is not there. Such a row never
// changes.
var Append = &Operation{Name: "append", Valued: true, Proof: RowsPass}
