// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// barrierKeys is how many keys of each table are written with WAIT.
const barrierKeys = 20

// waits writes one key after another, each with WAIT behind it, until the context ends.
// Where one replica is said to have it, the row is there: no other replica is, but for a
// fail-over's.
func (s *streamed) waits(ctx context.Context, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 99))
	client := s.app.client(1, -1)
	defer client.Close()
	all := make(map[string][]*tracked)
	for _, table := range []string{products, sessions, views, scores} {
		for i := range barrierKeys {
			all[table] = append(all[table], s.keys.add(table, fmt.Sprintf("barrier%d", i), false))
		}
	}
	for ctx.Err() == nil {
		table := []string{products, sessions, views, scores}[random.IntN(4)]
		k := all[table][random.IntN(barrierKeys)]
		if err := s.barrier(ctx, client, k, random.IntN(5) == 0); err != nil {
			hold(ctx, 100*time.Millisecond)
		}
	}
}

// barrier writes a key, waits, and looks at its row.
func (s *streamed) barrier(ctx context.Context, client *redis.Client, k *tracked, deletes bool) error {
	server := context.WithoutCancel(ctx)
	conn := client.Conn()
	defer func() { _ = conn.Close() }()
	n := s.app.numbers.Add(1)
	content := strconv.FormatInt(n, 10)
	var c *command
	cell := ""
	switch {
	case deletes:
		c, content = s.app.deletes(k, "DEL"), gone
		if k.table == sessions {
			cell = "a"
		} else if k.table == scores {
			cell = "p"
		}
	case k.table == products:
		c = s.app.of(k, stroke{number: n, cells: sets(n)}, "SET", documentOf(n))
	case k.table == sessions:
		c, cell = s.app.of(k, stroke{number: n, cells: map[string]string{"a": content}}, "HSET", "a", content), "a"
	case k.table == views:
		c = s.app.of(k, stroke{number: n, cells: sets(n)}, "SET", n)
	default:
		c, cell = s.app.of(k, stroke{number: n, cells: map[string]string{"p": content}}, "ZADD", n, "p"), "p"
	}
	s.app.gate.RLock()
	s.app.sent(c)
	text, err := textOf(conn.Do(server, c.args...))
	s.app.record(c, text, err)
	// A Redis to which no replica has come since it started counts no bytes, and what was
	// written then waits for none.
	counted, _ := conn.Info(server, "replication").Result()
	lossesBefore := s.app.comeBacks.Load()
	s.app.gate.RUnlock()
	if err != nil || deletes && text == "0" || numberIn(counted, "master_repl_offset:") == 0 {
		return err
	}
	replicas := int(s.app.replicas.Load())
	waited, err := wait(server, conn, replicas+1)
	if err != nil || waited <= replicas || replicas != int(s.app.replicas.Load()) {
		s.app.barriersUnanswered.Add(1)
		return errors.Join(err, errNobodyReads)
	}
	s.app.barriers.Add(1)
	at := time.Now()
	var comes map[string]string
	var dead int
	err = await(server, flowTime, func(ctx context.Context) error {
		row, err := s.rowOf(ctx, k)
		if err != nil {
			return err
		}
		comes = row
		return s.db.Pool().QueryRow(ctx, "SELECT count(*) FROM writebehind.dead_letter WHERE queue = $1 AND key = convert_to($2, 'UTF8')",
			k.table, prefixes[k.table]+k.key).Scan(&dead)
	})
	if err != nil {
		s.findings.add(harness, "look at %v: %v", k, err)
		return nil
	}
	if orGone(comes, cell) != content && dead == 0 && s.app.comeBacks.Load() == lossesBefore {
		s.findings.add(untold, "%v: WAIT says at %v that write %d is in the database, where cell %q is %s instead of %s; before, Redis said %q",
			k, at.Format("15:04:05.000"), n, cell, orGone(comes, cell), content, counted)
	}
	return nil
}

// barrierTime is how long a write waits for its row.
const barrierTime = 2 * time.Second

// wait is WAITAOF, or WAIT where the server knows none. It returns how many replicas have
// what the connection wrote.
func wait(ctx context.Context, conn *redis.Conn, replicas int) (int, error) {
	counts, err := conn.Do(ctx, "WAITAOF", 0, replicas, barrierTime.Milliseconds()).Int64Slice()
	if err == nil && len(counts) == 2 {
		return int(counts[1]), nil
	}
	var said redis.Error
	if err != nil && !errors.As(err, &said) {
		return 0, err
	}
	n, err := conn.Wait(ctx, replicas, barrierTime).Result()
	return int(n), err
}

// rowOf are the cells of one key.
func (s *streamed) rowOf(ctx context.Context, k *tracked) (map[string]string, error) {
	column := map[string]string{products: "id", late: "id", sessions: "id", views: "page", scores: "board"}[k.table]
	rows, err := s.db.Pool().Query(ctx, selects[k.table]+" WHERE "+column+" = $1", k.key)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all := make(map[string]string)
	for rows.Next() {
		var key, cell, content string
		if err := rows.Scan(&key, &cell, &content); err != nil {
			return nil, err
		}
		for name, is := range cellsOfRow(k.table, cell, content, false) {
			if is != gone {
				all[name] = is
			}
		}
	}
	return all, rows.Err()
}
