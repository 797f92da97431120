// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

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
	bounds  Bounds
	log     *slog.Logger
	member  string
	// names are those of the queues, interest is what is to be told of the stream.
	names    []string
	interest Interest

	primary Primary
	server  Server
	store   Store

	once   sync.Once
	cancel context.CancelFunc
	work   sync.WaitGroup

	// keeping is held by who looks after the lease, moving by who moves the position, settling
	// by who changes what the database has aside: what is noted of that has to come in the
	// same order.
	keeping          chan struct{}
	moving, settling sync.Mutex
	// standby is of who holds keeping.
	standby standby
	// owed wakes the scan, hurry has the position moved at once.
	owed, hurry chan struct{}

	mu     sync.Mutex
	queues []*queue
	// left says that the engine has left the last queue.
	left  bool
	dirty dirty
	// changed is closed when the stream was read on, or there is room again, or another
	// tenure begins; watched says that somebody waits for that.
	changed chan struct{}
	watched bool

	// tenure is nil unless this process reads the source, spent is the epoch of the last one.
	// stored is the position that the database had last, as far as is known.
	tenure *tenure
	spent  int64
	stored Position

	// The rest is of the tenure. history and id name the history that is read, safe and read
	// are as in the batch read last.
	history   int64
	id        string
	safe      Point
	read      int64
	stream    Replication
	streamErr error
	// scanRefused and witnessRefused are what the server answered last to a scan, and to
	// who looks after the stream; nil where it did what was asked.
	scanRefused, witnessRefused error
	// ended says that the stream is to be attached to anew.
	ended bool
	// held says that the stream is not read on for want of room, needed up to where it is
	// read all the same.
	held   bool
	needed int64
	// end is how far the server's stream has come, backlog how many bytes of it the server
	// keeps, as seen last.
	end, backlog int64
	// seen is when the server has answered last.
	seen time.Time
	// horizon is the highest offset of which a value may have been written, limit the
	// highest that the server of now is known to share with the one before: all that was
	// written behind it is lost. It is no limit once every partition has begun below it.
	horizon, limit int64
	// broken says why the history has to end, if it has to.
	broken  string
	witness int64
	// testified is what had been flushed when the witness was written last.
	testified int64
	told      string

	// requests are what people ask for about dead letters.
	requests requests

	// scratch is room for an id.
	scratch      []byte
	commands     map[string]uint16
	commandNames []string
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
		options: options.withDefaults(), member: rand.Text(), primary: primary, server: server, store: store,
		keeping: make(chan struct{}, 1), owed: make(chan struct{}, 1), hurry: make(chan struct{}, 1), changed: make(chan struct{}), limit: math.MaxInt64,
		commands: map[string]uint16{"": 0}, commandNames: []string{""},
	}
	s.log, s.bounds, s.interest.Database = s.options.Log, s.options.Bounds, s.options.Database
	for i := range mappings {
		s.names = append(s.names, mappings[i].Name)
		s.interest.Prefixes = append(s.interest.Prefixes, mappings[i].KeyPrefix)
		s.queues = append(s.queues, newQueue(mappings[i], &s.dirty))
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

// find is the queue of the name, or nil. The lock is held.
func (s *Source) find(name string) *queue {
	for _, q := range s.queues {
		if q.mapping.Name == name {
			return q
		}
	}
	return nil
}

// incarnation names the life of the queue. Another number of partitions is another life: a
// predecessor's batch of a partition that nobody begins any more would not be fenced.
func (s *Source) incarnation(q *queue) string {
	history := s.history
	if s.tenure == nil {
		history = s.stored.History
	}
	if history == 0 {
		return ""
	}
	return fmt.Sprintf("h%d.%d", history, len(q.partitions))
}

// wake wakes whoever waits for the stream or for room. The lock is held.
func (s *Source) wake() {
	if s.watched {
		close(s.changed)
		s.changed, s.watched = make(chan struct{}), false
	}
}

// watch is closed at the next change. The lock is held.
func (s *Source) watch() <-chan struct{} {
	s.watched = true
	return s.changed
}

// tell keeps what a person should know. The lock is held.
func (s *Source) tell(text string) {
	s.told = text
	s.log.Warn("The replication stream told of something", "cause", text)
}

// lost counts a data-loss event of every queue. The lock is held.
func (s *Source) lost(text string) {
	for _, q := range s.queues {
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
	s.mu.Lock()
	ended, scan, witness := s.streamErr, s.scanRefused, s.witnessRefused
	s.mu.Unlock()
	switch {
	case ended != nil:
		return s.primary.Explain(ended)
	case scan != nil:
		return s.server.Explain(scan)
	case witness != nil:
		return s.server.Explain(witness)
	}
	return check
}

// note keeps an error that the server has answered with, until it does what is asked. It
// reports whether the server answers, if it was asked.
func (s *Source) note(refused *error, err error) (answers bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if answers = err == nil || errors.As(err, new(redis.Error)); answers {
		*refused = err
	}
	return answers
}

// Prove tells whether one more connection can be made.
func (s *Source) Prove(ctx context.Context) error { return s.server.Prove(ctx) }

// Durability tells what endangers what the server confirmed.
func (s *Source) Durability(ctx context.Context) (persistence, eviction config.Check) {
	return s.server.Durability(ctx)
}

// Explain puts an error of any call into the words of a condition.
func (s *Source) Explain(err error) config.Check { return s.server.Explain(err) }
