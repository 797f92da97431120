// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package entry

// Clear takes away the rows of a key but for those of the members that its value lists, a
// JSON array of texts. That says what is there instead of what to do, so that it may come
// before or after what is written of the members.
var Clear = &Operation{Name: "clear", Proof: RemovalsPass}
