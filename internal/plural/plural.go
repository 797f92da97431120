// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package plural writes a number with its noun, for messages that people read.
package plural

import "strconv"

// Of returns n with the noun that fits it: one for 1, many for every other number,
// 0 included. Of(1, "entry", "entries") is "1 entry".
func Of[N int | int64](n N, one, many string) string {
	noun := many
	if n == 1 {
		noun = one
	}
	return strconv.FormatInt(int64(n), 10) + " " + noun
}
