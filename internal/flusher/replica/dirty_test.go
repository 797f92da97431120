// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// remembered is what a mark is to have.
type remembered struct {
	m       *mark
	last    int64
	value   string
	members []string
}

// TestMarksAreWhatWasMarked compares marks, what they keep, their index and their list with a map,
// also where ids have one hash and texts are longer than a block.
func TestMarksAreWhatWasMarked(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		d := newDirty()
		if rapid.Bool().Draw(t, "few hashes") {
			d.hash = func(id []byte) uint32 { return uint32(len(id) % 3) } //nolint:gosec // It is small.
		}
		x := newIndex(d)
		var all marks
		model := make(map[string]*remembered)
		var order []string
		id := rapid.Map(rapid.IntRange(0, 2000), func(n int) string {
			return strings.Repeat("k", n%7*n%300) + fmt.Sprint(n)
		})
		value := rapid.Map(rapid.SampledFrom([]int{0, 1, 100, 5000, longText - 3, longText, blockBytes, 3 * blockBytes}), func(n int) string {
			return strings.Repeat("v", n)
		})
		drop := func(id string) {
			m := model[id].m
			x.leave(m)
			d.remove(&all, m)
			d.drop(m)
			delete(model, id)
			order = slices.DeleteFunc(order, func(other string) bool { return other == id })
		}
		t.Repeat(map[string]func(*rapid.T){
			"mark": func(t *rapid.T) {
				for range rapid.SampledFrom([]int{1, 600}).Draw(t, "marks") {
					id := id.Draw(t, "id")
					if model[id] != nil {
						continue
					}
					m := d.add([]byte(id), mark{last: int64(len(order))})
					x.enter(m)
					d.append(&all, m)
					model[id] = &remembered{m: m, last: m.last}
					order = append(order, id)
				}
			},
			"tell": func(t *rapid.T) {
				if len(order) == 0 {
					t.Skip("nothing is marked")
				}
				r := model[rapid.SampledFrom(order).Draw(t, "id")]
				for range rapid.IntRange(1, 20).Draw(t, "times") {
					r.value, r.members = value.Draw(t, "value"), nil
					d.setValue(r.m, []byte(r.value))
				}
				if rapid.Bool().Draw(t, "no value") {
					d.dropValue(r.m)
					r.value = ""
				}
			},
			"name": func(t *rapid.T) {
				if len(order) == 0 {
					t.Skip("nothing is marked")
				}
				r := model[rapid.SampledFrom(order).Draw(t, "id")]
				if r.value = ""; r.m.hasValue() {
					d.dropValue(r.m)
				}
				member := fmt.Sprint("member", rapid.IntRange(0, 5).Draw(t, "member"))
				d.name(r.m, []byte(member))
				if !slices.Contains(r.members, member) {
					r.members = append(r.members, member)
				}
			},
			"give": func(t *rapid.T) {
				if len(order) < 2 {
					t.Skip("less than two are marked")
				}
				ids := rapid.Permutation(order).Draw(t, "ids")
				from, to := model[ids[0]], model[ids[1]]
				d.takeTold(to.m, from.m)
				to.value, to.members, from.value, from.members = from.value, from.members, "", nil
			},
			"drop": func(t *rapid.T) {
				if len(order) == 0 {
					t.Skip("nothing is marked")
				}
				drop(rapid.SampledFrom(order).Draw(t, "id"))
			},
			"drop most": func(t *rapid.T) {
				for _, id := range slices.Clone(order) {
					if rapid.IntRange(0, 9).Draw(t, "stays") > 0 {
						drop(id)
					}
				}
			},
			"": func(t *rapid.T) {
				agree(t, d, &x, &all, model, order)
			},
		})
		for _, id := range slices.Clone(order) {
			drop(id)
		}
		if d.bytes() != 0 || d.values != 0 || d.texts.live != 0 || len(d.chunks)-len(d.vacant) > 2 {
			t.Fatalf("nothing is marked, and that takes %d bytes, %d of values and %d of texts, in %d chunks",
				d.bytes(), d.values, d.texts.live, len(d.chunks)-len(d.vacant))
		}
	})
}

func agree(t *rapid.T, d *dirty, x *index, all *marks, model map[string]*remembered, order []string) {
	values, texts := 0, 0
	for id, r := range model {
		m := x.find([]byte(id))
		if m != r.m || string(d.id(m)) != id || m.last != r.last || d.value(m) != r.value || !slices.Equal(d.members(m), r.members) {
			t.Fatalf("of %q there is %+v", id, m)
		}
		values += len(r.value)
		texts += len(id) + len(r.value)
	}
	if x.find([]byte("another")) != nil {
		t.Fatal("there is a mark of another id")
	}
	var listed []string
	for m := range d.in(all) {
		listed = append(listed, string(d.id(m)))
	}
	found := make(map[string]bool)
	for m := range x.all() {
		found[string(d.id(m))] = true
	}
	if !slices.Equal(listed, order) || all.length != len(order) || x.length() != len(order) || d.count != len(order) || len(found) != len(order) {
		t.Fatalf("of %d marks %d are listed, %d found and %d counted", len(order), len(listed), len(found), d.count)
	}
	if d.values != values || d.bytes() < texts {
		t.Fatalf("values of %d bytes are counted with %d, and all with %d", values, d.values, d.bytes())
	}
	held := 0
	for _, b := range d.texts.blocks {
		held += cap(b.bytes)
	}
	if most := 2*d.texts.live + 18*blockBytes; d.texts.used > most || held > 4*d.texts.live/3+most {
		t.Fatalf("blocks of %d bytes, of which %d are used, keep %d", held, d.texts.used, d.texts.live)
	}
	for range maps.Keys(d.extras) {
		t.Fatal("there is an extra")
	}
}
