// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/writebehind/operator/internal/flusher/journal/journaltest"
	"github.com/writebehind/operator/test/programs"
)

// TestNoChangeIsOverlooked: whatever changes the value of a key, in whatever way, is told
// of, be it by its key or because nothing is known of any.
func TestNoChangeIsOverlooked(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	server := journaltest.New(t, atOnce)
	client := server.Client(t)
	f := attach(t, newLink(t, settingsOf(server)), "", Point{})
	// FLUSHALL ends the connection of a replica whose snapshot the server still takes for
	// under way.
	programs.Usual.Eventually(t, "the snapshot is over for the server", func() error {
		if info := client.Info(t.Context(), "replication").Val(); !strings.Contains(info, "state=online") {
			return errors.New(info)
		}
		return nil
	})
	commands := slices.DeleteFunc(append(slices.Clone(writings),
		"SET k1 1", "HSET k1 f 1 m 2", "HINCRBY k1 f 1", "ZADD k1 1 m 2 n", "ZADD k2 1 m 3 o", "SADD k1 m n", "SADD k2 n o", "RPUSH k1 a b", "XADD k1 * f v", "DEL k1",
		"PEXPIRE k1 1", "SET k1 v PX 1", "SETEX k1 100 v", "GETEX k1 PX 1", "INCRBYFLOAT k1 0.5", "HINCRBYFLOAT k1 f 0.5", "ZINCRBY k1 1 m", "ZREMRANGEBYRANK k1 0 0",
		"EVAL redis.call('SET',KEYS[1],ARGV[1]);redis.call('RENAME',KEYS[1],KEYS[2]) 2 k1 k2 v", "EVAL return(redis.call('HSET',KEYS[1],'f',ARGV[1])) 1 k1 v",
	), func(command string) bool {
		// They go to another server, or wait, or take an entry away, of which nothing is told.
		return slices.Contains([]string{"MIGRATE", "BLMOVE", "XDELEX"}, strings.Fields(command)[0])
	})
	changes, before, told := 0, valuesOf(t, client), map[string]bool{}
	for range 1000 {
		done := change(t, client, random, commands)
		after := valuesOf(t, client)
		// One that expired when it had been read the last time was told of then.
		maps.DeleteFunc(told, func(key string, gone bool) bool { return !gone || after[key] != "" })
		for _, said := range f.now(t, client) {
			words := strings.Fields(said)
			switch words[1] {
			case Unknown.String(), Flushed.String():
				told["all"] = false
			default:
				told[words[2]] = words[1] != Written.String()
			}
		}
		_, all := told["all"]
		for i := range changed {
			key := fmt.Sprintf("k%d", i)
			if before[key] == after[key] {
				continue
			}
			changes++
			if _, one := told[key]; !one && !all {
				t.Errorf("%s: %s was %q and is %q, and nothing is told of it", done, key, before[key], after[key])
			}
		}
		before = after
	}
	if changes < 100 {
		t.Errorf("only %d values changed", changes)
	}
}

// changed is how many keys there are.
const changed = 5

// change runs commands with keys of its choice, one by one or as a transaction.
func change(t *testing.T, client *redis.Client, random *rand.Rand, commands []string) []string {
	t.Helper()
	var done []string
	key := func() string { return fmt.Sprintf("k%d", random.IntN(changed)) }
	queue := func(p redis.Pipeliner) error {
		for range 1 + random.IntN(3) {
			command := strings.NewReplacer("k1", key(), "k2", key(), "k3", key()).Replace(commands[random.IntN(len(commands))])
			done = append(done, command)
			var words []any
			for word := range strings.FieldsSeq(command) {
				words = append(words, word)
			}
			p.Do(t.Context(), words...)
		}
		return nil
	}
	at := client.Pipelined
	if random.IntN(2) == 0 {
		at = client.TxPipelined
	}
	// Many commands do not fit the key: then they change nothing.
	_, err := at(t.Context(), queue)
	var refused redis.Error
	if err != nil && !errors.As(err, &refused) {
		t.Fatalf("%s: %v", done, err)
	}
	return done
}

// valuesOf reads every key, of a stream its last entry. Who looks at a key that has expired
// makes the server say so.
func valuesOf(t *testing.T, client *redis.Client) map[string]string {
	t.Helper()
	values := map[string]string{}
	for i := range changed {
		key := fmt.Sprintf("k%d", i)
		kind, err := client.Type(t.Context(), key).Result()
		programs.Must(t, err)
		question := map[string][]any{
			"string": {"GET", key}, "hash": {"HGETALL", key}, "list": {"LRANGE", key, 0, -1}, "set": {"SMEMBERS", key},
			"zset": {"ZRANGE", key, 0, -1, "WITHSCORES"}, "stream": {"XREVRANGE", key, "+", "-", "COUNT", 1},
		}[kind]
		if question == nil {
			continue
		}
		value, err := client.Do(t.Context(), question...).Result()
		if err != nil && !errors.Is(err, redis.Nil) {
			t.Fatal(err)
		}
		members, _ := value.([]any)
		if kind == "set" || kind == "hash" {
			slices.SortFunc(members, func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
		}
		values[key] = fmt.Sprint(kind, " ", value)
	}
	return values
}
