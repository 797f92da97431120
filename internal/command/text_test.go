// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"os/exec"
	"strings"
	"testing"
)

func TestATextIsOneWordOfAShell(t *testing.T) {
	for text, want := range map[string]string{
		"product:1-a/b.c":   "product:1-a/b.c",
		"":                  "''",
		"a b":               "'a b'",
		"$(touch x)`id`\\":  "'$(touch x)`id`\\'",
		`it's "so"`:         `'it'\''s "so"'`,
		"ä":                 "'ä'",
		"\x1b[31m'\n\xff\\": `$'\x1b[31m\x27\x0a\xff\x5c'`,
		"!x;y&z|a>b~*?[#":   "'!x;y&z|a>b~*?[#'",
	} {
		word := Word(text)
		if word != want {
			t.Errorf("%q becomes %s, want %s", text, word, want)
		}
		// A shell is asked, too.
		out, err := exec.CommandContext(t.Context(), "bash", "-c", "printf %s "+word).Output()
		if err != nil || string(out) != text {
			t.Errorf("a shell makes %q of %s, %v", out, word, err)
		}
	}
}

func TestATerminalObeysNothingOfAText(t *testing.T) {
	for text, want := range map[string]string{
		"plain ä \"x\"":               "plain ä \"x\"",
		"\x1b]0;x\x07\t\r\n":          `\x1b]0;x\a\t\r\n`,
		"\xff\u202e\u200b\u0085":      `\xff\u202e\u200b\u0085`,
		strings.Repeat("x", 1000):     strings.Repeat("x", 1000),
		"\ufffd":                      "\ufffd",
		"\u2028 it's a line\u00a0end": `\u2028 it's a line\u00a0end`,
	} {
		if got := Escaped(text); got != want {
			t.Errorf("%q becomes %s, want %s", text, got, want)
		}
	}
}
