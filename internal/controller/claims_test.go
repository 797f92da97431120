// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// A claim that its rival does not find is two resources that write each other's
// rows. Prefixes of two letters, around the length that the index tells apart, make
// every kind of overlap likely.
func TestClaimsThatMeetFindEachOther(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	prefix := func(common string) string {
		text := strings.Repeat(common, random.IntN(2)*(mostBeginnings-2))
		for range random.IntN(6) + 1 {
			text += string(rune('a' + random.IntN(2)))
		}
		return text
	}
	names := []string{"products", "items", "pages"}
	met := 0
	for range 10_000 {
		a := claim{redis: "redis:6379", name: names[random.IntN(len(names))], prefix: prefix("a")}
		b := claim{redis: "redis:6379", name: names[random.IntN(len(names))], prefix: prefix("a")}
		if !a.meets(b) {
			continue
		}
		met++
		for _, pair := range [][2]claim{{a, b}, {b, a}} {
			if !slices.ContainsFunc(pair[0].lookups(), func(term string) bool { return slices.Contains(pair[1].terms(), term) }) {
				t.Fatalf("%+v does not find %+v: it looks for %q, and that is found by %q", pair[0], pair[1], pair[0].lookups(), pair[1].terms())
			}
		}
	}
	if met < 1000 {
		t.Errorf("only %d of 10000 pairs met", met)
	}
}
