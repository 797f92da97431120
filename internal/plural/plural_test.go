// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package plural_test

import (
	"testing"

	"github.com/writebehind/operator/internal/plural"
)

func TestANumberHasTheNounThatFitsIt(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]string{0: "0 entries", 1: "1 entry", 2: "2 entries", 11: "11 entries", 21: "21 entries", -1: "-1 entries"} {
		if got := plural.Of(n, "entry", "entries"); got != want {
			t.Errorf("%d is written as %q, want %q", n, got, want)
		}
	}
	if got := plural.Of(int64(1)<<40, "write", "writes"); got != "1099511627776 writes" {
		t.Error(got)
	}
}
