// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	// readInterval is how often the history is read while a run goes on.
	readInterval = 250 * time.Millisecond
	// readAtOnce is how many lines of history are read in one statement.
	readAtOnce = 500
)

// reader carries what has committed from the table to the history, and removes what
// it has carried so that a long run stays small. The lines of one key are numbered in
// the order of their commits, since a row stays locked until its transaction ends; and
// a line that is visible is so with all that committed before it.
type reader struct {
	pool    *pgxpool.Pool
	history *history
	// carried are lines that may still be in the table.
	carried map[int64]bool
}

// run reads until the context ends. The database may be away.
func (r *reader) run(ctx context.Context) {
	every(ctx, readInterval, func() {
		for n, err := r.read(ctx); err == nil && n == readAtOnce; n, err = r.read(ctx) {
		}
	})
}

type line struct {
	Seq       int64
	Removed   bool
	Journal   *string
	Partition *int
	Epoch     *int64
	Flush     *int64
	IDs       []int64
	Numbers   []int64
}

// read carries some lines and returns how many it saw.
func (r *reader) read(ctx context.Context) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	lines, err := r.lines(ctx)
	if err != nil || len(lines) == 0 {
		return 0, err
	}
	if r.carried == nil {
		r.carried = make(map[int64]bool)
	}
	seen := make([]int64, len(lines))
	for i, l := range lines {
		seen[i] = l.Seq
		if r.carried[l.Seq] {
			continue
		}
		r.carried[l.Seq] = true
		var at place
		if l.Epoch != nil {
			at = place{journal: *l.Journal, partition: *l.Partition, epoch: *l.Epoch, flush: *l.Flush}
		}
		r.history.batchOf(l.Removed, at, l.IDs, l.Numbers)
	}
	// A deletion whose answer is lost may be repeated.
	if _, err := r.pool.Exec(ctx, "DELETE FROM history WHERE seq = ANY($1)", seen); err != nil {
		return 0, err
	}
	clear(r.carried)
	return len(lines), nil
}

func (r *reader) lines(ctx context.Context) ([]line, error) {
	rows, err := r.pool.Query(ctx, `SELECT seq, removed, journal, partition, epoch, flush, ids, numbers FROM history ORDER BY seq LIMIT $1`, readAtOnce)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var lines []line
	for rows.Next() {
		var l line
		if err := rows.Scan(&l.Seq, &l.Removed, &l.Journal, &l.Partition, &l.Epoch, &l.Flush, &l.IDs, &l.Numbers); err != nil {
			return nil, err
		}
		lines = append(lines, l)
	}
	return lines, rows.Err()
}

// finish carries everything that is left.
func (r *reader) finish(ctx context.Context) error {
	for {
		if n, err := r.read(ctx); err != nil || n == 0 {
			return err
		}
	}
}
