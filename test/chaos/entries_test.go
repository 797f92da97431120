// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"fmt"
	"maps"
	"slices"
	"sync"
)

// added is one XADD.
type added struct {
	number, sentAt int64
	stream, id     string
	state          state
	// bad says that no row can be made of the entry.
	bad bool
	// trimmed says that the stream is kept short, so that Redis may have dropped the entry.
	trimmed bool
	// lostAt is when Redis was found to have lost it, which it had confirmed.
	lostAt int64
	// rows counts the rows that were made of it.
	rows int
}

// entries are all entries of all streams. An entry is a row once, and stays.
type entries struct {
	findings *findings
	mu       sync.Mutex
	all      map[int64]*added
}

func newEntries(f *findings) *entries { return &entries{findings: f, all: make(map[int64]*added)} }

func (es *entries) sent(a added) {
	es.mu.Lock()
	defer es.mu.Unlock()
	a.sentAt = microseconds()
	es.all[a.number] = &a
}

func (es *entries) answered(number int64, is state, id string) {
	es.mu.Lock()
	defer es.mu.Unlock()
	a := es.all[number]
	if id != "" && a.id != "" && a.id != id {
		es.findings.add(wrong, "stream %s: the row of write %d has id %s, and Redis answered %s", a.stream, number, a.id, id)
	}
	a.state = is
	if id != "" {
		a.id = id
	}
}

func (es *entries) refused(number int64) {
	es.mu.Lock()
	defer es.mu.Unlock()
	if a := es.all[number]; a.rows > 0 {
		es.findings.add(phantom, "stream %s: write %d is a row, and was refused", a.stream, number)
	}
	delete(es.all, number)
}

// committed notes a row that was made.
func (es *entries) committed(stream, id string, number int64, p place) {
	es.mu.Lock()
	defer es.mu.Unlock()
	a := es.all[number]
	if a == nil || a.stream != stream || a.bad {
		es.findings.add(phantom, "stream %s: entry %s of write %d committed at %v, and was refused, never made, or no row", stream, id, number, p)
		return
	}
	if a.rows++; a.rows > 1 {
		es.findings.add(repeated, "stream %s: entry %s of write %d was inserted again at %v", stream, id, number, p)
	}
	if a.id != "" && a.id != id {
		es.findings.add(wrong, "stream %s: the row of write %d has id %s, and Redis answered %s", stream, number, id, a.id)
	}
	a.id = id
}

// verdict looks for entries that were acknowledged and are no rows. letter tells whether
// there is a dead letter of the entry, excused whether Redis may have dropped it unread.
func (es *entries) verdict(letter func(stream, id string) string, excused func(a *added) bool) (missing int64) {
	es.mu.Lock()
	defer es.mu.Unlock()
	for _, number := range slices.Sorted(maps.Keys(es.all)) {
		a := es.all[number]
		cause := letter(a.stream, a.id)
		switch {
		case a.state != acknowledged:
		case a.bad && cause == "" && !excused(a):
			es.findings.add(lost, "%v can be no row, and is no dead letter", a)
		case a.bad || a.rows > 0:
		case cause == "ValueLost", excused(a):
			missing++
		default:
			es.findings.add(lost, "%v is no row (dead letter: %q)", a, cause)
		}
	}
	return missing
}

func (a *added) String() string {
	return fmt.Sprintf("stream %s: entry %s of write %d", a.stream, a.id, a.number)
}
