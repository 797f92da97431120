// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/writebehind/operator/internal/flusher/entry"
)

// keyKind is the type of a key column, as far as it decides which texts are
// keys.
type keyKind uint8

const (
	keyInt2 keyKind = iota + 1
	keyInt4
	keyInt8
	keyText
	keyUUID
)

// keyKinds are the types that a key column may have, by their name in
// pg_catalog: those whose canonical text can be told without the server.
var keyKinds = map[string]keyKind{
	"int2": keyInt2, "int4": keyInt4, "int8": keyInt8,
	"text": keyText, "varchar": keyText, "uuid": keyUUID,
}

// integerBits is the size of the integer kinds.
var integerBits = [...]int{keyInt2: 16, keyInt4: 32, keyInt8: 64, keyText: 0, keyUUID: 0}

// key is a column that a row is found by.
type key struct {
	column
	kind keyKind
	// role is what a message calls a text for it.
	role string
	// length is the most characters, 0 for any number.
	length int
}

func newKey(a *attribute, role string) key {
	return key{column: newColumn(a), kind: keyKinds[a.base], role: role, length: int(a.length)}
}

func (k *key) integer() bool {
	return integerBits[k.kind] != 0
}

// check refuses a row key that is not the canonical text of the column's type:
// two keys that mean one row may lie in two partitions, which write in no
// order. For an integer it gives the number.
func (k *key) check(text string) (int64, error) {
	switch k.kind {
	case keyText:
		return 0, k.checkText(text)
	case keyUUID:
		if !canonicalUUID(text) {
			return 0, k.unfit(stateInvalidText, text, "is not the canonical form of a uuid: 32 lower-case hexadecimal digits with hyphens, as 8-4-4-4-12")
		}
		return 0, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err == nil && !canonicalInteger(text) || err != nil && !isInteger(text) {
		return 0, k.unfit(stateInvalidText, text, "is not the canonical form of an integer: digits without leading zeros")
	}
	if bits := integerBits[k.kind]; err != nil || n<<(64-bits)>>(64-bits) != n {
		return 0, k.unfit(stateOutOfRange, text, "is out of the range of "+k.shown)
	}
	return n, nil
}

func (k *key) checkText(text string) error {
	switch {
	case strings.IndexByte(text, 0) >= 0:
		return k.unfit(stateInvalidChar, text, "holds the character U+0000, which PostgreSQL cannot store")
	case !utf8.ValidString(text):
		return k.unfit(stateInvalidChar, text, "is not valid UTF-8")
	case k.length > 0 && len(text) > k.length && utf8.RuneCountInString(text) > k.length:
		return k.unfit(stateTooLong, text, fmt.Sprintf("is longer than the %d characters of its column", k.length))
	}
	return nil
}

// checkMember is check of the member's column.
func (t *Table) checkMember(text string) (int64, error) { return t.member.check(text) }

// checks tells whether a text can be a member.
func (t *Table) checks(text string) bool {
	_, err := t.member.check(text)
	return err == nil
}

// longestShown bounds what a message repeats of a key.
const longestShown = 64

func (k *key) unfit(state, text, what string) error {
	shown := text
	if len(shown) > longestShown {
		shown = shown[:longestShown] + "…"
	}
	return &entry.Unfit{SQLSTATE: state, OfKey: true, Message: fmt.Sprintf("%s %q %s", k.role, shown, what)}
}

func isInteger(text string) bool {
	digits := strings.TrimPrefix(text, "-")
	return digits != "" && strings.Trim(digits, "0123456789") == "" && canonicalInteger(text)
}

// canonicalInteger tells the canonical form among the texts that ParseInt
// takes.
func canonicalInteger(text string) bool {
	switch {
	case text[0] == '+':
		return false
	case text[0] == '-':
		return len(text) > 1 && text[1] != '0'
	}
	return text[0] != '0' || len(text) == 1
}

func canonicalUUID(text string) bool {
	if len(text) != 36 {
		return false
	}
	for i := range len(text) {
		c := text[i]
		switch i {
		case 8, 13, 18, 23:
			if c != '-' {
				return false
			}
		default:
			if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
				return false
			}
		}
	}
	return true
}
