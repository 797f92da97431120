// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package service_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/writebehind/operator/test/programs"
)

// sources are keys of each type, of which RESTORE gets the dump.
var sources = map[string]string{
	"product:source": `SET product:source {"name":"dumped","price":8}`, "session:source": "HSET session:source name dumped visits 8",
	"views:source": "SET views:source 88", "board:source": "ZADD board:source 8 dumped 9 again", "events:source": "XADD events:source 8-8 kind dumped",
}

// applications are what they do to keys of each encoding, in this order. A word that is <KEY> is
// the dump of that key, and ~ in a key is the manner in which the commands are given.
var applications = map[string][]string{
	"JSON": {
		`SET product:~a {"name":"a","price":1}`, `SETEX product:~b 1000 {"name":"b","price":2}`, `PSETEX product:~c 1000000 {"name":"c","price":3}`,
		`SETNX product:~d {"name":"d","price":4}`, `SETNX product:~d {"name":"no","price":5}`,
		`MSET product:~e {"name":"e","price":6} product:~f {"name":"f","price":7}`, `MSETNX product:~g {"name":"g","price":8} product:~h {"name":"h","price":9}`,
		`GETSET product:~a {"name":"a2","price":10}`, `SET product:~b {"name":"b2","price":11} KEEPTTL`, `SET product:~c {"name":"c2","price":12} XX GET`,
		`SETRANGE product:~f 9 F`, `SET product:~i {"name":"half"`, `APPEND product:~i ,"price":13}`,
		"GETDEL product:~e", "RENAME product:~d product:~j", "RENAMENX product:~g product:~k", "COPY product:~a product:~l", "COPY product:~b product:~a REPLACE",
		"RESTORE product:~m 0 <product:source>", "RESTORE product:~h 0 <product:source> REPLACE", "EXPIRE product:~c 1000", "PERSIST product:~c",
		"GETEX product:~b EX 500", "DEL product:~l product:~none",
	},
	"Hash": {
		"HSET session:~a name a visits 1", "HMSET session:~b name b visits 2", "HSETNX session:~a name no", "HSETNX session:~c name c",
		"HINCRBY session:~a visits 5", "HINCRBYFLOAT session:~a visits 2", "HINCRBYFLOAT session:~d visits 3", "HDEL session:~b visits",
		"HSET session:~e name e", "HDEL session:~e name", "RENAME session:~c session:~f", "COPY session:~a session:~g", "HSET session:~g name g",
		"RESTORE session:~h 0 <session:source>", "HDEL session:~h name", "EXPIRE session:~a 1000", "DEL session:~d",
	},
	"Number": {
		"INCR views:~a", "INCRBY views:~a 41", "DECR views:~b", "DECRBY views:~b 9", "INCRBYFLOAT views:~c 0.25", "INCRBYFLOAT views:~c 10", "SET views:~d 7",
		"GETSET views:~d 8", "INCR views:~d", "SETEX views:~e 1000 5", "INCR views:~e", "MSET views:~f 1 views:~g 2", "GETDEL views:~f", "RENAME views:~g views:~h",
		"COPY views:~a views:~i", "INCR views:~i", "RESTORE views:~j 0 <views:source>", "INCR views:~j", "EXPIRE views:~a 1000", "DEL views:~b",
	},
	"SortedSet": {
		"ZADD board:~a 1 one 2 two 3 three 4 four", "ZADD board:~a GT 5 one", "ZADD board:~a GT 1 two", "ZADD board:~a LT 1 three", "ZADD board:~a NX 9 four 9 five",
		"ZADD board:~a XX CH 6 five", "ZADD board:~a INCR 2 six", "ZINCRBY board:~a 1.5 six", "ZREM board:~a two none", "ZADD board:~b 1 a 2 b 3 c 4 d 5 e 6 f 7 g",
		"ZPOPMIN board:~b", "ZPOPMAX board:~b 1", "ZMPOP 1 board:~b MIN", "BZPOPMAX board:~b 1", "ZREMRANGEBYSCORE board:~b 3 3", "ZREMRANGEBYRANK board:~b 0 0",
		"ZUNIONSTORE board:~c 2 board:~a board:~b WEIGHTS 1 10", "ZINTERSTORE board:~d 2 board:~a board:~c", "ZDIFFSTORE board:~e 2 board:~c board:~b",
		"ZRANGESTORE board:~f board:~c 0 1", "ZUNIONSTORE board:~f 1 board:~none", "ZADD board:~g 1 x 2 y", "ZRANGESTORE board:~g board:~a 0 0",
		"ZREMRANGEBYLEX board:~e - [f", "RENAME board:~d board:~h", "COPY board:~a board:~i", "ZREM board:~i one", "RESTORE board:~j 0 <board:source>",
		"ZREM board:~j dumped", "ZADD board:~k 1 only", "ZREM board:~k only", "ZADD board:~l 1 gone", "DEL board:~l", "ZADD board:~l 2 back", "EXPIRE board:~a 1000",
	},
	"Stream": {
		"XADD events:~a 1-1 kind own", "XADD events:~a 1-* kind next", "XADD events:~a 5 kind five", "XADD events:~a * kind clock",
		"XADD events:~b NOMKSTREAM * kind none", "XADD events:~b MAXLEN ~ 1000 1-1 kind kept", "XADD events:~b 1-2 other field", "XGROUP CREATE events:~a group 0",
		"XREADGROUP GROUP group me COUNT 1 STREAMS events:~a >", "XACK events:~a group 1-1", "COPY events:~a events:~c", "XADD events:~c * kind later",
		"RESTORE events:~d 0 <events:source>", "XADD events:~d 9-9 kind more", "EXPIRE events:~a 1000",
	},
}

// manners are the ways in which commands reach Redis.
var manners = map[string]func(r *replicated, commands [][]any) error{
	"alone": func(r *replicated, commands [][]any) error {
		for _, words := range commands {
			if err := r.app.Do(r.t.Context(), words...).Err(); err != nil && !errors.Is(err, redis.Nil) {
				return fmt.Errorf("%q: %w", words, err)
			}
		}
		return nil
	},
	"pipeline": func(r *replicated, commands [][]any) error {
		return r.queued(r.app.Pipeline(), commands)
	},
	"multi": func(r *replicated, commands [][]any) error {
		return r.queued(r.app.TxPipeline(), commands)
	},
	"script": func(r *replicated, commands [][]any) error {
		// All in one, of which each call has its number of words before it.
		const script = `local at = 1
while at <= #ARGV do
  local n = tonumber(ARGV[at])
  redis.call(unpack(ARGV, at + 1, at + n))
  at = at + n + 1
end`
		var words []any
		for _, command := range commands {
			words = append(append(words, len(command)), command...)
		}
		if err := r.app.Eval(r.t.Context(), script, nil, words...).Err(); err != nil && !errors.Is(err, redis.Nil) {
			return err
		}
		return nil
	},
}

// queued sends the commands at once.
func (r *replicated) queued(p redis.Pipeliner, commands [][]any) error {
	for _, words := range commands {
		p.Do(r.t.Context(), words...)
	}
	answers, err := p.Exec(r.t.Context())
	for _, answer := range answers {
		if err := answer.Err(); err != nil && !errors.Is(err, redis.Nil) {
			return fmt.Errorf("%q: %w", answer.Args(), err)
		}
	}
	if errors.Is(err, redis.Nil) {
		return nil
	}
	return err
}

// wordsOf are those of a command, given in the manner.
func wordsOf(command, manner string, dumps map[string]string) (words []any) {
	for word := range strings.FieldsSeq(command) {
		if key, isDump := strings.CutPrefix(word, "<"); isDump {
			words = append(words, dumps[strings.TrimSuffix(key, ">")])
			continue
		}
		if strings.Contains(word, ":~") {
			word = strings.Replace(word, "~", manner+"-", 1)
		}
		words = append(words, word)
	}
	return words
}

// TestTheCommandsOfApplicationsAreCarried gives them alone, in a pipeline, in a transaction and
// in a script. Whatever they have made of the keys, the rows are the same.
func TestTheCommandsOfApplicationsAreCarried(t *testing.T) {
	t.Parallel()
	r := startReplicated(t)
	dumps := map[string]string{}
	for key, command := range sources {
		r.must(r.app.Do(t.Context(), wordsOf(command, "", nil)...).Err())
		dump, err := r.app.Dump(t.Context(), key).Result()
		r.must(err)
		dumps[key] = dump
	}
	f, _ := r.flush()
	r.equal()
	for manner, give := range manners {
		for encoding, application := range applications {
			var commands [][]any
			for _, command := range application {
				if manner == "script" && strings.HasPrefix(command, "BZPOPMAX ") {
					continue // No script may block.
				}
				commands = append(commands, wordsOf(command, manner, dumps))
			}
			if err := give(r, commands); err != nil {
				t.Fatalf("%s, %s: %v", encoding, manner, err)
			}
		}
		t.Logf("The manner is: %s", manner)
		r.equal()
	}
	programs.Usual.Eventually(t, "nothing dead or lost", func() error {
		for _, q := range f.Status().Queues {
			if q.DeadLetters != 0 || q.DataLossEvents != 0 || q.Depth != 0 {
				return fmt.Errorf("queue %s is %+v", q.Name, q)
			}
		}
		return nil
	})
}

// TestAKeyThatExpiresLeavesItsRow has keys that are gone before anybody could read them, and one
// that is gone when its row was written long ago.
func TestAKeyThatExpiresLeavesItsRow(t *testing.T) {
	t.Parallel()
	r := startReplicated(t)
	r.flush()
	conn := r.conn()
	r.must(conn.Set(t.Context(), "product:long", `{"name":"long","price":1}`, 0).Err())
	r.must(conn.HSet(t.Context(), "session:long", "name", "long").Err())
	rows := func(want string) {
		t.Helper()
		programs.Usual.Eventually(t, "rows", func() error {
			got := strings.Join(r.Database.Column(t, `SELECT id FROM products UNION ALL SELECT id FROM sessions UNION ALL SELECT page FROM views
UNION ALL SELECT source FROM events ORDER BY 1`), " ")
			if got != want {
				return fmt.Errorf("they are %q, want %q", got, want)
			}
			return nil
		})
	}
	rows("long long")
	_, err := conn.TxPipelined(t.Context(), func(p redis.Pipeliner) error {
		for _, command := range []string{
			`SET product:short {"name":"short","price":2} PX 1`, "SET views:short 7 PX 1", "XADD events:short 1-1 kind x", "PEXPIRE events:short -1", "PEXPIRE product:long -1",
			"PEXPIRE session:long -1",
		} {
			p.Do(t.Context(), wordsOf(command, "", nil)...)
		}
		return nil
	})
	r.must(err)
	rows("long long short short short")
	programs.Usual.Eventually(t, "keys that are gone", func() error {
		if n := r.app.DBSize(t.Context()).Val(); n > 1 { // the witness
			return fmt.Errorf("there are %d", n)
		}
		return nil
	})
	// What is deleted by the application is deleted, after all of that.
	r.must(conn.Set(t.Context(), "product:long", `{"name":"long","price":3}`, 0).Err())
	r.must(conn.Del(t.Context(), "product:long").Err())
	rows("long short short short")
}
