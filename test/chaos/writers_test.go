// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/writebehind/operator/internal/flusher/journal/journaltest"
)

const (
	// writers is how many connections write at the same time.
	writers = 4
	// ownKeys belong to one writer each, sharedKeys to all of them.
	ownKeys    = 10_000
	sharedKeys = 200
	// spareKeys are for faults that write themselves.
	spareKeys = 500
	// chainKeys are those that pass unique values on.
	chainKeys = 20
	// writerTick is how often a writer sends what is due, in one pipeline.
	writerTick = 20 * time.Millisecond
	// mostAtOnce bounds one pipeline.
	mostAtOnce = 200
	// mostCatchUp bounds what a writer makes up for after Redis was away.
	mostCatchUp = 20 * time.Second
)

// Shares of what is written, in percent.
const (
	percentHot     = 40
	percentShared  = 10
	percentRemoved = 5
	percentPoison  = 5
	// partialRest of partialOf numbers is a partial document while there are any; the
	// table's trigger knows them by it.
	partialOf, partialRest = 7, 3
	// hotEvery means that every n-th key of a writer is hot.
	hotEvery = 20
)

// crowd is all the writers, and what they count.
type crowd struct {
	history *history
	server  *journaltest.Server
	queue   string
	prefix  string
	rate    int
	numbers atomic.Int64
	// poisoning makes some of the writes such that the table refuses them.
	poisoning atomic.Bool
	// leaving makes some of the documents partial.
	leaving atomic.Bool

	acknowledged, unknown atomic.Int64

	mu      sync.Mutex
	refused map[string]int64

	work sync.WaitGroup
	stop context.CancelFunc
}

// startWriters begins to write until stopWriters.
func (c *crowd) startWriters(ctx context.Context, seed uint64) {
	ctx, c.stop = context.WithCancel(ctx)
	for i := range writers {
		c.work.Go(func() {
			w := c.writer(i, rand.New(rand.NewPCG(seed, uint64(i))))
			defer w.client.Close()
			w.run(ctx)
		})
	}
}

// stopWriters returns when every answer is there, or known to be lost.
func (c *crowd) stopWriters() {
	c.stop()
	c.work.Wait()
}

func (c *crowd) countRefused(code string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.refused == nil {
		c.refused = make(map[string]int64)
	}
	c.refused[code]++
}

func (c *crowd) refusals() map[string]int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.refused)
}

// writer has one connection, and waits for its answers before it writes on. So the
// order of its writes is that of their numbers.
type writer struct {
	*crowd
	number int
	random *rand.Rand
	client *redis.Client
}

func (c *crowd) writer(number int, random *rand.Rand) *writer {
	return &writer{crowd: c, number: number, random: random, client: c.client()}
}

// client has one connection and makes every attempt once.
func (c *crowd) client() *redis.Client {
	options := c.server.Options()
	options.PoolSize, options.MaxRetries, options.DialerRetries = 1, -1, 1
	// Longer than Redis ever stands still: a writer that gives up while its call
	// still waits in Redis' socket could not say when it takes effect.
	options.ReadTimeout, options.WriteTimeout, options.PoolTimeout = 2*time.Minute, 2*time.Minute, 2*time.Minute
	return redis.NewClient(options)
}

func (w *writer) run(ctx context.Context) {
	ticker := time.NewTicker(writerTick)
	defer ticker.Stop()
	started, issued := time.Now(), 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		due := int(float64(w.rate) / writers * time.Since(started).Seconds())
		issued = max(issued, due-int(float64(w.rate)/writers*mostCatchUp.Seconds()))
		if n := min(due-issued, mostAtOnce); n > 0 {
			issued += n
			w.write(ctx, w.draw(n))
		}
	}
}

// call is one write that is about to be made.
type call struct {
	id, number int64
	operation  operation
	document   string
}

func (w *writer) draw(n int) []call {
	calls := make([]call, n)
	for i := range calls {
		c := call{id: w.key(), number: w.numbers.Add(1)}
		switch {
		case w.random.IntN(100) < percentRemoved:
			c.operation = remove
		case w.poisoning.Load() && w.random.IntN(100) < percentPoison:
			c.operation, c.document = poison, poisoned(c.number)
		case w.leaving.Load() && c.number%partialOf == partialRest:
			c.operation, c.document = partial, fmt.Sprintf(`{"n":%d,"quality":%d}`, c.number, c.number%100)
		default:
			c.document = document(c.number)
		}
		calls[i] = c
	}
	return calls
}

func (w *writer) key() int64 {
	const each = ownKeys / writers
	switch p := w.random.IntN(100); {
	case p < percentShared:
		return ownKeys + int64(w.random.IntN(sharedKeys))
	case p < percentShared+percentHot:
		return int64(w.number + writers*hotEvery*w.random.IntN(each/hotEvery))
	default:
		return int64(w.number + writers*w.random.IntN(each))
	}
}

// document is a whole one. It has more than the table has columns at first.
func document(number int64) string {
	at := time.Date(2026, 1, 1, 8, 0, 0, 0, time.UTC).AddDate(0, 0, int(number%28)).Add(time.Duration(number%30000) * time.Second)
	return fmt.Sprintf(`{"n":%d,"name":"write %d","quality":%d,"at":"%s","extra":%d}`, number, number, number%100, at.Format(time.RFC3339), number)
}

// poisoned is a document that fails a check, one that leaves a column empty which
// must not be, or none at all.
func poisoned(number int64) string {
	switch number % 3 {
	case 0:
		return fmt.Sprintf(`{"n":%d,"name":"write","quality":-1}`, number)
	case 1:
		return fmt.Sprintf(`{"n":%d,"name":null,"quality":1}`, number)
	default:
		return fmt.Sprintf(`{"n":%d, this is no document`, number)
	}
}

// write makes the calls in one pipeline, in order, and records what became of each.
func (w *writer) write(ctx context.Context, calls []call) {
	pipe := w.client.Pipeline()
	for i := range calls {
		c := &calls[i]
		w.history.sent(c.id, c.number, c.operation)
		key := w.prefix + fmt.Sprint(c.id)
		if c.operation == remove {
			pipe.Do(ctx, "FCALL", "wb_del", 1, key, w.queue)
		} else {
			pipe.Do(ctx, "FCALL", "wb_set", 1, key, w.queue, c.document)
		}
	}
	// What was sent is waited for, whatever ends.
	answers, _ := pipe.Exec(context.WithoutCancel(ctx))
	for i, answer := range answers {
		c := &calls[i]
		version, err := answer.(*redis.Cmd).Int64()
		w.record(c, version, err)
	}
}

// record notes what became of a write.
func (c *crowd) record(of *call, version int64, err error) {
	var refusal redis.Error
	var failed *net.OpError
	switch {
	case err == nil:
		c.history.acknowledged(of.id, of.number, version)
		c.acknowledged.Add(1)
	case errors.As(err, &refusal):
		c.history.refused(of.id, of.number)
		c.countRefused(codeOf(refusal))
	case errors.As(err, &failed) && failed.Op == "dial":
		c.history.refused(of.id, of.number)
		c.countRefused("not connected")
	default:
		c.history.unknown(of.id, of.number)
		c.unknown.Add(1)
	}
}

func codeOf(refusal redis.Error) string {
	code, text, _ := strings.Cut(refusal.Error(), " ")
	if code == "ERR" && strings.Contains(text, "unction") {
		return "no function"
	}
	return code
}
