// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/writebehind/operator/internal/flusher/config"
)

// Options are what a source may be told beside its mappings.
type Options struct {
	// Name names the source in the database: the owner of the config.
	Name string
	// Log gets what a person should know. Without it nothing is logged.
	Log *slog.Logger
	// LeaseTime is how long the source is this process's without another word: 4 s. Beat is
	// the time between two words, and between two moves of the position: 1 s.
	LeaseTime, Beat time.Duration
	// Patience is how long a claim waits for the stream to come to where its keys were
	// read: 1 s.
	Patience time.Duration
	Bounds   Bounds
	// Collect, if set, is called with how much garbage may accumulate beside what is in use, in
	// percent of that, when what is dirty has grown or shrunk.
	Collect func(percent int)
	// Database is the number of the logical database.
	Database int
}

// MostDirty is how many bytes marks may take where nothing else is said.
const MostDirty = 256 << 20

// Bounds limit what a source keeps in memory.
type Bounds struct {
	// Dirty is how many bytes marks may take. Beyond it the stream is not read on, and waits
	// in the server's backlog: MostDirty, which is 256 MiB.
	Dirty int
	// Values is how many bytes of them may be values that SET wrote, which are needed only
	// where the key is gone before it is read: 32 MiB. It is a part of Dirty.
	Values int
}

func (o Options) withDefaults() Options {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{{&o.LeaseTime, 4 * time.Second}, {&o.Beat, time.Second}, {&o.Patience, time.Second}} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	if o.Bounds.Dirty == 0 {
		o.Bounds.Dirty = MostDirty
	}
	if o.Bounds.Values == 0 {
		o.Bounds.Values = 32 << 20
	}
	return o
}

// Source implements the engine's port of that name.
type Source struct {
	options Options
	log     *slog.Logger
	// names are those of the queues, interest is what is to be told of the stream.
	names    []string
	interest Interest

	primary Primary
	server  Server
	store   Store

	once   sync.Once
	cancel context.CancelFunc
	work   sync.WaitGroup

	candidate candidate
	// moving is held by who moves the position, settling by who changes what the database has
	// aside: what is noted of that has to come in the same order.
	moving, settling sync.Mutex
	// owed wakes the scan, hurry has the position moved at once.
	owed, hurry chan struct{}

	mu   sync.Mutex
	book *book
	// left says that the engine has left the last queue.
	left bool

	// tenure is nil unless this process reads the source, spent is the epoch of the last one.
	// stored is the position that the database had last, as far as is known.
	tenure *tenure
	spent  int64
	stored Position

	// The rest is of the tenure. told is what the stream told last that a person should know.
	history history
	head    head
	witness witness
	faults  faults
	told    string

	// requests are what people ask for about dead letters.
	requests requests
}

// NameOf names the source of a config. Config files without an owner are told apart by
// where they lead: what is read there is one source, whoever reads it. The order of Sentinels
// means nothing.
func NameOf(c *config.Config) string {
	if c.Owner != config.OwnerFile {
		return c.Owner
	}
	external := &c.Redis.External
	words := append([]string{c.Owner}, slices.Sorted(slices.Values(external.Addresses))...)
	if external.MasterName != "" {
		words = append(words, external.MasterName)
	}
	return strings.Join(words, " ")
}

// New prepares a source of the mappings of a valid config. Nothing is called before Prepare.
func New(mappings []config.Mapping, primary Primary, server Server, store Store, options Options) *Source {
	s := &Source{
		options: options.withDefaults(), primary: primary, server: server, store: store,
		owed: make(chan struct{}, 1), hurry: make(chan struct{}, 1), history: newHistory(0),
		head: head{changed: make(chan struct{})}, witness: witness{server: server, key: WitnessOf(options.Name)},
	}
	s.candidate = candidate{
		store: store, source: options.Name, member: rand.Text(), leaseTime: s.options.LeaseTime, beat: s.options.Beat, keeping: make(chan struct{}, 1),
	}
	s.log, s.interest.Database = s.options.Log, s.options.Database
	s.book = newBook(mappings, &s.options)
	for i := range mappings {
		s.names = append(s.names, mappings[i].Name)
		s.interest.Prefixes = append(s.interest.Prefixes, mappings[i].KeyPrefix)
	}
	return s
}

// Prepare starts the source.
func (s *Source) Prepare(ctx context.Context) error {
	s.once.Do(func() {
		ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
		s.cancel = cancel
		s.work.Go(func() { s.keep(ctx) })
	})
	return ctx.Err()
}

// Close ends what Prepare started.
func (s *Source) Close() error {
	s.once.Do(func() {})
	if s.cancel != nil {
		s.cancel()
	}
	s.work.Wait()
	s.depose()
	return s.server.Close()
}

// incarnation names the life of the queue. Another number of partitions is another life: a
// predecessor's batch of a partition that nobody begins any more would not be fenced.
func (s *Source) incarnation(q *queue) string {
	history := s.history.number
	if s.tenure == nil {
		history = s.stored.History
	}
	if history == 0 {
		return ""
	}
	return fmt.Sprintf("h%d.%d", history, len(q.partitions))
}

// tell keeps what a person should know. The lock is held.
func (s *Source) tell(text string) {
	s.told = text
	s.log.Warn("The replication stream told of something", "cause", text)
}

// lost counts a data-loss event of every queue. The lock is held.
func (s *Source) lost(text string) {
	for _, q := range s.book.queues {
		q.losses++
	}
	s.told = text
	s.log.Error("Data may be lost", "cause", text)
}

// Check tells whether the server works as it is used: as a client sees it and, of who reads
// the stream, as a replica does.
func (s *Source) Check(ctx context.Context) config.Check {
	check := s.server.Check(ctx)
	if !check.OK {
		return check
	}
	if fault := s.faults.explain(s.primary, s.server); !fault.OK {
		return fault
	}
	return check
}

// Prove tells whether one more connection can be made.
func (s *Source) Prove(ctx context.Context) error { return s.server.Prove(ctx) }

// Durability tells what endangers what the server confirmed.
func (s *Source) Durability(ctx context.Context) (persistence, eviction config.Check) {
	return s.server.Durability(ctx)
}

// Explain puts an error of any call into the words of a condition.
func (s *Source) Explain(err error) config.Check { return s.server.Explain(err) }
