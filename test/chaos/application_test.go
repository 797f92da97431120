// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/writebehind/operator/internal/flusher/journal/journaltest"
)

// application writes with Redis' own commands, and knows nothing of a flusher.
type application struct {
	keys *keys
	rate int
	// gate is held by whoever writes, and closed to make all of them wait: then the outcome
	// of every write is known.
	gate sync.RWMutex

	mu     sync.Mutex
	server *journaltest.Server

	numbers atomic.Int64
	// idle counts writes that changed nothing, such as a DEL of no key.
	acknowledged, unknown, refused, idle atomic.Int64
	barriers, barriersUnanswered         atomic.Int64
	// comeBacks is how often Redis came back, or was emptied, lostByRedis how many keys and
	// entries were not what it had confirmed then, and replicas how many it has beside a flusher.
	comeBacks, lostByRedis, replicas atomic.Int64

	work sync.WaitGroup
	stop context.CancelFunc
}

// serve makes another server the one that is written to.
func (a *application) serve(s *journaltest.Server) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.server = s
}

func (a *application) current() *journaltest.Server {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.server
}

// client connects to whichever server is the one, and makes so many more attempts.
func (a *application) client(connections, retries int) *redis.Client {
	options := a.current().Options()
	options.Dialer = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, network, a.current().Addr())
	}
	options.PoolSize, options.MaxRetries, options.DialerRetries = connections, retries, 1
	// Longer than Redis ever stands still, as for the writers of the functions.
	options.ReadTimeout, options.WriteTimeout, options.PoolTimeout = 2*time.Minute, 2*time.Minute, 2*time.Minute
	return redis.NewClient(options)
}

// start begins to write until halt.
func (a *application) start(ctx context.Context, seed uint64) {
	ctx, a.stop = context.WithCancel(ctx)
	for i := range writers {
		a.work.Go(func() {
			w := a.writer(i, rand.New(rand.NewPCG(seed, uint64(100+i))))
			defer w.client.Close()
			w.run(ctx)
		})
	}
}

func (a *application) halt() {
	a.stop()
	a.work.Wait()
}

// Keys that one writer has of each table.
const (
	lastingKeys  = 150
	fleetingKeys = 60
	boards       = 25
	players      = 12
	streams      = 3
)

// appWriter has one connection and keys of its own, and waits for its answers before it
// writes on.
type appWriter struct {
	*application
	number            int
	random            *rand.Rand
	client            *redis.Client
	lasting, fleeting map[string][]*tracked
	// aside are keys from which others are copied.
	aside map[string]*tracked
}

func (a *application) writer(number int, random *rand.Rand) *appWriter {
	w := &appWriter{
		application: a, number: number, random: random, client: a.client(1, -1),
		lasting: make(map[string][]*tracked), fleeting: make(map[string][]*tracked), aside: make(map[string]*tracked),
	}
	for _, table := range []string{products, late, sessions, views, scores} {
		count, short := lastingKeys, fleetingKeys
		if table == scores {
			count, short = boards, boards/2
		}
		for i := range count {
			w.lasting[table] = append(w.lasting[table], a.keys.add(table, fmt.Sprintf("%d-l%d", number, i), false))
		}
		for i := range short {
			w.fleeting[table] = append(w.fleeting[table], a.keys.add(table, fmt.Sprintf("%d-f%d", number, i), true))
		}
		w.aside[table] = a.keys.add(table, fmt.Sprintf("%d-aside", number), false)
	}
	return w
}

func (w *appWriter) run(ctx context.Context) {
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
			w.gate.RLock()
			issued += w.write(ctx, n)
			w.gate.RUnlock()
		}
	}
}

// effect is what a command does to one key.
type effect struct {
	key    *tracked
	stroke stroke
}

// command is one of Redis', with what it does.
type command struct {
	args    []any
	effects []effect
	entry   *added
	// changes tells by the answer whether the command did anything.
	changes func(answer string) bool
	// reads is the cell of the first effect that the answer tells.
	reads string
	tells bool
}

func did(answer string) bool { return answer != "0" && answer != "nil" }

// write makes about so many writes in one go: as a pipeline, a transaction or a script. It
// returns how many they were.
func (w *appWriter) write(ctx context.Context, n int) int {
	if w.random.IntN(40) == 0 {
		return w.restore(ctx)
	}
	form := w.random.IntN(10)
	var commands []*command
	for len(commands) < n {
		commands = append(commands, w.draw(form >= 6)...)
	}
	for _, c := range commands {
		w.sent(c)
	}
	// What was sent is waited for, whatever ends.
	ctx = context.WithoutCancel(ctx)
	if form >= 8 {
		w.script(ctx, commands)
		return len(commands)
	}
	pipe := w.client.Pipeline()
	if form >= 6 {
		pipe = w.client.TxPipeline()
	}
	answers := make([]*redis.Cmd, len(commands))
	for i, c := range commands {
		answers[i] = pipe.Do(ctx, c.args...)
	}
	_, _ = pipe.Exec(ctx)
	for i, c := range commands {
		text, err := textOf(answers[i])
		w.record(c, text, err)
	}
	return len(commands)
}

// scriptText runs commands up to one that is refused, and answers each as a text; a refusal
// begins with "!".
const scriptText = `local out = {}
for i = 1, #ARGV do
  local answer = redis.pcall(unpack(cjson.decode(ARGV[i])))
  if type(answer) == 'table' then
    if answer.err then
      out[i] = '!' .. answer.err
      break
    elseif answer.ok then answer = answer.ok else answer = 'many' end
  elseif answer == false then answer = 'nil' end
  out[i] = tostring(answer)
end
return out`

func (w *appWriter) script(ctx context.Context, commands []*command) {
	var names []string
	args := make([]any, len(commands))
	for i, c := range commands {
		words := make([]string, len(c.args))
		for j, word := range c.args {
			words[j] = fmt.Sprint(word)
		}
		text, _ := json.Marshal(words)
		args[i] = string(text)
		for _, e := range c.effects {
			names = append(names, prefixes[e.key.table]+e.key.key)
		}
		if c.entry != nil {
			names = append(names, prefixes[events]+c.entry.stream)
		}
	}
	slices.Sort(names)
	answers, err := w.client.Eval(ctx, scriptText, slices.Compact(names), args...).StringSlice()
	for i, c := range commands {
		switch {
		case err != nil:
			w.record(c, "", err)
		case i >= len(answers):
			w.record(c, "", refusal("!not run"))
		case strings.HasPrefix(answers[i], "!"):
			w.record(c, "", refusal(answers[i]))
		default:
			w.record(c, answers[i], nil)
		}
	}
}

// refusal is an error of one command of a script.
type refusal string

func (r refusal) Error() string { return string(r) }

// RedisError makes it one of the server's.
func (r refusal) RedisError() {}

func textOf(answer *redis.Cmd) (string, error) {
	value, err := answer.Result()
	if errors.Is(err, redis.Nil) {
		return "nil", nil
	}
	if number, ok := value.(int64); ok {
		return strconv.FormatInt(number, 10), err
	}
	return fmt.Sprint(value), err
}

func (a *application) sent(c *command) {
	for i := range c.effects {
		c.effects[i].key.sent(c.effects[i].stroke)
	}
	if c.entry != nil {
		a.keys.entries.sent(*c.entry)
	}
}

// record notes what became of a command.
func (a *application) record(c *command, text string, err error) {
	var said redis.Error
	var failed *net.OpError
	is := acknowledged
	switch {
	case err == nil && c.changes != nil && !c.changes(text):
		a.idle.Add(1)
		a.refuse(c)
		return
	case err == nil:
		a.acknowledged.Add(1)
	case errors.As(err, &said), errors.As(err, &failed) && failed.Op == "dial":
		a.refused.Add(1)
		a.refuse(c)
		return
	default:
		is = unknown
		a.unknown.Add(1)
	}
	for i, e := range c.effects {
		var contents map[string]string
		if i == 0 && c.tells && is == acknowledged {
			contents = map[string]string{c.reads: text}
		}
		a.keys.answered(e.key, e.stroke.number, is, contents)
	}
	if c.entry != nil {
		a.keys.entries.answered(c.entry.number, is, map[bool]string{true: text}[is == acknowledged])
	}
}

func (a *application) refuse(c *command) {
	for _, e := range c.effects {
		a.keys.refused(e.key, e.stroke.number)
	}
	if c.entry != nil {
		a.keys.entries.refused(c.entry.number)
	}
}
