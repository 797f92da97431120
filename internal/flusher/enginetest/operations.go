// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package enginetest

import (
	"encoding/json"
	"errors"

	"github.com/writebehind/operator/internal/flusher/entry"
)

// Write is what an operation makes of a row, which is nil where there is none, both before
// and after. An error is what is wrong with the value, and leaves the row as it is.
type Write func(row, value []byte) ([]byte, error)

// newest makes the row the value, if that is a JSON object.
func newest(_, value []byte) ([]byte, error) {
	var object map[string]json.RawMessage
	if err := json.Unmarshal(value, &object); err != nil || object == nil {
		return nil, errors.New("the document is not a JSON object")
	}
	return value, nil
}

// none leaves no row.
func none(_, _ []byte) ([]byte, error) { return nil, nil }

// Learn teaches the database one operation more. What write says of a value must not depend
// on the row.
func (d *Database) Learn(operation *entry.Operation, write Write) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.writes[operation] = write
}

// row is a key with what is to be written to it.
type row struct {
	key   string
	write Write
	value []byte
}

// becomes is what the row is after the write. The value was tried when it was added.
func (r *row) becomes(before []byte) []byte {
	after, _ := r.write(before, r.value)
	return after
}
