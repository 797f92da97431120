// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package config

import "strings"

// KeyPattern is the keys of the mapping in the words of ACL SETUSER.
func (m *Mapping) KeyPattern() string { return "~" + asPattern(m.KeyPrefix) + "*" }

// JournalPatterns are the keys of the mapping's journal in the words of ACL SETUSER.
func (m *Mapping) JournalPatterns() []string {
	return []string{"~wb:{" + m.Name + "}:*", "~wb:{" + m.Name + ":*}:*"}
}

// asPattern is a prefix as a pattern has it. Neither an ACL nor a shell takes every byte:
// what is in doubt becomes a ?, which stands for any byte.
func asPattern(prefix string) string {
	var pattern strings.Builder
	for _, b := range []byte(prefix) {
		switch {
		case strings.IndexByte(`*?[\`, b) >= 0:
			pattern.WriteString(`\` + string(rune(b)))
		case b <= ' ' || b > '~' || b == '"' || b == '\'':
			pattern.WriteByte('?')
		default:
			pattern.WriteByte(b)
		}
	}
	return pattern.String()
}
