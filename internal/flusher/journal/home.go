// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"fmt"
	"strings"
)

// Home is the database that a flusher writes to.
type Home struct {
	// ID is what the database says that it is, whatever name it is reached by; empty if
	// it does not tell. Name is for a person.
	ID, Name string
	// Owner is that of the flusher's config. Revision is that of the settings which first
	// named the place of its URL, and Since is when the URL was put there, in µs since 1970:
	// of one config the newest URL counts, by the one and then by the other.
	Owner           string
	Revision, Since int64
	// Awaited says that the database was not looked at yet, whatever else is said: where
	// others flush the queue, that comes first.
	Awaited bool
}

// latest is the last moment that age can tell, in the year 2286.
const latest = 1e16 - 1

// age is one number that is the higher, the newer the URL is.
func (h Home) age() string {
	return fmt.Sprintf("%d%016d", max(h.Revision, 0), min(max(h.Since, 0), latest))
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
	return strings.Join([]string{line(h.ID), h.age(), line(h.Owner), h.Name}, "\n")
}
