// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"

	"github.com/writebehind/operator/internal/flusher/entry"
)

// binaryType is the type of bytes, by its name in pg_catalog.
const binaryType = "bytea"

// hexPrefix begins PostgreSQL's own text of bytes.
const hexPrefix = `\x`

// notBinary is what a column of bytes takes, in words for a message.
const notBinary = "a column of type bytea takes a string in base64 (with or without padding, of the standard or the URL-safe alphabet) " +
	`or "\x" and hexadecimal digits, and the value is neither`

// appendBinary writes a string for a column of bytes: base64, as JSON's libraries
// write bytes, becomes PostgreSQL's hexadecimal form, which may be given too. It
// reports false for a string that is neither. Line breaks within base64 are left out;
// a last digit with bits that belong to no byte is refused, as most words of a text
// are by that or by their length.
func appendBinary(dst, value []byte) ([]byte, bool) {
	if bytes.HasPrefix(value, []byte(hexPrefix)) {
		return append(dst, value...), true
	}
	encoding := base64.RawStdEncoding
	if bytes.ContainsAny(value, "-_") {
		encoding = base64.RawURLEncoding
	}
	digits, ok := unpadded(value)
	if !ok {
		return dst, false
	}
	decoded, err := encoding.Strict().DecodeString(string(digits))
	if err != nil {
		return dst, false
	}
	dst = append(dst, hexPrefix...)
	return hex.AppendEncode(dst, decoded), true
}

// unpadded takes line breaks and the padding off, which is right in number if it is
// there at all.
func unpadded(value []byte) ([]byte, bool) {
	if bytes.ContainsAny(value, "\r\n") {
		value = bytes.ReplaceAll(bytes.ReplaceAll(value, []byte("\r"), nil), []byte("\n"), nil)
	}
	digits := bytes.TrimRight(value, "=")
	padding := len(value) - len(digits)
	return digits, padding == 0 || padding <= 2 && len(value)%4 == 0
}

// binary appends the value of a column of bytes. The whole document is its own bytes.
func (b *Batch) binary(c *column, v jsonValue, whole bool) error {
	var ok bool
	switch {
	case whole:
		b.arena = append(b.arena, hexPrefix...)
		b.arena = hex.AppendEncode(b.arena, v.text)
		return nil
	case v.kind == jsonString:
		b.arena, ok = appendBinary(b.arena, v.value())
	}
	if !ok {
		return c.notBinary()
	}
	return nil
}

// appendBinaryElement writes one element of an array of bytes, whose text has a
// backslash that the array's own text must double.
func (c *column) appendBinaryElement(dst []byte, v jsonValue) ([]byte, error) {
	if v.kind != jsonString {
		return dst, c.notBinary()
	}
	element, ok := appendBinary(nil, v.value())
	if !ok {
		return dst, c.notBinary()
	}
	return appendQuoted(dst, element), nil
}

func (c *column) notBinary() error {
	return &entry.Unfit{SQLSTATE: stateInvalidText, Column: c.name, Message: fmt.Sprintf("column %s: %s", c.name, notBinary)}
}
