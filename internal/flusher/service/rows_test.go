// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package service_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/writebehind/operator/test/programs"
)

// rowsOfCommands are what commands make of rows beyond what the keys are: what stays, what is
// written in another way, and what others have done to a row.
var rowsOfCommands = map[string]struct {
	// before is carried before the rest is given. A word in brackets is SQL.
	before, then []string
	query, rows  string
}{
	"UNLINK leaves the row": {
		[]string{`SET product:a {"name":"a"}`, "HSET session:a name a"},
		[]string{"UNLINK product:a session:a"},
		"SELECT name FROM products UNION ALL SELECT name FROM sessions", "a a",
	},
	"a time to live that is past leaves the row": {
		[]string{`SET product:a {"name":"a"}`, `SET product:b {"name":"b"}`, "ZADD board:a 1 x"},
		[]string{"EXPIRE product:a -1", "GETEX product:b PXAT 1", "EXPIREAT board:a 1"},
		"SELECT name FROM products UNION ALL SELECT player FROM scores", "a b x",
	},
	"a time to live is nothing of a row": {
		[]string{"INCRBY views:a 5"},
		[]string{"EXPIRE views:a 100", "PERSIST views:a", "TOUCH views:a"},
		"SELECT n FROM views", "5",
	},
	"FLUSHALL deletes no row": {
		[]string{`SET product:a {"name":"a"}`, "HSET session:a name a", "INCR views:a", "ZADD board:a 1 x", "XADD events:a 1-1 kind k"},
		[]string{"FLUSHALL", `SET product:b {"name":"b"}`},
		"SELECT name FROM products UNION ALL SELECT name FROM sessions UNION ALL SELECT page FROM views UNION ALL SELECT player FROM scores UNION ALL SELECT kind FROM events",
		"a a a b k x",
	},
	"entries of a stream only come": {
		[]string{"XADD events:a 1-1 kind k1", "XADD events:a 2-1 kind k2", "XADD events:a 3-1 kind k3"},
		[]string{"XDEL events:a 1-1", "XTRIM events:a MAXLEN 1", "XADD events:a MAXLEN 1 4-1 kind k4", "DEL events:a", "XADD events:a 5-1 kind k5"},
		"SELECT kind FROM events", "k1 k2 k3 k4 k5",
	},
	"DEL deletes each row of a board": {
		[]string{"ZADD board:a 1 x 2 y", "ZADD board:b 3 z"},
		[]string{"DEL board:a"},
		"SELECT player FROM scores", "z",
	},
	"the last member takes the board along": {
		[]string{"ZADD board:a 1 x 2 y"},
		[]string{"ZREM board:a x", "ZPOPMIN board:a"},
		"SELECT count(*) FROM scores", "0",
	},
	"the last field takes the row along": {
		[]string{"HSET session:a name a visits 1"},
		[]string{"HDEL session:a name visits"},
		"SELECT count(*) FROM sessions", "0",
	},
	"a field that is gone gives its column the default": {
		[]string{"[ALTER TABLE sessions ALTER visits SET DEFAULT 7]", "HSET session:a name a visits 1"},
		[]string{"HDEL session:a visits"},
		"SELECT name || visits FROM sessions", "a7",
	},
	"a field writes its own column": {
		[]string{"HSET session:a name a visits 1", "[UPDATE sessions SET name = 'theirs']"},
		[]string{"HINCRBY session:a visits 1"},
		"SELECT name || visits FROM sessions", "theirs2",
	},
	"a column that a document does not name stays": {
		[]string{`SET product:a {"name":"a","price":1}`, "[UPDATE products SET price = 9]"},
		[]string{`SET product:a {"name":"b"}`},
		"SELECT name || price FROM products", "b9",
	},
	"what others did to a row goes with the next write": {
		[]string{"INCR views:a", "[UPDATE views SET n = 1000]"},
		[]string{"INCR views:a"},
		"SELECT n FROM views", "2",
	},
	"a number with an exponent is written out": {
		[]string{"[ALTER TABLE views ALTER n TYPE bigint]"},
		[]string{"SET views:a 1e+5", "SET views:b 1.5e3"},
		"SELECT n FROM views", "100000 1500",
	},
	"RENAME moves the row": {
		[]string{`SET product:a {"name":"a"}`},
		[]string{"RENAME product:a product:b"},
		"SELECT id || name FROM products", "ba",
	},
	"another type takes the row's place as a dead letter, until it is right again": {
		[]string{`SET product:a {"name":"a"}`},
		[]string{"DEL product:a", "LPUSH product:a x", "DEL product:a", `SET product:a {"name":"b"}`},
		"SELECT name || (SELECT count(*) FROM writebehind.dead_letter) FROM products", "b0",
	},
}

// TestWhatRowsHold gives the commands on one connection, and waits each time until what they
// have done is carried.
func TestWhatRowsHold(t *testing.T) {
	t.Parallel()
	for name, c := range rowsOfCommands {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := startReplicated(t)
			// A row whose key is not there stays.
			r.Database.Exec(t, "INSERT INTO products VALUES ('orphan')")
			f, _ := r.flush()
			programs.Usual.Eventually(t, "a flusher that reads", func() error {
				if now := f.Status().Replication; now == nil || !now.Attached || !now.Scanned {
					return fmt.Errorf("%+v", now)
				}
				return nil
			})
			conn := r.app.Conn()
			defer func() { _ = conn.Close() }()
			r.carry(conn, c.before)
			r.carry(conn, c.then)
			if got := strings.Join(r.Database.Column(t, "SELECT t::text FROM ("+strings.ReplaceAll(c.query, "FROM products", "FROM (SELECT * FROM products WHERE id <> 'orphan') p")+
				") t (t) ORDER BY 1"), " "); got != c.rows {
				t.Errorf("the rows are %q, want %q", got, c.rows)
			}
			if got := r.Database.Value(t, "SELECT count(*) FROM products WHERE id = 'orphan'"); got != "1" {
				t.Errorf("%s rows are left of a key that never was there", got)
			}
			if notice, flushed := f.Status().Replication.Notice, strings.Contains(strings.Join(c.then, " "), "FLUSHALL"); flushed != strings.Contains(notice, "FLUSHALL") {
				t.Errorf("the notice is %q", notice)
			}
		})
	}
}

// carry gives commands, and SQL, and waits until all of it is carried.
func (r *replicated) carry(conn *redis.Conn, commands []string) {
	r.t.Helper()
	for _, command := range commands {
		if sql, isSQL := strings.CutPrefix(command, "["); isSQL {
			n, err := conn.Wait(r.t.Context(), 1, programs.Usual.Limit).Result()
			if err != nil || n != 1 {
				r.t.Fatalf("WAIT before %s answers %d, %v", command, n, err)
			}
			r.Database.Exec(r.t, strings.TrimSuffix(sql, "]"))
			continue
		}
		r.must(conn.Do(r.t.Context(), wordsOf(command, "", nil)...).Err())
	}
	if n, err := conn.Wait(r.t.Context(), 1, programs.Usual.Limit).Result(); err != nil || n != 1 {
		r.t.Fatalf("WAIT answers %d, %v", n, err)
	}
}
