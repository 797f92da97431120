// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package rivals

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// A queue that its rival does not find is two resources that write each other's
// rows. Prefixes of two letters, around the length that the index tells apart, make
// every kind of overlap likely.
func TestQueuesThatMeetFindEachOther(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	prefix := func(common string) string {
		text := strings.Repeat(common, random.IntN(2)*(longestBeginning-2))
		for range random.IntN(6) + 1 {
			text += string(rune('a' + random.IntN(2)))
		}
		return text
	}
	// Two of three Sentinels, of which each has another one in common, or the same server.
	redis := func() []string {
		one, two := random.IntN(3), random.IntN(3)
		return []string{string(rune('a' + one)), string(rune('a' + two))}
	}
	names := []string{"products", "items", "pages"}
	met := 0
	for range 10_000 {
		a := Queue{Redis: redis(), Name: names[random.IntN(len(names))], Prefix: prefix("a")}
		b := Queue{Redis: redis(), Name: names[random.IntN(len(names))], Prefix: prefix("a")}
		if !a.meets(b) {
			continue
		}
		met++
		for _, pair := range [][2]Queue{{a, b}, {b, a}} {
			if !slices.ContainsFunc(pair[0].Lookups(), func(term string) bool { return slices.Contains(pair[1].terms(), term) }) {
				t.Fatalf("%+v does not find %+v: it looks for %q, and that is found by %q", pair[0], pair[1], pair[0].Lookups(), pair[1].terms())
			}
		}
	}
	if met < 1000 {
		t.Errorf("only %d of 10000 pairs met", met)
	}
}
