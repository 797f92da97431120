// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Quoted makes one cell of a table of any text: a key may hold spaces, or what a terminal would
// obey.
func Quoted(text string) string {
	if text == "" {
		return "-"
	}
	if !utf8.ValidString(text) || strings.ContainsFunc(text, func(c rune) bool { return c == ' ' || c == '"' || !unicode.IsPrint(c) }) {
		return strconv.Quote(text)
	}
	return text
}

// longestCell is how many bytes of a key stand in a table: one of 8 kB would push every other
// column out of sight.
const longestCell = 100

// Brief is a key's cell in a table or a line. A long key is cut, and its length shown: a document
// has it whole.
func Brief(key string) string {
	if len(key) <= longestCell {
		return Quoted(key)
	}
	end := longestCell
	for end > longestCell-utf8.UTFMax && !utf8.RuneStart(key[end]) {
		end--
	}
	return fmt.Sprintf("%s... (%d bytes)", Quoted(key[:end]), len(key))
}

// Escaped is a text in which nothing is left that a terminal would obey, or that would begin
// another line or cell of a table.
func Escaped(text string) string {
	var out strings.Builder
	for len(text) > 0 {
		c, size := utf8.DecodeRuneInString(text)
		switch {
		case c == utf8.RuneError && size == 1:
			fmt.Fprintf(&out, `\x%02x`, text[0])
		case unicode.IsPrint(c):
			out.WriteRune(c)
		default:
			out.WriteString(strings.Trim(strconv.QuoteRune(c), "'"))
		}
		text = text[size:]
	}
	return out.String()
}

// Word is a text as one word of a shell, which runs nothing that is in it. It is for whoever pastes
// it, so what a terminal would obey is not in it either.
func Word(text string) string {
	plain := func(c rune) bool {
		return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune(":-_./@,=+%", c)
	}
	switch {
	case text != "" && !strings.ContainsFunc(text, func(c rune) bool { return !plain(c) }):
		return text
	case utf8.ValidString(text) && !strings.ContainsFunc(text, func(c rune) bool { return !unicode.IsPrint(c) }):
		return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
	}
	var out strings.Builder
	for _, b := range []byte(text) {
		if b >= ' ' && b <= '~' && b != '\'' && b != '\\' {
			out.WriteByte(b)
		} else {
			fmt.Fprintf(&out, `\x%02x`, b)
		}
	}
	return "$'" + out.String() + "'"
}
