// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import "bytes"

// wholeTypes are the types of whole numbers, by their names in pg_catalog.
// PostgreSQL's readers of them know digits alone, whereas JSON and what writes it
// (Lua's cjson, JavaScript, Python) know 100.0, 1E2 and 1e+15 for whole numbers too. Money
// is no whole number, but its reader does not know an exponent either.
var wholeTypes = map[string]bool{
	"int2": true, "int4": true, "int8": true, "oid": true,
	"money": true,
}

// mostDigits is how many digits a number written out may get: more than any whole
// type holds, so that PostgreSQL says that it is out of range, and few enough that an
// exponent of a few bytes cannot blow a batch up.
const mostDigits = 40

// mostExponent is where an exponent is cut: beyond the longest document's digits, so
// that what it says of the number does not change.
const mostExponent = 4 * maxDocument

// appendWhole writes a JSON number that has a point or an exponent as the digits of
// the number that it is, exactly, whatever its size. A fraction without an exponent, or
// an absurd number, stays as it is: PostgreSQL knows what to do with it.
func appendWhole(dst, text []byte) []byte {
	digits := text
	negative := text[0] == '-'
	if negative {
		digits = text[1:]
	}
	exponent := 0
	if at := bytes.IndexAny(digits, "eE"); at >= 0 {
		exponent = exponentOf(digits[at+1:])
		digits = digits[:at]
	}
	before, fraction, _ := bytes.Cut(digits, []byte("."))
	// The number is 0.DIGITS times ten to the power of places.
	before = bytes.TrimLeft(before, "0")
	places := len(before) + exponent
	if len(before) == 0 {
		significant := bytes.TrimLeft(fraction, "0")
		places -= len(fraction) - len(significant)
		fraction = significant
	}
	if fraction = bytes.TrimRight(fraction, "0"); len(fraction) == 0 {
		before = bytes.TrimRight(before, "0")
	}
	significant := len(before) + len(fraction)
	switch {
	case significant == 0:
		return append(dst, '0')
	case places > mostDigits || places < -mostDigits:
		return append(dst, text...)
	case significant > places && exponent == 0:
		return append(dst, text...)
	}
	if negative {
		dst = append(dst, '-')
	}
	if significant > places {
		return appendFraction(dst, before, fraction, places)
	}
	dst = append(dst, before...)
	dst = append(dst, fraction...)
	for range places - significant {
		dst = append(dst, '0')
	}
	return dst
}

// appendFraction writes 0.DIGITS times ten to the power of places, which is no whole
// number: the type takes it with a point, or refuses it.
func appendFraction(dst, before, fraction []byte, places int) []byte {
	if places <= 0 {
		dst = append(dst, '0', '.')
		for range -places {
			dst = append(dst, '0')
		}
	}
	for _, digits := range [][]byte{before, fraction} {
		for _, digit := range digits {
			if places == 0 && dst[len(dst)-1] != '.' {
				dst = append(dst, '.')
			}
			places--
			dst = append(dst, digit)
		}
	}
	return dst
}

// exponentOf reads the exponent of a number, a sign and digits.
func exponentOf(text []byte) int {
	negative := text[0] == '-'
	if negative || text[0] == '+' {
		text = text[1:]
	}
	n := 0
	for _, c := range text {
		if n = min(n*10+int(c-'0'), mostExponent); n == mostExponent {
			break
		}
	}
	if negative {
		return -n
	}
	return n
}
