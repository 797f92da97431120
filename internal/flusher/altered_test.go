// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package flusher

import (
	"context"
	"slices"
	"testing"

	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/entry"
)

// scripted is a database whose batches come to what is written down, one after the other.
// It keeps the keys of those that committed.
type scripted struct {
	awayDatabase
	outcomes  []any
	committed []string
}

func (s *scripted) Table(context.Context, config.Mapping) (Table, error) {
	return &scriptedTable{database: s}, nil
}

type scriptedTable struct {
	Table
	database *scripted
}

func (t *scriptedTable) NewBatch() Batch { return &scriptedBatch{database: t.database} }

type scriptedBatch struct {
	Batch
	database *scripted
	keys     []string
}

func (b *scriptedBatch) Reset()       { b.keys = nil }
func (b *scriptedBatch) Ignored() int { return 0 }

func (b *scriptedBatch) Add(key string, _ *entry.Entry) error {
	b.keys = append(b.keys, key)
	return nil
}

func (b *scriptedBatch) Suspect(*entry.Fault) (entry.Suspicion, bool) {
	return entry.Suspicion{}, false
}

func (b *scriptedBatch) Write(context.Context, entry.Place) (entry.Commit, error) {
	next := any(entry.Committed)
	if len(b.database.outcomes) > 0 {
		next, b.database.outcomes = b.database.outcomes[0], b.database.outcomes[1:]
	}
	if fault, refused := next.(*entry.Fault); refused {
		return 0, fault
	}
	if next == entry.Committed {
		b.database.committed = append(b.database.committed, b.keys...)
	}
	return next.(entry.Commit), nil
}

// A batch is refused and cut into halves, and the table is altered between the two.
func TestWhatIsCommittedBeforeTheTableIsAlteredIsNotWrittenAgain(t *testing.T) {
	t.Parallel()
	database := &scripted{outcomes: []any{
		&entry.Fault{Kind: entry.Row, SQLSTATE: "23514", AtRows: true}, entry.Committed, entry.Altered,
	}}
	m := config.DefaultMapping()
	m.Name, m.KeyPrefix = "products", "product:"
	f := New(&config.Config{Mappings: []config.Mapping{m}}, away{}, database, Options{})
	claim := &entry.Claim{Entries: make([]entry.Entry, 4)}
	for i := range claim.Entries {
		claim.Entries[i] = entry.Entry{Key: "product:" + string(rune('a'+i)), Operation: entry.Set, Value: "{}", Version: int64(i + 1)}
	}
	table, _ := database.Table(t.Context(), m)
	p := &partition{epoch: 1, lease: &entry.Term{Epoch: 1}}
	done, err := f.queues[0].carry(t.Context(), p, table, claim, policy{batchSize: 4, maxRetries: 1}, "product:")
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"a", "b", "c", "d"}; !slices.Equal(database.committed, want) {
		t.Errorf("the commits are of %v, want %v", database.committed, want)
	}
	for i, s := range done.settlements {
		if s.Outcome != entry.Done {
			t.Errorf("entry %d is %v, want done", i, s.Outcome)
		}
	}
	if done.taken != (taken{entry.RowsPass: 4}) {
		t.Errorf("taken are %+v, want 4 rows", done.taken)
	}
}

// claiming hands out one claim, which nobody may acknowledge.
type claiming struct {
	away
	claim *entry.Claim
}

func (c claiming) Claim(context.Context, *entry.Term, string, entry.Bounds) (*entry.Claim, error) {
	return c.claim, nil
}

// What got through before is not acknowledged then: only another epoch may write it again.
func TestATableThatIsAlteredAllTheTimeEndsTheEpoch(t *testing.T) {
	t.Parallel()
	database := &scripted{}
	for range mostAlterations + 1 {
		database.outcomes = append(database.outcomes, entry.Altered)
	}
	m := config.DefaultMapping()
	m.Name, m.KeyPrefix = "products", "product:"
	claim := &entry.Claim{Entries: []entry.Entry{{Key: "product:a", Operation: entry.Set, Value: "{}", Version: 1}}}
	f := New(&config.Config{Mappings: []config.Mapping{m}}, claiming{claim: claim}, database, Options{})
	q := f.queues[0]
	table, _ := database.Table(t.Context(), m)
	q.gate.after(func(p *passage) { p.table = table })
	p := &partition{epoch: 7, lease: &entry.Term{Epoch: 7}}
	if err := q.sweep(t.Context(), p, 1, entry.Load{Fresh: 1}); err != nil {
		t.Fatal(err)
	}
	if p.epoch != 0 || len(database.committed) > 0 {
		t.Errorf("the epoch is %d, %v are committed", p.epoch, database.committed)
	}
}
