// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package flusher

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"

	"github.com/writebehind/operator/internal/flusher/entry"
)

// witnesses is how many rows have to fail alone with an error that may be the server's
// own, and none to get through, before the search for the row ends: a row of its own
// fault among them is improbable then, and a server in need is left alone.
const witnesses = 3

// errUnproved says that nothing shows whether a function of the table fails for these
// rows or for all.
var errUnproved = errors.New("no row is known to get through")

// narrow writes apart what was refused together. Where the server's words point at
// one row, that one is set aside, those before it wait for the end, since they got
// through, and those after it are tried in parts, since where one row is bad others
// may be. Without such words the halves are tried.
func (f *flush) narrow(ctx context.Context, rows []int, failure *entry.Fault) error {
	if len(rows) == 1 && !ofOneRow(failure) {
		return f.doubt(ctx, rows[0], failure)
	}
	if len(rows) == 1 {
		f.refused[rows[0]] = failure
		return nil
	}
	if f.hopeless() {
		return nil
	}
	suspicion, ok := f.batch.Suspect(failure)
	if !ok || !f.trusting {
		half := len(rows) / 2
		if !ofOneRow(failure) && rand.N(2) == 0 {
			// Else the same few rows would be the witnesses of every search.
			return f.commitEach(ctx, rows[half:], rows[:half])
		}
		return f.commitEach(ctx, rows[:half], rows[half:])
	}
	f.passed = append(f.passed, pick(rows, suspicion.Before)...)
	part := max(1, len(f.claim.Entries)/restParts)
	rest := slices.Collect(slices.Chunk(pick(rows, suspicion.After), part))
	suspect := rows[suspicion.Entry]
	if f.claim.Entries[suspect].Attempts < f.policy.maxRetries {
		// It will be tried alone: an innocent one loses nothing but time.
		f.refused[suspect] = failure
	} else {
		rest = append(rest, []int{suspect})
	}
	return f.commitEach(ctx, rest...)
}

// restParts is into how many parts a batch is cut once a bad row was found in it.
const restParts = 4

func (f *flush) commitEach(ctx context.Context, parts ...[]int) error {
	for _, part := range parts {
		if err := f.commit(ctx, part); err != nil {
			return err
		}
	}
	return nil
}

// commitPassed writes the rows that stood before a bad one. Should one of them be
// refused after all, the server's words were misleading: then halves are tried.
func (f *flush) commitPassed(ctx context.Context) error {
	passed := f.passed
	f.passed, f.trusting = nil, false
	return f.commit(ctx, passed)
}

// commitSkipped writes the rows that were not tried when all seemed in vain, if others got
// through after all: in the next claim there may be none that show it.
func (f *flush) commitSkipped(ctx context.Context, fresh []int) error {
	if !f.taken.shows(taken{}, entry.RowsPass) {
		return nil
	}
	var skipped []int
	for _, i := range fresh {
		if f.settlements[i].Outcome == 0 && f.refused[i] == nil && f.doubted[i] == nil {
			skipped = append(skipped, i)
		}
	}
	return f.commit(ctx, skipped)
}

// commitStuck tries rows again that were refused for another row's sake, as long as
// that gets some of them through: a unique value that moves from row to row has to be
// free first, and a row that is referred to has to be there. Together they may pass a
// constraint that is checked at the end; one by one, from either end in turn, they pass
// in whatever order there is.
func (f *flush) commitStuck(ctx context.Context) error {
	for round := 0; round < freeTries && f.taken.rows() > 0; round++ {
		var stuck []int
		for i, failure := range f.refused {
			if movesOn(failure) {
				stuck = append(stuck, i)
			}
		}
		if len(stuck) == 0 {
			return nil
		}
		slices.Sort(stuck)
		before := f.taken.rows()
		if round == 0 && len(stuck) > 1 {
			if err := f.commitTogether(ctx, stuck); err != nil {
				return err
			}
			f.q.evidence.moveOn(f.taken.rows() - before)
			continue
		}
		if round%2 == 0 {
			slices.Reverse(stuck)
		}
		for _, i := range stuck {
			failure := f.refused[i]
			delete(f.refused, i)
			if err := f.commit(ctx, []int{i}); err != nil {
				return err
			}
			if f.settlements[i].Outcome == 0 && f.refused[i] == nil && f.doubted[i] == nil {
				f.refused[i] = failure
			}
		}
		moved := f.taken.rows() - before
		f.q.evidence.moveOn(moved)
		if moved == 0 {
			return nil
		}
	}
	return nil
}

// commitTogether writes rows again in one transaction, or leaves them as they were.
func (f *flush) commitTogether(ctx context.Context, rows []int) error {
	before := f.refused
	f.refused, f.whole = make(map[int]*entry.Fault), true
	err := f.commit(ctx, rows)
	f.whole = false
	for i, failure := range before {
		if f.settlements[i].Outcome == 0 {
			f.refused[i] = failure
		}
	}
	return err
}

// hopeless tells whether so many rows were refused for one reason, and none got
// through, that it is no use to try the others: the mapping is at fault.
func (f *flush) hopeless() bool {
	return len(f.passed) == 0 && len(f.refused) >= 10*trialBatch && f.faultOfMapping() != nil
}

func pick(rows, at []int) []int {
	picked := make([]int, len(at))
	for i, n := range at {
		picked[i] = rows[n]
	}
	return picked
}
