// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package load writes products through the capture functions as an application
// would, remembers the last acknowledged write of every key, and compares every
// row of the database with it. The demo and the end-to-end tests use it.
package load

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/time/rate"
)

// Options say what is written.
type Options struct {
	// Redis is how to connect; each worker takes one connection of the pool.
	Redis *redis.Options
	// Queue and KeyPrefix are those of the mapping.
	Queue     string
	KeyPrefix string
	// Keys is the number of keys, 1 to Keys.
	Keys int
	// Workers is the number of connections that write at a time. A key belongs
	// to one of them, so that the order of its writes is known.
	Workers int
	// Pipeline is how many calls go to Redis in one round trip.
	Pipeline int
	// DeletePercent is how many calls of a hundred are wb_del.
	DeletePercent int
	// Seed makes the same sequence again.
	Seed uint64
}

// Volume says how much one Run writes.
type Volume struct {
	// Writes is how many calls are made in all; each key is written once before
	// the skewed part begins.
	Writes int
	// Rate bounds the calls in one second; 0 means as fast as it goes.
	Rate int
}

// Product is one row of the table products, and one document.
type Product struct {
	Name       string
	PriceCents int64
	Stock      int32
	UpdatedAt  time.Time
}

// MarshalJSON writes the price as the decimal number that it is, since a
// floating point number is not one.
func (p Product) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Name      string      `json:"name"`
		Price     json.Number `json:"price"`
		Stock     int32       `json:"stock"`
		UpdatedAt time.Time   `json:"updated_at"`
	}{p.Name, json.Number(p.price()), p.Stock, p.UpdatedAt})
}

func (p Product) price() string {
	return fmt.Sprintf("%d.%02d", p.PriceCents/100, p.PriceCents%100)
}

// Write is the last acknowledged write of one key.
type Write struct {
	Version int64
	Deleted bool
	Product Product
}

// Load is an application. Its counters may be read while it runs.
type Load struct {
	options Options
	client  *redis.Client
	lag     *lagSampler
	runs    uint64

	acknowledged atomic.Int64
	lastTime     atomic.Int64 // of the last acknowledgement, in ns since 1970
	deletes      atomic.Int64
	refused      atomic.Int64

	mu   sync.Mutex
	last map[int64]Write
}

// New prepares a load. Close ends its connections.
func New(options Options) *Load {
	l := &Load{options: options, last: make(map[int64]Write, options.Keys)}
	redisOptions := *options.Redis
	redisOptions.PoolSize = options.Workers + 2
	// A call whose answer was lost is not repeated unseen: the run has to know
	// which write is the last one.
	redisOptions.MaxRetries = -1
	l.client = redis.NewClient(&redisOptions)
	l.lag = newLagSampler(l.client, options)
	return l
}

// Close ends the connections.
func (l *Load) Close() { _ = l.client.Close() }

// Acknowledged is the number of calls that Redis has accepted so far.
func (l *Load) Acknowledged() int64 { return l.acknowledged.Load() }

// LastAcknowledged is when Redis accepted the last call so far.
func (l *Load) LastAcknowledged() time.Time { return time.Unix(0, l.lastTime.Load()) }

// Deletes is how many of them were deletions.
func (l *Load) Deletes() int64 { return l.deletes.Load() }

// Refused is how often a call got WBFULL and was made again.
func (l *Load) Refused() int64 { return l.refused.Load() }

// Lag is the time from the acknowledgement of a sampled write until wb_pending
// says that this write, or a newer one in its place, is in the database. It is
// known to within LagResolution.
func (l *Load) Lag() Lag { return l.lag.summary() }

// Fill writes every key once, as fast as it goes, and does not wait for any of
// it to arrive in the database.
func (l *Load) Fill(ctx context.Context) error {
	return l.write(ctx, Volume{Writes: l.options.Keys})
}

// Run writes until all is written, ctx ends or a call fails, and returns when
// every sampled write has arrived in the database. It may be called again, but
// not at the same time.
func (l *Load) Run(ctx context.Context, volume Volume) error {
	offers := l.lag.begin()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	sampling := make(chan struct{})
	go func() {
		defer close(sampling)
		if err := l.lag.run(ctx, offers); err != nil {
			cancel(err)
		}
	}()
	err := l.write(ctx, volume)
	if err != nil {
		cancel(err)
	}
	l.lag.finish()
	<-sampling
	return context.Cause(ctx)
}

// write lets the workers write, and returns the first error.
func (l *Load) write(ctx context.Context, volume Volume) error {
	limit := rate.Inf
	if volume.Rate > 0 {
		limit = rate.Limit(volume.Rate)
	}
	limiter := rate.NewLimiter(limit, l.options.Pipeline*l.options.Workers)
	l.runs++
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var workers sync.WaitGroup
	for i := range l.options.Workers {
		workers.Go(func() {
			if err := l.newWorker(i, volume.Writes, limiter).run(ctx); err != nil {
				cancel(err)
			}
		})
	}
	workers.Wait()
	return context.Cause(ctx)
}

// Put writes one product and remembers it.
func (l *Load) Put(ctx context.Context, id int64, p Product) (version int64, err error) {
	o, err := l.newOperation(id, p)
	if err != nil {
		return 0, err
	}
	version, err = l.client.Do(ctx, o.args...).Int64()
	if err != nil {
		return 0, fmt.Errorf("write %s: %w", o.key, err)
	}
	return version, l.remember(o, version)
}

// Delete deletes one key and remembers that.
func (l *Load) Delete(ctx context.Context, id int64) (version int64, err error) {
	o := l.newDeletion(id)
	version, err = l.client.Do(ctx, o.args...).Int64()
	if err != nil {
		return 0, fmt.Errorf("delete %s: %w", o.key, err)
	}
	return version, l.remember(o, version)
}

// Last is a copy of the last acknowledged write of every key.
func (l *Load) Last() map[int64]Write {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.last)
}

// operation is one call, and what it means for the row.
type operation struct {
	id    int64
	key   string
	args  []any
	write Write
}

func (l *Load) key(id int64) string { return fmt.Sprintf("%s%d", l.options.KeyPrefix, id) }

func (l *Load) newOperation(id int64, p Product) (operation, error) {
	value, err := json.Marshal(p)
	if err != nil {
		return operation{}, err
	}
	key := l.key(id)
	return operation{
		id: id, key: key,
		args:  []any{"FCALL", "wb_set", 1, key, l.options.Queue, value},
		write: Write{Product: p},
	}, nil
}

func (l *Load) newDeletion(id int64) operation {
	key := l.key(id)
	return operation{
		id: id, key: key,
		args:  []any{"FCALL", "wb_del", 1, key, l.options.Queue},
		write: Write{Deleted: true},
	}
}

func (l *Load) remember(o operation, version int64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if before := l.last[o.id]; version <= before.Version {
		return fmt.Errorf("the version of %s did not grow: %d after %d", o.key, version, before.Version)
	}
	o.write.Version = version
	l.last[o.id] = o.write
	l.acknowledged.Add(1)
	l.lastTime.Store(time.Now().UnixNano())
	if o.write.Deleted {
		l.deletes.Add(1)
	}
	return nil
}

// worker writes the keys that are its own.
type worker struct {
	*Load

	limiter *rate.Limiter
	random  *rand.Rand
	zipf    *rand.Zipf
	keys    []int64
	quota   int
	made    int
}

// Key popularity follows Zipf's law with an exponent just above 1, as web
// caches see it: about half of the calls go to one key in a hundred.
const (
	zipfExponent = 1.1
	zipfShift    = 10
)

func (l *Load) newWorker(index, writes int, limiter *rate.Limiter) *worker {
	stream := l.runs*uint64(l.options.Workers) + uint64(index)
	w := &worker{Load: l, limiter: limiter, random: rand.New(rand.NewPCG(l.options.Seed, stream))}
	for id := index + 1; id <= l.options.Keys; id += l.options.Workers {
		w.keys = append(w.keys, int64(id))
	}
	w.random.Shuffle(len(w.keys), func(i, j int) { w.keys[i], w.keys[j] = w.keys[j], w.keys[i] })
	w.quota = writes / l.options.Workers
	if index < writes%l.options.Workers {
		w.quota++
	}
	if len(w.keys) > 0 {
		w.zipf = rand.NewZipf(w.random, zipfExponent, zipfShift, uint64(len(w.keys)-1))
	}
	return w
}

func (w *worker) run(ctx context.Context) error {
	if len(w.keys) == 0 {
		return nil
	}
	var batch []operation
	for w.made < w.quota || len(batch) > 0 {
		for len(batch) < w.options.Pipeline && w.made < w.quota {
			o, err := w.next()
			if err != nil {
				return err
			}
			batch = append(batch, o)
		}
		if err := w.limiter.WaitN(ctx, len(batch)); err != nil {
			return err
		}
		refused, err := w.send(ctx, batch)
		if err != nil {
			return err
		}
		batch = append(batch[:0], refused...)
	}
	return nil
}

// next makes the next call: first every key once, then by popularity.
func (w *worker) next() (operation, error) {
	id := w.keys[w.zipf.Uint64()]
	fresh := w.made < len(w.keys)
	if fresh {
		id = w.keys[w.made]
	}
	w.made++
	if !fresh && w.random.IntN(100) < w.options.DeletePercent {
		return w.newDeletion(id), nil
	}
	return w.newOperation(id, Product{
		Name:       fmt.Sprintf("Product %d, edition %d.%d", id, w.runs, w.made),
		PriceCents: w.random.Int64N(1_000_000),
		Stock:      w.random.Int32N(1000),
		// PostgreSQL keeps microseconds.
		UpdatedAt: time.Now().UTC().Truncate(time.Microsecond),
	})
}

// send makes the calls of one batch in one round trip and returns those that
// the queue was too full for. Nothing has changed for them, so they are simply
// made again, as later writes.
func (w *worker) send(ctx context.Context, batch []operation) (refused []operation, err error) {
	pipe := w.client.Pipeline()
	replies := make([]*redis.Cmd, len(batch))
	for i, o := range batch {
		replies[i] = pipe.Do(ctx, o.args...)
	}
	// The first error of any call; each call's own is looked at below.
	_, _ = pipe.Exec(ctx)
	acknowledged := time.Now()
	sampled := w.random.IntN(len(batch))
	for i, reply := range replies {
		version, err := reply.Int64()
		switch {
		case redis.HasErrorPrefix(err, "WBFULL"):
			w.refused.Add(1)
			refused = append(refused, batch[i])
			continue
		case err != nil:
			return nil, fmt.Errorf("write %s: %w", batch[i].key, err)
		}
		if err := w.remember(batch[i], version); err != nil {
			return nil, err
		}
		if i == sampled {
			w.lag.offer(sample{key: batch[i].key, version: version, acknowledged: acknowledged})
		}
	}
	return refused, nil
}

// Stats is what wb_stats says about a queue.
type Stats struct {
	Depth, Dead, OldestMilliseconds int64
	Writes, Flushed, Coalesced, Max int64
	DataLoss, Revision              int64
	State, Journal, Library         string
}

// ReadStats calls wb_stats.
func ReadStats(ctx context.Context, client *redis.Client, queue string) (Stats, error) {
	var s Stats
	reply, err := client.Do(ctx, "FCALL_RO", "wb_stats", 0, queue).Slice()
	if err != nil {
		return s, fmt.Errorf("wb_stats of %s: %w", queue, err)
	}
	if len(reply)%2 != 0 {
		return s, errors.New("wb_stats: the answer is no list of names and values")
	}
	numbers := map[string]*int64{
		"depth": &s.Depth, "dead": &s.Dead, "oldest_ms": &s.OldestMilliseconds, "writes": &s.Writes, "flushed": &s.Flushed,
		"coalesced": &s.Coalesced, "data_loss": &s.DataLoss, "max": &s.Max, "revision": &s.Revision,
	}
	texts := map[string]*string{"state": &s.State, "journal": &s.Journal, "library": &s.Library}
	for i := 0; i < len(reply); i += 2 {
		name, value := fmt.Sprint(reply[i]), fmt.Sprint(reply[i+1])
		if text := texts[name]; text != nil {
			*text = value
			continue
		}
		number := numbers[name]
		if number == nil {
			continue
		}
		if _, err := fmt.Sscan(value, number); err != nil {
			return s, fmt.Errorf("wb_stats: %s is %q, not a number", name, value)
		}
	}
	return s, nil
}

// Stats calls wb_stats for the queue of this run.
func (l *Load) Stats(ctx context.Context) (Stats, error) {
	return ReadStats(ctx, l.client, l.options.Queue)
}
