// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package flusher

import (
	"context"
	"crypto/rand"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sony/gobreaker/v2"

	"github.com/writebehind/operator/internal/flusher/config"
)

// Options are a flusher's parameters besides its config. The durations have working
// defaults; tests make them small.
type Options struct {
	Log      *slog.Logger
	Registry prometheus.Registerer
	// LeaseTime is how long a silent member keeps its partitions: 4 s, so that others take
	// over a dead flusher's work within 5 s.
	LeaseTime time.Duration
	// BeatInterval is the time between two renewals: 1 s, so that a lease survives three
	// lost renewals in a row.
	BeatInterval time.Duration
	// PollInterval is how often the partitions are polled: 50 ms, so that a person sees a
	// full batch flushed at once.
	PollInterval time.Duration
	// ProbeInterval is how often servers and tables are checked: 1 s.
	ProbeInterval time.Duration
	// Grace is how long Run may go on flushing after the context has ended: 20 s. Then it
	// rolls back what is in flight and releases its partitions, within another second. The
	// process must not be killed earlier: Kubernetes waits for 30 s by default, and for a
	// Pod of the operator longer still.
	Grace time.Duration
	// URLRevision is the revision of the settings that first named the place which the
	// database's URL is read from. Where it is not known it is 0.
	URLRevision int64
	// LimitMemory, if set, is called with the most bytes that the process should take by the
	// settings in force, so that garbage does not double what is in flight while the machine
	// is busy. While a larger document is in flight the number is higher, or the collector
	// would run without a pause and find nothing.
	LimitMemory func(bytes int64)
	// Collect, if set, is called with how much garbage may accumulate beside what is in use, in
	// percent of that: less where the source keeps much of what is dirty in memory.
	Collect func(percent int)
	// DoubtTime is how long a flusher waits after it has found its Redis behind the ledger:
	// 5 s. A flusher at another Redis with the same journal reads the ledger once in
	// ProbeInterval, so it has noticed by then and taken its epochs back.
	DoubtTime time.Duration
}

// WithDefaults returns the options with defaults for zero fields.
func (o Options) WithDefaults() Options {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Registry == nil {
		o.Registry = prometheus.NewRegistry()
	}
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&o.LeaseTime, 4 * time.Second},
		{&o.BeatInterval, time.Second},
		{&o.PollInterval, 50 * time.Millisecond},
		{&o.ProbeInterval, time.Second},
		{&o.Grace, 20 * time.Second},
		{&o.DoubtTime, 5 * time.Second},
	} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	return o
}

// Flusher carries the queues of one config to one database. Any number of them
// may run with the same config, in one process or in many: they share the
// partitions.
type Flusher struct {
	options  Options
	log      *slog.Logger
	instance string
	metrics  *metrics

	source   Source
	database Database

	slots           slots
	memory          memory
	breaker         breaker
	redisBackoff    backoff
	databaseBackoff backoff
	queues          []*queue
	// lookAtRedis and lookAtDatabase make the probes look at once.
	lookAtRedis, lookAtDatabase chan struct{}

	// elected says that Sentinels tell which Redis it is.
	elected bool

	// broke is when the circuit last ceased to be closed, looked when the last look at
	// the database began that has ended, in ns since 1970.
	broke, looked atomic.Int64

	mu            sync.Mutex
	config        *config.Config
	redisCheck    config.Check
	databaseCheck config.Check
	// redisWarnings and databaseWarnings are those that were logged last.
	redisWarnings, databaseWarnings []string
	// redisAnswers means that Redis worked when last used, whatever else is told of it.
	redisAnswers bool
	refusal      refusal
	durability   config.Durability
	// ledgerTime is when the ledger's table was last looked at. It belongs to the
	// probe of the database.
	ledgerTime time.Time
}

// notChecked is the state before something has been looked at for the first time.
func notChecked(what string) config.Check {
	return config.Check{Message: what + " has not been checked yet"}
}

// New prepares a flusher. It connects to no server before Run.
func New(c *config.Config, source Source, database Database, options Options) *Flusher {
	options = options.WithDefaults()
	f := &Flusher{
		options:       options,
		instance:      rand.Text(),
		metrics:       newMetrics(options.Registry),
		source:        source,
		database:      database,
		redisCheck:    notChecked("Redis"),
		databaseCheck: notChecked("PostgreSQL"),
		durability:    notLookedAt,

		elected:     c.Redis.External.Mode == config.ModeSentinel,
		lookAtRedis: make(chan struct{}, 1), lookAtDatabase: make(chan struct{}, 1),
	}
	f.log = options.Log.With("flusher", f.instance)
	f.breaker.changed = func(from, to gobreaker.State) {
		if from == gobreaker.StateClosed {
			f.broke.Store(time.Now().UnixNano())
		}
		for i := range c.Mappings {
			f.metrics.circuit.WithLabelValues(c.Mappings[i].Name).Set(float64(to))
		}
		f.log.Warn("Circuit breaker of the database has changed", "from", from.String(), "to", to.String())
	}
	if stream, ok := source.(Streamed); ok {
		options.Registry.MustRegister(newStreamMetrics(stream))
	}
	if options.LimitMemory != nil {
		f.memory.report = func(inFlight int64) { options.LimitMemory(processMemory(inFlight)) }
	}
	for i := range c.Mappings {
		f.queues = append(f.queues, newQueue(f, c.Mappings[i].Name))
	}
	f.Apply(c)
	options.Registry.MustRegister(newReadyMetrics(f))
	return f
}

// Apply puts live settings in force. In everything else the config must equal the one given
// to New: see config.Config.SameStructure.
func (f *Flusher) Apply(c *config.Config) {
	f.mu.Lock()
	f.config = c
	f.mu.Unlock()
	f.slots.resize(c.Flush.Concurrency)
	f.memory.resize(int64(c.Flush.MaxInFlightMebibytes) << 20)
	f.breaker.apply(c.Flush.CircuitBreaker)
	for i, q := range f.queues {
		q.apply(c, &c.Mappings[i])
	}
	f.log.Info("Settings are in force", "owner", c.Owner, "revision", c.Revision)
}

// Run flushes until the context ends, then flushes what is queued as far as
// Options.Grace allows, gives its partitions back and returns. It never gives up:
// a server that is away is waited for.
func (f *Flusher) Run(ctx context.Context) {
	defer f.database.Close()
	defer func() {
		if err := f.source.Close(); err != nil {
			f.log.Debug("Could not close the connections to Redis", "error", err)
		}
	}()
	// Work that has begun ends by itself or at the end of the grace period, not
	// in the middle of a transaction.
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stopGrace := context.AfterFunc(ctx, func() {
		time.AfterFunc(f.options.Grace, cancel)
	})
	defer stopGrace()

	var probes, queues sync.WaitGroup
	probing, stopProbing := context.WithCancel(work)
	defer stopProbing()
	// Apart from each other: one server that hangs must not hide the other.
	probes.Go(func() { f.probe(probing, f.probeRedis, f.lookAtRedis) })
	probes.Go(func() { f.probe(probing, f.probeDatabase, f.lookAtDatabase) })
	for _, q := range f.queues {
		queues.Go(func() { q.run(ctx, work) })
	}
	queues.Wait()
	stopProbing()
	probes.Wait()
	f.log.Info("Flusher has stopped")
}
