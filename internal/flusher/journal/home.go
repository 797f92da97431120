// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"strconv"
	"strings"
)

// Home is the database that a flusher writes to.
type Home struct {
	// ID is what the database says that it is, whatever name it is reached by; empty if
	// it does not tell. Name is for a person.
	ID, Name string
	// Owner is that of the flusher's config, Since when its URL was put there, in µs since
	// 1970: of one config the newest URL counts.
	Owner string
	Since int64
	// Awaited says that the database was not looked at yet, whatever else is said: where
	// others flush the queue, that comes first.
	Awaited bool
}

// text is the home as the library has it, see there.
func (h Home) text() string {
	switch {
	case h.Awaited:
		return "?"
	case h.ID == "":
		return ""
	}
	line := func(text string) string { return strings.ReplaceAll(text, "\n", " ") }
	return strings.Join([]string{line(h.ID), strconv.FormatInt(max(h.Since, 0), 10), line(h.Owner), h.Name}, "\n")
}
