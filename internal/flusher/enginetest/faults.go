// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package enginetest

import (
	"context"
	"errors"
	"sync"

	cachev1alpha1 "github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher"
	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/entry"
)

// Fault is what happens to a call.
type Fault struct {
	// Err is what the caller gets. Nil is what a server answers that is away.
	Err error
	// Late means that the call takes effect first: its answer is lost.
	Late bool
	// Hangs means that the call ends with the caller's patience.
	Hangs bool
	// Times is how often that happens; 0 means until it is mended.
	Times int
}

// Faults are what happens to calls, by the name of the method: "Claim", "Write". They
// stand between the engine and its servers.
type Faults struct {
	mu     sync.Mutex
	of     map[string]*Fault
	counts map[string]int
}

// ErrAway is what a call to a server ends with that is away.
var ErrAway = errors.New("nobody is there")

// Break has the calls of that name fail.
func (f *Faults) Break(fault Fault, calls ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.of == nil {
		f.of = make(map[string]*Fault)
	}
	for _, call := range calls {
		own := fault
		f.of[call] = &own
	}
}

// Mend lets the calls of that name through again, or all of them.
func (f *Faults) Mend(calls ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(calls) == 0 {
		clear(f.of)
	}
	for _, call := range calls {
		delete(f.of, call)
	}
}

// Calls counts those of that name, whatever became of them.
func (f *Faults) Calls(call string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.counts[call]
}

// next is what happens to the call, or nil.
func (f *Faults) next(call string) *Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.counts == nil {
		f.counts = make(map[string]int)
	}
	f.counts[call]++
	fault := f.of[call]
	if fault == nil {
		return nil
	}
	now := *fault
	if fault.Times == 1 {
		delete(f.of, call)
	}
	fault.Times--
	return &now
}

// through makes the call as the faults will have it. away is the error of a server that is
// away.
func through[T any](ctx context.Context, f *Faults, call string, away error, do func() (T, error)) (T, error) {
	fault := f.next(call)
	if fault == nil {
		return do()
	}
	if fault.Late {
		_, _ = do()
	}
	var none T
	if fault.Hangs {
		<-ctx.Done()
		return none, errors.Join(ctx.Err(), away)
	}
	if fault.Err == nil {
		return none, away
	}
	return none, fault.Err
}

func only(do func() error) func() (struct{}, error) {
	return func() (struct{}, error) { return struct{}{}, do() }
}

// Source puts the faults before a source.
func (f *Faults) Source(s flusher.Source) flusher.Source { return &faultySource{s, f} }

type faultySource struct {
	flusher.Source
	f *Faults
}

func (s *faultySource) Prepare(ctx context.Context) error {
	_, err := through(ctx, s.f, "Prepare", ErrAway, only(func() error { return s.Source.Prepare(ctx) }))
	return err
}

func (s *faultySource) Open(ctx context.Context, settings config.QueueSettings, offered string, lost bool) (entry.Opened, error) {
	return through(ctx, s.f, "Open", ErrAway, func() (entry.Opened, error) { return s.Source.Open(ctx, settings, offered, lost) })
}

func (s *faultySource) Beat(ctx context.Context, settings config.QueueSettings, member string, ttl int64, seen entry.Seen) (entry.Membership, error) {
	return through(ctx, s.f, "Beat", ErrAway, func() (entry.Membership, error) { return s.Source.Beat(ctx, settings, member, ttl, seen) })
}

func (s *faultySource) Begin(ctx context.Context, t *entry.Term, floor, committed int64, held *entry.Term, earlier bool) (entry.Agreement, error) {
	return through(ctx, s.f, "Begin", ErrAway, func() (entry.Agreement, error) {
		return s.Source.Begin(ctx, t, floor, committed, held, earlier)
	})
}

func (s *faultySource) Poll(ctx context.Context, queue string, partitions []int) (entry.Loads, error) {
	return through(ctx, s.f, "Poll", ErrAway, func() (entry.Loads, error) { return s.Source.Poll(ctx, queue, partitions) })
}

func (s *faultySource) Stats(ctx context.Context, queue string) (entry.Stats, error) {
	return through(ctx, s.f, "Stats", ErrAway, func() (entry.Stats, error) { return s.Source.Stats(ctx, queue) })
}

func (s *faultySource) Claim(ctx context.Context, t *entry.Term, prefix string, most entry.Bounds) (*entry.Claim, error) {
	return through(ctx, s.f, "Claim", ErrAway, func() (*entry.Claim, error) { return s.Source.Claim(ctx, t, prefix, most) })
}

func (s *faultySource) Acknowledge(ctx context.Context, c *entry.Claim, settlements []entry.Settlement) (entry.Receipt, error) {
	return through(ctx, s.f, "Acknowledge", ErrAway, func() (entry.Receipt, error) { return s.Source.Acknowledge(ctx, c, settlements) })
}

func (s *faultySource) Leave(ctx context.Context, queue, member string) error {
	_, err := through(ctx, s.f, "Leave", ErrAway, only(func() error { return s.Source.Leave(ctx, queue, member) }))
	return err
}

func (s *faultySource) Check(ctx context.Context) config.Check {
	return checked(ctx, s.f, "Source.Check", func() config.Check { return s.Source.Check(ctx) })
}

// checked makes a check of the error of a call that answers with one.
func checked(ctx context.Context, f *Faults, call string, do func() config.Check) config.Check {
	check, err := through(ctx, f, call, ErrAway, func() (config.Check, error) { return do(), nil })
	if err != nil {
		return config.Check{Reason: cachev1alpha1.ReasonConnectionFailed, Message: err.Error()}
	}
	return check
}

// Away is the fault of a database that nobody reaches.
func Away() *entry.Fault {
	return &entry.Fault{Kind: entry.Transient, Reason: cachev1alpha1.ReasonConnectionFailed, Message: ErrAway.Error(), Err: ErrAway}
}

// Database puts the faults before a database, its tables and their batches.
func (f *Faults) Database(d flusher.Database) flusher.Database { return &faultyDatabase{d, f} }

type faultyDatabase struct {
	flusher.Database
	f *Faults
}

func (d *faultyDatabase) Check(ctx context.Context) config.Check {
	return checked(ctx, d.f, "Database.Check", func() config.Check { return d.Database.Check(ctx) })
}

func (d *faultyDatabase) Acquire(ctx context.Context, incarnation, queue string, partition int) (entry.Mark, error) {
	return through(ctx, d.f, "Acquire", error(Away()), func() (entry.Mark, error) {
		return d.Database.Acquire(ctx, incarnation, queue, partition)
	})
}

func (d *faultyDatabase) Epochs(ctx context.Context, incarnation, queue string) (map[int]int64, error) {
	return through(ctx, d.f, "Epochs", error(Away()), func() (map[int]int64, error) { return d.Database.Epochs(ctx, incarnation, queue) })
}

func (d *faultyDatabase) End(ctx context.Context, incarnation, queue string) error {
	_, err := through(ctx, d.f, "End", error(Away()), only(func() error { return d.Database.End(ctx, incarnation, queue) }))
	return err
}

func (d *faultyDatabase) Table(ctx context.Context, m config.Mapping) (flusher.Table, error) {
	t, err := through(ctx, d.f, "Table", error(Away()), func() (flusher.Table, error) { return d.Database.Table(ctx, m) })
	if err != nil {
		return nil, err
	}
	return &faultyTable{t, d.f}, nil
}

type faultyTable struct {
	flusher.Table
	f *Faults
}

func (t *faultyTable) NewBatch() flusher.Batch { return &faultyBatch{t.Table.NewBatch(), t.f} }

type faultyBatch struct {
	flusher.Batch
	f *Faults
}

func (b *faultyBatch) Write(ctx context.Context, at entry.Place) (entry.Commit, error) {
	return through(ctx, b.f, "Write", error(Away()), func() (entry.Commit, error) { return b.Batch.Write(ctx, at) })
}
