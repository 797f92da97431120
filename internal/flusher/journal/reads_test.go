// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package journal_test

import (
	"fmt"
	"maps"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/entry"
	"github.com/writebehind/operator/internal/flusher/journal/journaltest"
	"github.com/writebehind/operator/test/programs"
)

// miss reads a key that is not cached and returns the token.
func (f *fixture) miss(key string) string {
	f.t.Helper()
	reply, err := f.rdb.FCall(f.t.Context(), "wb_get", []string{key}, queue).Slice()
	if err != nil || len(reply) != 2 || reply[0] != nil {
		f.t.Fatalf("wb_get of %s answers %v, %v; want nil and a token", key, reply, err)
	}
	token, ok := reply[1].(string)
	if _, err := strconv.ParseUint(token, 10, 64); !ok || err != nil {
		f.t.Fatalf("wb_get of %s gives the token %v, want a string of digits", key, reply[1])
	}
	return token
}

// fillSince caches with a token and reports whether it did.
func (f *fixture) fillSince(key, token string) bool {
	f.t.Helper()
	n, err := f.rdb.FCall(f.t.Context(), "wb_fill", []string{key}, queue, `{"from":"database"}`, token).Int64()
	f.check(nil, err)
	return n == 1
}

// reads is how many reads are remembered in the first partition.
func (f *fixture) reads() int64 {
	f.t.Helper()
	return f.rdb.ZCard(f.t.Context(), "wb:{products:0}:reads").Val()
}

func TestWhatWasReadBeforeAWriteIsNotCached(t *testing.T) {
	flush := func(f *fixture, outcome entry.Outcome) {
		f.acknowledge(f.claim(f.lease("a", 0, time.Now().UnixMicro()), 10), outcome)
	}
	evict := func(f *fixture) { f.check(f.rdb.Del(f.t.Context(), "product:1").Result()) }
	for name, c := range map[string]struct {
		meanwhile func(f *fixture)
		cached    bool
	}{
		"nothing":                          {func(*fixture) {}, true},
		"a write of another key, flushed":  {func(f *fixture) { f.set("product:2", "{}"); flush(f, entry.Done) }, true},
		"another reader":                   {func(f *fixture) { f.miss("product:1") }, true},
		"a deletion":                       {func(f *fixture) { f.del("product:1") }, false},
		"a deletion that was flushed":      {func(f *fixture) { f.del("product:1"); flush(f, entry.Done) }, false},
		"a deletion that is a dead letter": {func(f *fixture) { f.del("product:1"); flush(f, entry.Dead) }, false},
		"a deletion that waits":            {func(f *fixture) { f.del("product:1"); flush(f, entry.Refused) }, false},
		"a write, flushed and evicted":     {func(f *fixture) { f.set("product:1", "{}"); flush(f, entry.Done); evict(f) }, false},
		"a write that lost its value":      {func(f *fixture) { f.set("product:1", "{}"); evict(f); flush(f, entry.Lost) }, false},
		"two writes, one of them flushed": {func(f *fixture) {
			f.set("product:1", "{}")
			claim := f.claim(f.lease("a", 0, 1), 10)
			f.del("product:1")
			f.acknowledge(claim, entry.Done)
		}, false},
		"a discarded dead letter": {func(f *fixture) {
			f.del("product:1")
			flush(f, entry.Dead)
			f.check(nil, f.j.Discard(f.t.Context(), queue, f.deadLetters()["product:1"]))
		}, false},
		"a dead letter, replayed and flushed": {func(f *fixture) {
			f.del("product:1")
			flush(f, entry.Dead)
			f.check(f.j.Replay(f.t.Context(), queue, f.deadLetters()["product:1"]))
			flush(f, entry.Done)
		}, false},
		"a fill by another": {func(f *fixture) {
			f.check(f.rdb.FCall(f.t.Context(), "wb_fill", []string{"product:1"}, queue, "{}").Result())
		}, false},
		"the reads were evicted": {func(f *fixture) { f.check(f.rdb.Del(f.t.Context(), "wb:{products:0}:reads").Result()) }, false},
		"another life of the queue": {func(f *fixture) {
			f.check(f.rdb.FlushAll(f.t.Context()).Result())
			f.check(f.j.Open(f.t.Context(), settings(onePartition), "journal-2", true))
		}, false},
		"another life, in which it was read too": {func(f *fixture) {
			f.check(f.rdb.FlushAll(f.t.Context()).Result())
			f.check(f.j.Open(f.t.Context(), settings(onePartition), "journal-2", true))
			f.miss("product:1")
		}, false},
		"a pause": {func(f *fixture) {
			f.check(f.j.Open(f.t.Context(), settings(onePartition, func(s *config.QueueSettings) { s.Revision, s.State = 2, config.StatePaused }), "", false))
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			f := open(t, journaltest.New(t), onePartition)
			token := f.miss("product:1")
			c.meanwhile(f)
			if cached := f.fillSince("product:1", token); cached != c.cached {
				t.Errorf("wb_fill with the token of before caches: %v, want %v", cached, c.cached)
			}
			if c.cached {
				if ttl := f.rdb.TTL(t.Context(), "product:1").Val(); ttl <= 0 {
					t.Errorf("what is cached has the TTL %v", ttl)
				}
			}
		})
	}
}

func TestATokenOfADirtyKeyNeverFits(t *testing.T) {
	f := open(t, journaltest.New(t), onePartition)
	f.del("product:1")
	while := f.miss("product:1")
	if n := f.reads(); n != 0 {
		t.Errorf("%d reads of a dirty key are remembered", n)
	}
	f.acknowledge(f.claim(f.lease("a", 0, 1), 10), entry.Done)
	if f.fillSince("product:1", while) {
		t.Error("what was read while the deletion was on its way is cached")
	}
	if !f.fillSince("product:1", f.miss("product:1")) {
		t.Error("what was read after it is not cached")
	}
}

func TestATokenIsUsedOnceAndTakesNoGarbage(t *testing.T) {
	f := open(t, journaltest.New(t), onePartition)
	ctx := t.Context()
	token := f.miss("product:1")
	for _, garbage := range []string{"", " ", "x", "-1", "1.5", "1e15", token + " ", token + "\n", "nil"} {
		mustFail(t, f.rdb.FCall(ctx, "wb_fill", []string{"product:1"}, queue, "{}", garbage), "WBARGS")
	}
	mustFail(t, f.rdb.FCall(ctx, "wb_fill", []string{"product:1"}, queue, "{}", token, token), "WBARGS")
	for _, other := range []string{"0", "1", token + "0", "0" + token, strings.Repeat("9", 400), f.miss("product:2")} {
		if f.fillSince("product:1", other) {
			t.Errorf("the token %s fits, and %s was given", other, token)
		}
	}
	if f.fillSince("product:3", token) {
		t.Error("a token of another key fits")
	}
	if !f.fillSince("product:1", token) {
		t.Error("the token does not fit")
	}
	f.check(f.rdb.Del(ctx, "product:1").Result())
	if f.fillSince("product:1", token) {
		t.Error("the token fits twice")
	}
}

// at puts the time of a remembered read into the past or the future.
func (f *fixture) at(key string, ago time.Duration) string {
	f.t.Helper()
	score := time.Now().Add(-ago).UnixMicro()
	f.check(f.rdb.ZAdd(f.t.Context(), "wb:{products:0}:reads", redis.Z{Score: float64(score), Member: key}).Result())
	return strconv.FormatInt(score, 10)
}

func TestReadsAreForgotten(t *testing.T) {
	f := open(t, journaltest.New(t), onePartition)
	for name, ago := range map[string]time.Duration{"too old": 61 * time.Second, "of a clock that was put back": -time.Hour} {
		if f.fillSince("product:1", f.at("product:1", ago)) {
			t.Errorf("a token %s fits", name)
		}
	}
	if token := f.at("product:1", 20*time.Second); f.miss("product:1") != token {
		t.Error("a reader does not share the token of one shortly before it")
	}
	if token := f.at("product:1", 40*time.Second); f.miss("product:1") == token {
		t.Error("a reader gets a token that is about to be forgotten")
	}
	if token := f.at("product:1", -time.Hour); f.miss("product:1") == token {
		t.Error("a reader gets a token that does not fit")
	}
	for i := range 900 {
		f.at(fmt.Sprintf("product:old%d", i), 2*time.Minute)
	}
	for i := range 1500 {
		f.miss(fmt.Sprintf("product:new%d", i))
	}
	if n := f.reads(); n < 900 || n > 1001 {
		t.Errorf("%d reads are remembered, want about a thousand", n)
	}
	if old := f.rdb.ZCount(t.Context(), "wb:{products:0}:reads", "-inf", fmt.Sprint(time.Now().Add(-time.Minute).UnixMicro())).Val(); old != 0 {
		t.Errorf("%d of the reads are too old", old)
	}
	// However many lie ahead of the clock, those of now are remembered.
	for i := range 1500 {
		f.at(fmt.Sprintf("product:ahead%d", i), -time.Hour)
	}
	for i := range 800 {
		f.miss(fmt.Sprintf("product:now%d", i))
	}
	if !f.fillSince("product:last", f.miss("product:last")) {
		t.Error("a read is forgotten for others that lie ahead of the clock")
	}
	if ttl := f.rdb.TTL(t.Context(), "wb:{products:0}:reads").Val(); ttl != -1 {
		t.Errorf("the reads have the TTL %v", ttl)
	}
}

func TestGetReadsAndRefuses(t *testing.T) {
	server := journaltest.New(t, journaltest.User("noread on >secret ~* +@all -get"), journaltest.User("nonote on >secret ~* +@all -zadd"))
	f := open(t, server, onePartition)
	ctx := t.Context()
	f.set("product:1", `{"n":1}`)
	if got := f.rdb.FCall(ctx, "wb_get", []string{"product:1"}, queue).Val(); got != `{"n":1}` {
		t.Errorf("wb_get of a dirty key answers %v", got)
	}
	f.acknowledge(f.claim(f.lease("a", 0, 1), 10), entry.Done)
	if got := f.rdb.FCall(ctx, "wb_get", []string{"product:1"}, queue).Val(); got != `{"n":1}` {
		t.Errorf("wb_get of a clean key answers %v", got)
	}
	f.check(f.rdb.LPush(ctx, "product:list", "x").Result())
	as := func(user string) *redis.Client { return server.ClientAs(t, user, "secret") }
	for name, c := range map[string]struct {
		call redis.Cmder
		code string
	}{
		"no queue":          {f.rdb.FCall(ctx, "wb_get", []string{"product:1"}), "WBARGS"},
		"too much":          {f.rdb.FCall(ctx, "wb_get", []string{"product:1"}, queue, "x"), "WBARGS"},
		"no key":            {f.rdb.FCall(ctx, "wb_get", nil, queue), "WBARGS"},
		"another prefix":    {f.rdb.FCall(ctx, "wb_get", []string{"order:1"}, queue), "WBARGS"},
		"the prefix alone":  {f.rdb.FCall(ctx, "wb_get", []string{"product:"}, queue), "WBARGS"},
		"no such queue":     {f.rdb.FCall(ctx, "wb_get", []string{"product:1"}, "nope"), "WBNOQUEUE"},
		"a list":            {f.rdb.FCall(ctx, "wb_get", []string{"product:list"}, queue), "WRONGTYPE"},
		"no right to GET":   {as("noread").FCall(ctx, "wb_get", []string{"product:1"}, queue), scriptDenied},
		"no right to a set": {as("nonote").FCall(ctx, "wb_get", []string{"product:9"}, queue), scriptDenied},
		"read only":         {f.rdb.FCallRO(ctx, "wb_get", []string{"product:1"}, queue), "ERR"},
	} {
		t.Run(name, func(t *testing.T) { mustFail(t, c.call, c.code) })
	}
	f.check(f.j.Open(ctx, settings(onePartition, func(s *config.QueueSettings) { s.Revision, s.State = 2, config.StatePaused }), "", false))
	if got := f.rdb.FCall(ctx, "wb_get", []string{"product:1"}, queue).Val(); got != `{"n":1}` {
		t.Errorf("wb_get of a paused queue answers %v", got)
	}
	f.miss("product:2")
	f.check(f.rdb.HSet(ctx, "wb:{products}:queue", "encoding", "Hash").Result())
	mustFail(t, f.rdb.FCall(ctx, "wb_get", []string{"product:1"}, queue), "WBMODE")
}

func TestGetOnAReplicaSaysThatItIsOne(t *testing.T) {
	primary := journaltest.New(t)
	open(t, primary)
	replica := journaltest.New(t, journaltest.Config(fmt.Sprintf("replicaof 127.0.0.1 %d", primary.Port()))).Client(t)
	programs.Usual.Eventually(t, "the replica follows its primary", func() error {
		return replica.FCallRO(t.Context(), "wb_stats", nil, queue).Err()
	})
	mustFail(t, replica.FCall(t.Context(), "wb_get", []string{"product:1"}, queue), "READONLY")
}

func TestGetWorksAtMaxmemory(t *testing.T) {
	f := open(t, journaltest.New(t), onePartition)
	f.check(f.rdb.Set(t.Context(), "product:1", "{}", 0).Result())
	setConfig(t, f.rdb, "maxmemory", "1")
	if got := f.rdb.FCall(t.Context(), "wb_get", []string{"product:1"}, queue).Val(); got != "{}" {
		t.Errorf("wb_get at maxmemory answers %v", got)
	}
	token := f.miss("product:2")
	mustFail(t, f.rdb.FCall(t.Context(), "wb_fill", []string{"product:2"}, queue, "{}", token), "OOM")
	setConfig(t, f.rdb, "maxmemory", "0")
	if !f.fillSince("product:2", token) {
		t.Error("a fill that was refused has used up its token")
	}
}

func TestAFillThatIsRefusedChangesNothing(t *testing.T) {
	server := journaltest.New(t, journaltest.User("noset on >secret ~* +@all -set"))
	f := open(t, server, onePartition)
	token := f.miss("product:1")
	before := dump(t, f.rdb)
	mustFail(t, server.ClientAs(t, "noset", "secret").FCall(t.Context(), "wb_fill", []string{"product:1"}, queue, "{}", token), scriptDenied)
	if after := dump(t, f.rdb); !maps.Equal(before, after) {
		t.Error("Redis has changed")
	}
}

// Readers and a writer race over one key: what they read is numbered, and the cache must
// never hold less than what the database does once all are quiet.
func TestReadersRaceAWriter(t *testing.T) {
	f := open(t, journaltest.New(t), onePartition)
	ctx := t.Context()
	l := f.lease("a", 0, 1)
	var mu sync.Mutex
	row := 0
	var readers sync.WaitGroup
	quit := make(chan struct{})
	for range 4 {
		readers.Go(func() {
			for {
				select {
				case <-quit:
					return
				default:
				}
				reply, err := f.rdb.FCall(ctx, "wb_get", []string{"product:1"}, queue).Result()
				missed, ok := reply.([]any)
				if err != nil || !ok {
					continue
				}
				mu.Lock()
				seen := row
				mu.Unlock()
				f.rdb.FCall(ctx, "wb_fill", []string{"product:1"}, queue, strconv.Itoa(seen), missed[1])
			}
		})
	}
	for n := 1; n <= 300; n++ {
		// The deletion stands for a write that was evicted by the time of the reads.
		if err := f.rdb.FCall(ctx, "wb_del", []string{"product:1"}, queue).Err(); err != nil {
			t.Error(err)
			break
		}
		claim := f.claim(l, 10)
		mu.Lock()
		row = n
		mu.Unlock()
		f.acknowledge(claim, entry.Done)
		cached, err := f.rdb.Get(ctx, "product:1").Result()
		if err == nil && cached != strconv.Itoa(n) {
			t.Errorf("row %d is in the database, and %s in the cache", n, cached)
			break
		}
	}
	close(quit)
	readers.Wait()
	if cached, err := f.rdb.Get(ctx, "product:1").Result(); err == nil && cached != strconv.Itoa(row) {
		t.Errorf("row %d is in the database, and %s in the cache", row, cached)
	}
}
