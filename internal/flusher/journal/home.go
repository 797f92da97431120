// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"fmt"
	"strings"

	"github.com/writebehind/operator/internal/flusher/entry"
)

// latest is the last moment that age can express, in the year 2286.
const latest = 1e16 - 1

// age is one number that is the higher, the newer the URL is.
func age(h entry.Home) string {
	return fmt.Sprintf("%d%016d", max(h.Revision, 0), min(max(h.Since, 0), latest))
}

// homeText is the home as the library has it, see there.
func homeText(h entry.Home) string {
	switch {
	case h.Awaited:
		return "?"
	case h.ID == "":
		return ""
	}
	line := func(text string) string { return strings.ReplaceAll(text, "\n", " ") }
	return strings.Join([]string{line(h.ID), age(h), line(h.Owner), h.Name}, "\n")
}
