// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package native

import (
	"slices"
	"testing"
)

func TestWhatDiffersIsShown(t *testing.T) {
	for _, c := range []struct {
		keys, rows []string
		want       string
	}{
		{[]string{"a", "b"}, []string{"a"}, "no row is b"},
		{[]string{"a"}, []string{"a", "b"}, "no key is b"},
		{[]string{"b"}, []string{"a", "b"}, "no key is a"},
		{nil, []string{"a"}, "no key is a"},
		{[]string{"a"}, []string{"a"}, ""},
	} {
		if got := Difference(c.keys, c.rows); got != c.want {
			t.Errorf("of %q and %q it says %q, want %q", c.keys, c.rows, got, c.want)
		}
	}
}

func TestTheWordsOfACommand(t *testing.T) {
	for command, want := range map[string][]any{
		"INCR a": {"INCR", "a"}, `SET a '{"n":"b c"}'`: {"SET", "a", `{"n":"b c"}`},
	} {
		if got := Words(command); !slices.Equal(got, want) {
			t.Errorf("those of %s are %q", command, got)
		}
	}
}
