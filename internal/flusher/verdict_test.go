// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package flusher

import (
	"testing"

	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/entry"
)

// A mapping flows again when what has to be shown for one of its rows was shown, and rows in
// doubt count as well as those that were refused.
func TestAPauseEndsByWhatShowsThatItsRowsPass(t *testing.T) {
	t.Parallel()
	raised := &entry.Fault{Kind: entry.Row, Raised: true}
	for name, c := range map[string]struct {
		refused, doubted []int
		needs            entry.Proof
	}{
		"removals are refused":              {refused: []int{1}, needs: entry.RemovalsPass},
		"removals and rows are refused":     {refused: []int{0, 1}, needs: entry.RowsPass},
		"rows are in doubt":                 {doubted: []int{0}, needs: entry.RowsPass},
		"rows are in doubt beside removals": {refused: []int{1}, doubted: []int{0}, needs: entry.RowsPass},
		"removals are in doubt":             {doubted: []int{1}, needs: entry.RemovalsPass},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := config.DefaultMapping()
			m.Name, m.KeyPrefix = "products", "product:"
			q := alone(&config.Config{Mappings: []config.Mapping{m}}, Options{}).queues[0]
			claim := &entry.Claim{Entries: []entry.Entry{{Key: "product:1", Operation: entry.Set}, {Key: "product:2", Operation: entry.Delete}}}
			f := &flush{
				q: q, claim: claim, settlements: make([]entry.Settlement, len(claim.Entries)), policy: q.settings.Load().policy,
				refused: make(map[int]*entry.Fault), doubted: make(map[int]*entry.Fault), unproved: raised,
			}
			for _, i := range c.refused {
				f.refused[i] = raised
			}
			for _, i := range c.doubted {
				f.doubted[i] = raised
			}
			f.keep(t.Context(), raised)
			if got := q.gate.now().obstacle; got.needs != c.needs || got.cause != raised {
				t.Errorf("the obstacle is %+v, want one that needs %d", got, c.needs)
			}
		})
	}
}
