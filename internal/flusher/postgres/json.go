// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"bytes"
	"fmt"
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth is how deep a document may nest. PostgreSQL's own parser gives up at
// a depth that depends on its stack; this is well below it.
const maxDepth = 500

// jsonKind is the kind of a JSON value.
type jsonKind uint8

const (
	jsonNull jsonKind = iota
	jsonBool
	jsonNumber
	jsonString
	jsonArray
	jsonObject
)

// Oddities of the strings and numbers in a value. They are legal in JSON, and decide
// where and how the value can be stored.
type oddity uint8

const (
	// hasEscape means that the text is not the value.
	hasEscape oddity = 1 << iota
	// hasNul means that a string holds U+0000, which no text of PostgreSQL can.
	hasNul
	// hasSurrogate means that a string holds half a surrogate pair, which is no
	// character.
	hasSurrogate
	// hasPoint means that a number has a point or an exponent, which a whole number
	// of PostgreSQL's must not have.
	hasPoint
)

// jsonValue is one value: its text in the document, for a string without the
// quotation marks.
type jsonValue struct {
	text []byte
	kind jsonKind
	odd  oddity
}

// value is what a string's text stands for.
func (v *jsonValue) value() []byte {
	if v.odd&hasEscape != 0 {
		return unescape(nil, v.text)
	}
	return v.text
}

// scanner walks over a document whose UTF-8 was checked before.
type scanner struct {
	data []byte
	pos  int
}

// syntaxError says what is wrong with a document and where, without quoting it.
type syntaxError struct {
	offset int
	want   string
}

func (e *syntaxError) Error() string {
	return fmt.Sprintf("the document is not valid JSON: %s at byte %d", e.want, e.offset)
}

func (s *scanner) fail(want string) error {
	if s.pos >= len(s.data) {
		want += " instead of the end"
	}
	return &syntaxError{s.pos, want}
}

func (s *scanner) space() {
	for s.pos < len(s.data) {
		switch s.data[s.pos] {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return
		}
	}
}

// next skips white space and gives the byte that follows, 0 at the end.
func (s *scanner) next() byte {
	if s.pos < len(s.data) {
		if c := s.data[s.pos]; c > ' ' {
			return c
		}
	}
	s.space()
	if s.pos < len(s.data) {
		return s.data[s.pos]
	}
	return 0
}

// value scans the value that begins at the next byte that is not white space.
func (s *scanner) value(depth int) (jsonValue, error) {
	c := s.next()
	start := s.pos
	switch {
	case c == '"':
		return s.text()
	case c == '{' || c == '[':
		if depth >= maxDepth {
			return jsonValue{}, s.fail(fmt.Sprintf("nesting deeper than %d", maxDepth))
		}
		v := jsonValue{kind: jsonArray}
		var err error
		if c == '{' {
			v.kind = jsonObject
			v.odd, err = s.object(depth + 1)
		} else {
			v.odd, err = s.array(depth + 1)
		}
		v.text = s.data[start:s.pos]
		return v, err
	case c == '-' || c >= '0' && c <= '9':
		return s.number()
	case c == 't':
		return s.literal("true", jsonBool)
	case c == 'f':
		return s.literal("false", jsonBool)
	case c == 'n':
		return s.literal("null", jsonNull)
	}
	if word := s.stranger(); word != "" {
		return jsonValue{}, s.fail(word)
	}
	return jsonValue{}, s.fail("a value is missing")
}

// strangers are what other notations have for values, and what JSON has instead.
var strangers = []struct{ word, instead string }{
	{"NaN", notANumber},
	{"nan", notANumber},
	{"Infinity", notANumber},
	{"-Infinity", notANumber},
	{"inf", notANumber},
	{"-inf", notANumber},
	{"-NaN", notANumber},
	{"-nan", notANumber},
	{"INF", notANumber},
	{"-INF", notANumber},
	{"+Infinity", notANumber},
	{"+inf", notANumber},
	{"undefined", "undefined is no JSON value: write null, or leave the field out"},
	{"None", "None stands for null"},
	{"True", "True stands for true"},
	{"False", "False stands for false"},
	{"'", "a string is in single quotation marks: JSON has double ones"},
}

const notANumber = `NaN and Infinity are no JSON numbers: write null or, for a column that takes it, the string "NaN", "Infinity" or "-Infinity"`

// stranger names what stands here for a value and is none in JSON.
func (s *scanner) stranger() string {
	rest := s.data[s.pos:]
	for _, stranger := range strangers {
		if bytes.HasPrefix(rest, []byte(stranger.word)) {
			return stranger.instead
		}
	}
	return ""
}

func (s *scanner) literal(word string, kind jsonKind) (jsonValue, error) {
	end := s.pos + len(word)
	if end > len(s.data) || string(s.data[s.pos:end]) != word {
		return jsonValue{}, s.fail("an unknown word is no JSON value")
	}
	v := jsonValue{text: s.data[s.pos:end], kind: kind}
	s.pos = end
	return v, nil
}

func (s *scanner) digits() bool {
	start := s.pos
	for s.pos < len(s.data) && s.data[s.pos]-'0' <= 9 {
		s.pos++
	}
	return s.pos > start
}

func (s *scanner) number() (jsonValue, error) {
	start := s.pos
	if s.data[s.pos] == '-' {
		s.pos++
	}
	if s.pos < len(s.data) && s.data[s.pos] == '0' {
		s.pos++
	} else if !s.digits() {
		behind := s.pos
		s.pos = start
		if word := s.stranger(); word != "" {
			return jsonValue{}, s.fail(word)
		}
		s.pos = behind
		return jsonValue{}, s.fail("a number lacks a digit")
	}
	var odd oddity
	if s.pos < len(s.data) && s.data[s.pos] == '.' {
		odd = hasPoint
		s.pos++
		if !s.digits() {
			return jsonValue{}, s.fail("a number lacks a digit")
		}
	}
	if s.pos < len(s.data) && s.data[s.pos]|0x20 == 'e' {
		odd = hasPoint
		s.pos++
		if s.pos < len(s.data) && (s.data[s.pos] == '+' || s.data[s.pos] == '-') {
			s.pos++
		}
		if !s.digits() {
			return jsonValue{}, s.fail("a number lacks a digit")
		}
	}
	return jsonValue{text: s.data[start:s.pos], kind: jsonNumber, odd: odd}, nil
}

// plain has the bytes that stand for themselves within a string.
var plain = func() (t [256]bool) {
	for c := range t {
		t[c] = c >= 0x20 && c != '"' && c != '\\'
	}
	return t
}()

// text scans a string; the scanner is at its opening quotation mark.
func (s *scanner) text() (jsonValue, error) {
	data := s.data
	i := s.pos + 1
	start := i
	var odd oddity
	for {
		for i < len(data) && plain[data[i]] {
			i++
		}
		if i >= len(data) {
			s.pos = i
			return jsonValue{}, s.fail("a string is not closed")
		}
		switch data[i] {
		case '"':
			s.pos = i + 1
			return jsonValue{text: data[start:i], kind: jsonString, odd: odd}, nil
		case '\\':
			n, o, ok := escape(data[i:])
			if !ok {
				s.pos = i
				return jsonValue{}, s.fail("a string has an unknown escape")
			}
			odd |= hasEscape | o
			i += n
		default:
			s.pos = i
			return jsonValue{}, s.fail("a string has a control character")
		}
	}
}

// escape measures the escape at the start of data, a surrogate pair as one, and
// says what is odd about it.
func escape(data []byte) (n int, odd oddity, ok bool) {
	if len(data) < 2 {
		return 0, 0, false
	}
	switch data[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2, 0, true
	case 'u':
	default:
		return 0, 0, false
	}
	r, ok := hex4(data)
	switch {
	case !ok:
		return 0, 0, false
	case r == 0:
		return 6, hasNul, true
	case !utf16.IsSurrogate(r):
		return 6, 0, true
	}
	if low, ok := hex4(data[6:]); ok && utf16.DecodeRune(r, low) != utf8.RuneError {
		return 12, 0, true
	}
	return 6, hasSurrogate, true
}

// hex4 reads the number of a \u escape at the start of data.
func hex4(data []byte) (rune, bool) {
	if len(data) < 6 || data[0] != '\\' || data[1] != 'u' {
		return 0, false
	}
	var r rune
	for _, c := range data[2:6] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

var simpleEscapes = [256]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

// unescape appends the value of a string's text, which was scanned before.
func unescape(dst, text []byte) []byte {
	for i := 0; i < len(text); {
		if plain[text[i]] {
			start := i
			for i < len(text) && plain[text[i]] {
				i++
			}
			dst = append(dst, text[start:i]...)
			continue
		}
		if text[i+1] != 'u' {
			dst = append(dst, simpleEscapes[text[i+1]])
			i += 2
			continue
		}
		n, _, _ := escape(text[i:])
		r, _ := hex4(text[i:])
		if n == 12 {
			low, _ := hex4(text[i+6:])
			r = utf16.DecodeRune(r, low)
		}
		dst = utf8.AppendRune(dst, r)
		i += n
	}
	return dst
}

// object scans the rest of an object; the scanner is at its brace.
func (s *scanner) object(depth int) (oddity, error) {
	var odd oddity
	s.pos++
	if s.next() == '}' {
		s.pos++
		return 0, nil
	}
	for {
		name, err := s.name()
		if err != nil {
			return 0, err
		}
		v, err := s.value(depth)
		if err != nil {
			return 0, err
		}
		odd |= name.odd | v.odd
		done, err := s.separator('}')
		if err != nil || done {
			return odd, err
		}
	}
}

// name scans a field's name and the colon behind it.
func (s *scanner) name() (jsonValue, error) {
	if s.next() != '"' {
		return jsonValue{}, s.fail("a field name in quotation marks is missing")
	}
	name, err := s.text()
	if err != nil {
		return name, err
	}
	if s.next() != ':' {
		return name, s.fail("a colon is missing")
	}
	s.pos++
	return name, nil
}

// separator scans the comma before another item, or the closing bracket.
func (s *scanner) separator(closing byte) (done bool, err error) {
	switch s.next() {
	case ',':
		s.pos++
		return false, nil
	case closing:
		s.pos++
		return true, nil
	}
	return false, s.fail("a comma or a closing bracket is missing")
}

// array scans the rest of an array; the scanner is at its bracket.
func (s *scanner) array(depth int) (oddity, error) {
	var odd oddity
	s.pos++
	if s.next() == ']' {
		s.pos++
		return 0, nil
	}
	for {
		v, err := s.value(depth)
		if err != nil {
			return 0, err
		}
		odd |= v.odd
		done, err := s.separator(']')
		if err != nil || done {
			return odd, err
		}
	}
}
