// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"context"
	"fmt"
	"strings"
)

// Library is the text that Redis is given.
var Library = library

// Settings packs pairs of names and values as calls of the engine do.
func Settings(pairs ...string) string {
	s := &settings{packed: make([]byte, headBytes)}
	for i := 0; i+1 < len(pairs); i += 2 {
		s.text(pairs[i], pairs[i+1])
	}
	return string(s.argument())
}

// Piecemeal makes the journal do everything in pieces of so many entries, so that a few
// entries show what a large queue meets.
func (j *Journal) Piecemeal(ctx context.Context, entries int) error {
	j.pieces = pieces{
		pageEntries: entries, pageBytes: 1 << 20, partEntries: entries, partBytes: 1 << 20,
		letters: entries, letterBytes: 1 << 20,
	}
	small := strings.Replace(library, "local PAGE = 500", fmt.Sprintf("local PAGE = %d", entries), 1)
	if small == library {
		return fmt.Errorf("the library has no PAGE to make small")
	}
	// A small hash is read by one call of HSCAN whatever is asked for.
	if err := j.rdb.ConfigSet(ctx, "hash-max-listpack-entries", "0").Err(); err != nil {
		return err
	}
	return j.rdb.FunctionLoadReplace(ctx, small).Err()
}

// PageBytes bounds the values of one page.
func (j *Journal) PageBytes(bytes int) { j.pieces.pageBytes = bytes }

// Unreadable is how an error of a secret's file is told.
func Unreadable(path, secret string, err error) error { return unreadable(path, secret, err) }
