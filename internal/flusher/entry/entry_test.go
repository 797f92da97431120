// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package entry

import "testing"

func TestARowIsToldFromEveryOther(t *testing.T) {
	t.Parallel()
	seen := make(map[string]Entry)
	for _, e := range []Entry{{Key: "a"}, {Key: "a", Member: "b"}, {Key: "ab"}, {Key: "b", Member: "a"}, {Key: "a", Member: "c"}} {
		if other, ok := seen[e.Row()]; ok {
			t.Errorf("%+v and %+v are one row", e, other)
		}
		seen[e.Row()] = e
	}
	if e := (Entry{Key: "key"}); e.Row() != "key" {
		t.Errorf("a key that has one row is %q", e.Row())
	}
}
