// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package service_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/writebehind/operator/internal/flusher"
	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/journal/journaltest"
	"github.com/writebehind/operator/internal/flusher/service"
	"github.com/writebehind/operator/test/programs"
	"github.com/writebehind/operator/test/servers"
)

const replicatedSchema = `CREATE TABLE products (id text PRIMARY KEY, name text, price numeric);
CREATE TABLE sessions (id text PRIMARY KEY, name text, visits bigint);
CREATE TABLE views (page text PRIMARY KEY, n numeric);
CREATE TABLE scores (board text, player text, score double precision, PRIMARY KEY (board, player));
CREATE TABLE events (source text, id text, kind text, PRIMARY KEY (source, id))`

// replicated are both servers, with a mapping of every encoding.
type replicated struct {
	*servers.Pair
	t   testing.TB
	app *redis.Client
}

func startReplicated(t *testing.T, options ...journaltest.Option) *replicated {
	t.Helper()
	pair := servers.Start(t, replicatedSchema, append(options, forReaders)...)
	return replicatedOf(t, pair, pair.Redis.Client(t))
}

// forReaders are settings that a reader of the stream needs.
var forReaders = journaltest.Config("lazyfree-lazy-expire yes", "lazyfree-lazy-eviction yes", "repl-diskless-sync-delay 0")

func replicatedOf(t testing.TB, pair *servers.Pair, app *redis.Client) *replicated {
	t.Helper()
	r := &replicated{Pair: pair, t: t, app: app}
	r.Config.Capture = config.CaptureReplication
	r.Config.Flush.IntervalMilliseconds = 100
	mapping := func(name, prefix, key, encoding string) config.Mapping {
		m := config.DefaultMapping()
		m.Name, m.KeyPrefix, m.Table, m.KeyColumn, m.Encoding, m.Partitions = name, prefix, "public."+name, key, encoding, 4
		return m
	}
	views := mapping("views", "views:", "page", config.EncodingNumber)
	views.ValueColumn = "n"
	scores := mapping("scores", "board:", "board", config.EncodingSortedSet)
	scores.MemberColumn, scores.ScoreColumn = "player", "score"
	events := mapping("events", "events:", "source", config.EncodingStream)
	events.Mode, events.IDColumn = config.ModeAppend, "id"
	r.Config.Mappings = []config.Mapping{
		mapping("products", "product:", "id", config.EncodingJSON), mapping("sessions", "session:", "id", config.EncodingHash), views, scores, events,
	}
	if err := r.Config.Validate(); err != nil {
		t.Fatal(err)
	}
	return r
}

// flush runs a flusher until it is stopped.
func (r *replicated) flush() (f *flusher.Flusher, stop func()) {
	r.t.Helper()
	f = service.New(r.Config, flusher.Options{})
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.t.Context()))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		f.Run(ctx)
	}()
	stop = func() {
		cancel()
		<-ended
	}
	r.t.Cleanup(stop)
	programs.Usual.Eventually(r.t, "a flusher that is ready", func() error {
		if check := f.Ready(); !check.OK {
			return fmt.Errorf("%+v", check)
		}
		return nil
	})
	return f, stop
}

func (r *replicated) must(err error) {
	r.t.Helper()
	if err != nil && !errors.Is(err, redis.Nil) {
		r.t.Fatal(err)
	}
}

// writes is what an application does that knows nothing of a flusher: commands one by one,
// in pipelines, in transactions and in scripts.
func (r *replicated) writes(from int) {
	r.t.Helper()
	ctx, app := r.t.Context(), r.app
	key := func(prefix string, i int) string { return prefix + strconv.Itoa(from+i) }
	for i := range 5 {
		r.must(app.Set(ctx, key("product:", i), fmt.Sprintf(`{"name":"n%d","price":%d.5}`, i, i), 0).Err())
	}
	_, err := app.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i := range 5 {
			p.HSet(ctx, key("session:", i), "name", fmt.Sprintf("u%d", i), "visits", i)
			p.HIncrBy(ctx, key("session:", i), "visits", 10)
			p.IncrBy(ctx, key("views:", i), int64(i))
			p.IncrByFloat(ctx, key("views:", i), 0.25)
			p.ZAdd(ctx, key("board:", 0), redis.Z{Score: float64(i), Member: fmt.Sprintf("p%d", i)})
			p.XAdd(ctx, &redis.XAddArgs{Stream: "events:all", Values: []any{"kind", fmt.Sprintf("k%d", from+i)}})
		}
		return nil
	})
	r.must(err)
	_, err = app.TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.Del(ctx, key("product:", 0), key("session:", 0))
		p.HDel(ctx, key("session:", 1), "name")
		p.HDel(ctx, key("session:", 2), "name", "visits")
		p.ZIncrBy(ctx, key("board:", 0), 0.5, "p1")
		p.ZRem(ctx, key("board:", 0), "p2")
		p.Rename(ctx, key("product:", 1), key("product:", 9))
		p.Set(ctx, key("product:", 2), `{"name":"newer","price":7}`, 0)
		return nil
	})
	r.must(err)
	r.must(app.Eval(ctx, `redis.call('SET', KEYS[1], ARGV[1]); redis.call('HSET', KEYS[2], 'visits', 77); redis.call('ZADD', KEYS[3], 5, 'lua')
redis.call('ZUNIONSTORE', KEYS[4], 1, KEYS[3])`, []string{key("product:", 8), key("session:", 3), key("board:", 0), key("board:", 1)}, `{"name":"lua","price":1}`).Err())
	r.must(app.Del(ctx, key("board:", 1)).Err())
	r.must(app.ZAdd(ctx, key("board:", 1), redis.Z{Score: 3, Member: "again"}).Err())
}

// equal waits until every table is what the keys are.
func (r *replicated) equal() {
	r.t.Helper()
	programs.Usual.Eventually(r.t, "rows as the keys are", func() error {
		if lacking, surplus := r.differences(); len(lacking)+len(surplus) > 0 {
			return fmt.Errorf("rows are lacking:\n%q, and are too many:\n%q", lacking, surplus)
		}
		return nil
	})
}

// differences are the rows that Redis has and the tables lack, and those that the tables alone
// have.
func (r *replicated) differences() (lacking, surplus []string) {
	r.t.Helper()
	for table, want := range map[string][]string{
		"SELECT 'products', id, name, price::float8 FROM products": r.products(),
		"SELECT 'sessions', id, name, visits FROM sessions":        r.sessions(),
		"SELECT 'views', page, n::float8 FROM views":               r.views(),
		"SELECT 'scores', board, player, score FROM scores":        r.scores(),
		"SELECT 'events', source, id, kind FROM events":            r.events(),
	} {
		// How often each row is in Redis, less how often it is in the table.
		more := make(map[string]int)
		for _, row := range want {
			more[row]++
		}
		for _, row := range r.Database.Rows(r.t, table) {
			more[strings.Join(row[1:], "|")]--
		}
		for row, n := range more {
			row = strings.Split(table, "'")[1] + ": " + row
			if n > 0 {
				lacking = append(lacking, row)
			} else if n < 0 {
				surplus = append(surplus, row)
			}
		}
	}
	slices.Sort(lacking)
	slices.Sort(surplus)
	return lacking, surplus
}

// keys are those of a prefix.
func (r *replicated) keys(prefix string) []string {
	r.t.Helper()
	keys, err := r.app.Keys(r.t.Context(), prefix+"*").Result()
	r.must(err)
	return keys
}

func (r *replicated) products() (rows []string) {
	for _, key := range r.keys("product:") {
		var product struct {
			Name  string
			Price float64
		}
		if err := json.Unmarshal([]byte(r.app.Get(r.t.Context(), key).Val()), &product); err != nil {
			r.t.Fatal(err)
		}
		rows = append(rows, fmt.Sprintf("%s|%s|%v", strings.TrimPrefix(key, "product:"), product.Name, product.Price))
	}
	return rows
}

func (r *replicated) sessions() (rows []string) {
	for _, key := range r.keys("session:") {
		hash := r.app.HGetAll(r.t.Context(), key).Val()
		field := func(name string) string {
			if value, ok := hash[name]; ok {
				return value
			}
			return "NULL"
		}
		rows = append(rows, strings.TrimPrefix(key, "session:")+"|"+field("name")+"|"+field("visits"))
	}
	return rows
}

func (r *replicated) views() (rows []string) {
	for _, key := range r.keys("views:") {
		rows = append(rows, strings.TrimPrefix(key, "views:")+"|"+r.app.Get(r.t.Context(), key).Val())
	}
	return rows
}

func (r *replicated) scores() (rows []string) {
	for _, key := range r.keys("board:") {
		for _, z := range r.app.ZRangeWithScores(r.t.Context(), key, 0, -1).Val() {
			rows = append(rows, fmt.Sprintf("%s|%s|%v", strings.TrimPrefix(key, "board:"), z.Member, z.Score))
		}
	}
	return rows
}

func (r *replicated) events() (rows []string) {
	for _, key := range r.keys("events:") {
		for _, message := range r.app.XRange(r.t.Context(), key, "-", "+").Val() {
			kind, ok := message.Values["kind"]
			if !ok {
				kind = "NULL"
			}
			rows = append(rows, fmt.Sprintf("%s|%s|%v", strings.TrimPrefix(key, "events:"), message.ID, kind))
		}
	}
	return rows
}

// TestAnApplicationThatKnowsNothingIsCarried looks at keys that were there before, at what is
// written to a flusher that runs, at one that was away, and at a server that restarts.
func TestAnApplicationThatKnowsNothingIsCarried(t *testing.T) {
	t.Parallel()
	r := startReplicated(t, journaltest.AppendOnly("always"))
	r.writes(0)
	f, stop := r.flush()
	r.equal()
	r.writes(100)
	r.equal()
	r.must(r.app.ClientKillByFilter(t.Context(), "TYPE", "replica").Err())
	r.writes(200)
	r.equal()
	for _, q := range f.Status().Queues {
		if q.DataLossEvents != 0 || q.DeadLetters != 0 {
			t.Errorf("queue %s is %+v", q.Name, q)
		}
	}
	stop()
	r.writes(300)
	f, _ = r.flush()
	r.equal()
	for _, q := range f.Status().Queues {
		if q.DataLossEvents != 0 {
			t.Errorf("queue %s is %+v", q.Name, q)
		}
	}
	r.Redis.MustKill(t)
	r.Redis.MustRestart(t)
	r.writes(400)
	r.equal()
	programs.Usual.Eventually(t, "a word of deletions that may be missed", func() error {
		for _, q := range f.Status().Queues {
			if q.DataLossEvents != 1 {
				return fmt.Errorf("queue %s is %+v", q.Name, q)
			}
		}
		return nil
	})
}

// TestWhatIsAcknowledgedIsCommitted waits for the only replica, which the flusher is.
func TestWhatIsAcknowledgedIsCommitted(t *testing.T) {
	t.Parallel()
	r := startReplicated(t)
	r.flush()
	conn := r.app.Conn()
	defer func() { _ = conn.Close() }()
	for i := range 20 {
		key := strconv.Itoa(i)
		r.must(conn.Set(t.Context(), "product:"+key, `{"name":"x","price":1}`, 0).Err())
		n, err := conn.Wait(t.Context(), 1, programs.Usual.Limit).Result()
		if err != nil || n != 1 {
			t.Fatalf("WAIT answers %d, %v", n, err)
		}
		if got := r.Database.Value(t, "SELECT count(*) FROM products WHERE id = $1", key); got != "1" {
			t.Fatalf("after WAIT there are %s rows of %s", got, key)
		}
	}
}

// TestAnotherFlusherReadsOn has one flusher stand by, which goes on where the other one stops.
func TestAnotherFlusherReadsOn(t *testing.T) {
	t.Parallel()
	r := startReplicated(t)
	_, stop := r.flush()
	r.writes(0)
	r.equal()
	second, _ := r.flush()
	for _, q := range second.Status().Queues {
		if len(q.Partitions) != 0 {
			t.Errorf("who stands by holds %v of queue %s", q.Partitions, q.Name)
		}
	}
	r.writes(100)
	stop()
	r.writes(200)
	r.equal()
	for _, q := range second.Status().Queues {
		if len(q.Partitions) != 4 || q.DataLossEvents != 0 {
			t.Errorf("queue %s is %+v", q.Name, q)
		}
	}
}

// TestAKeyOfAnotherTypeStopsNothing looks at the dead letter of each encoding.
func TestAKeyOfAnotherTypeStopsNothing(t *testing.T) {
	t.Parallel()
	r := startReplicated(t)
	f, _ := r.flush()
	programs.Usual.Eventually(t, "keys that were there are read", func() error {
		for _, q := range f.Status().Queues {
			if len(q.Partitions) != 4 {
				return errors.New("nobody holds queue " + q.Name)
			}
		}
		return nil
	})
	for _, command := range [][]any{
		{"LPUSH", "product:x", "1"}, {"SET", "session:x", "1"}, {"SADD", "views:x", "1"}, {"HSET", "board:x", "a", "1"}, {"ZADD", "events:x", "1", "a"},
	} {
		r.must(r.app.Do(t.Context(), command...).Err())
	}
	r.must(r.app.Set(t.Context(), "views:bad", "no number", 0).Err())
	programs.Usual.Eventually(t, "dead letters", func() error {
		for _, q := range f.Status().Queues {
			want := int64(1)
			if q.Name == "views" {
				want = 2
			}
			if q.DeadLetters != want || q.Depth != 0 {
				return fmt.Errorf("queue %s is %+v", q.Name, q)
			}
		}
		return nil
	})
	r.must(r.app.Del(t.Context(), "product:x", "session:x", "views:x", "board:x", "events:x", "views:bad").Err())
	r.writes(0)
	r.equal()
	programs.Usual.Eventually(t, "no dead letters but that of the stream, whose entries only come", func() error {
		for _, q := range f.Status().Queues {
			if q.DeadLetters != 0 && q.Name != "events" {
				return fmt.Errorf("queue %s is %+v", q.Name, q)
			}
		}
		return nil
	})
}
