// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/writebehind/operator/internal/flusher/config"
)

// The tables of capture Replication's run, one for each encoding, and late, whose mapping
// comes and goes.
const (
	products = "products"
	late     = "late"
	sessions = "sessions"
	views    = "views"
	scores   = "scores"
	events   = "events"
)

// isText tells whether a table's keys are strings, whose last value the stream tells.
func isText(table string) bool { return table == products || table == late || table == views }

// fields are those of a hash that sessions has columns for.
var fields = []string{"a", "b", "c"}

// prefixes begin the keys of each table.
var prefixes = map[string]string{products: "product:", late: "late:", sessions: "session:", views: "view:", scores: "board:", events: "event:"}

// selects read what a table has, as a key, a cell's name in it and its content.
var selects = map[string]string{
	products: "SELECT id, '', n::text FROM products", late: "SELECT id, '', n::text FROM late",
	sessions: "SELECT id, '', jsonb_build_array(a::text, b::text, c)::text FROM sessions",
	views:    "SELECT page, '', n::text FROM views", scores: "SELECT board, player, score::text FROM scores",
	events: "SELECT source, id, n::text FROM events",
}

// schemaSQL makes the tables, and the triggers that keep their history: a line for each
// statement, with the ledger's place that this very transaction has moved.
func schemaSQL() string {
	var sql strings.Builder
	sql.WriteString(`
CREATE TABLE products (id text PRIMARY KEY, n bigint NOT NULL, name text NOT NULL);
CREATE TABLE late (id text PRIMARY KEY, n bigint NOT NULL, name text NOT NULL);
CREATE TABLE sessions (id text PRIMARY KEY, a bigint, b bigint, c text);
CREATE TABLE views (page text PRIMARY KEY, n numeric);
CREATE TABLE scores (board text, player text, score double precision CHECK (score >= 0), PRIMARY KEY (board, player));
CREATE TABLE events (source text, id text, n bigint NOT NULL, PRIMARY KEY (source, id));
CREATE TABLE history (seq bigserial PRIMARY KEY, at timestamptz NOT NULL DEFAULT clock_timestamp(), "table" text NOT NULL, operation text NOT NULL,
  journal text, partition integer, epoch bigint, flush bigint, keys text[] NOT NULL, cells text[] NOT NULL, contents text[] NOT NULL);
`)
	for _, table := range []string{products, late, sessions, views, scores, events} {
		columns := strings.TrimSuffix(strings.TrimPrefix(selects[table], "SELECT "), " FROM "+table)
		fmt.Fprintf(&sql, `
CREATE FUNCTION remember_%[1]s() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO public.history ("table", operation, journal, partition, epoch, flush, keys, cells, contents)
  SELECT '%[1]s', TG_OP, l.journal, l.partition, l.epoch, l.flush, c.keys, c.cells, c.contents
  FROM (SELECT array_agg(key) AS keys, array_agg(cell) AS cells, array_agg(content) AS contents FROM (SELECT %[2]s FROM changed) c (key, cell, content)) c
  LEFT JOIN writebehind.ledger l ON l.xmin = pg_current_xact_id()::xid
  WHERE c.keys IS NOT NULL;
  RETURN NULL;
END $$;
CREATE TRIGGER inserted AFTER INSERT ON %[1]s REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION remember_%[1]s();
CREATE TRIGGER updated AFTER UPDATE ON %[1]s REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION remember_%[1]s();
CREATE TRIGGER deleted AFTER DELETE ON %[1]s REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION remember_%[1]s();
`, table, columns)
	}
	return sql.String()
}

// mappingsOf are those of the tables.
func mappingsOf(tables ...string) []config.Mapping {
	var all []config.Mapping
	for _, table := range tables {
		m := config.DefaultMapping()
		m.Name, m.KeyPrefix, m.Table, m.KeyColumn, m.Partitions = table, prefixes[table], "public."+table, "id", 4
		switch table {
		case sessions:
			m.Encoding = config.EncodingHash
		case views:
			m.Encoding, m.KeyColumn, m.ValueColumn = config.EncodingNumber, "page", "n"
		case scores:
			m.Encoding, m.KeyColumn, m.MemberColumn, m.ScoreColumn = config.EncodingSortedSet, "board", "player", "score"
		case events:
			m.Mode, m.Encoding, m.KeyColumn, m.IDColumn = config.ModeAppend, config.EncodingStream, "source", "id"
		}
		all = append(all, m)
	}
	return all
}

// cellsOfRow are the cells of one row. Of a removed one all are gone.
func cellsOfRow(table, cell, content string, removed bool) map[string]string {
	if table != sessions {
		if removed {
			content = gone
		}
		return map[string]string{cell: content}
	}
	var values []*string
	_ = json.Unmarshal([]byte(content), &values)
	cells := make(map[string]string)
	for i, field := range fields {
		if cells[field] = gone; !removed && i < len(values) && values[i] != nil {
			cells[field] = *values[i]
		}
	}
	return cells
}

// tableReader carries what has committed from the tables to the record of the keys, and
// removes what it has carried.
type tableReader struct {
	pool *pgxpool.Pool
	keys *keys
	// carried are lines that may still be in the table.
	carried map[int64]bool
	// seen gets the name of each life of a queue.
	seen func(journal string)
}

type tableLine struct {
	Seq                   int64
	At                    time.Time
	Table, Operation      string
	Journal               *string
	Partition             *int
	Epoch, Flush          *int64
	Keys, Cells, Contents []string
}

func (r *tableReader) run(ctx context.Context) {
	every(ctx, readInterval, func() {
		for n, err := r.read(ctx); err == nil && n == readAtOnce; n, err = r.read(ctx) {
		}
	})
}

// read carries some lines and returns how many it saw.
func (r *tableReader) read(ctx context.Context) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	rows, err := r.pool.Query(ctx, `SELECT seq, at, "table", operation, journal, partition, epoch, flush, keys, cells, contents FROM history ORDER BY seq LIMIT $1`, readAtOnce)
	if err != nil {
		return 0, err
	}
	lines, err := pgx.CollectRows(rows, pgx.RowToStructByPos[tableLine])
	if err != nil || len(lines) == 0 {
		return 0, err
	}
	if r.carried == nil {
		r.carried = make(map[int64]bool)
	}
	seen := make([]int64, len(lines))
	for i := range lines {
		seen[i] = lines[i].Seq
		if !r.carried[lines[i].Seq] {
			r.carried[lines[i].Seq] = true
			r.carry(&lines[i])
		}
	}
	// A deletion whose answer is lost may be repeated.
	if _, err := r.pool.Exec(ctx, "DELETE FROM history WHERE seq = ANY($1)", seen); err != nil {
		return 0, err
	}
	clear(r.carried)
	return len(lines), nil
}

func (r *tableReader) carry(l *tableLine) {
	var at place
	if l.Epoch != nil {
		at = place{journal: *l.Journal, partition: *l.Partition, epoch: *l.Epoch, flush: *l.Flush}
		r.seen(*l.Journal)
	}
	// A partition is that of one queue.
	inLedger := at
	inLedger.journal = l.Table + " " + at.journal
	r.keys.order.advance(inLedger, int64(len(l.Keys)))
	removed := l.Operation == "DELETE"
	r.keys.mu.Lock()
	r.keys.committed += int64(len(l.Keys))
	if removed {
		r.keys.removed += int64(len(l.Keys))
	}
	r.keys.mu.Unlock()
	for i, key := range l.Keys {
		if l.Table == events {
			r.carryEntry(l, i, at)
			continue
		}
		k := r.keys.find(l.Table, key)
		if k == nil {
			r.keys.findings.add(phantom, "%s %s was never written, and committed at %v", l.Table, key, at)
			continue
		}
		r.keys.changed(k, l.At.UnixMicro(), at, cellsOfRow(l.Table, l.Cells[i], l.Contents[i], removed))
	}
}

func (r *tableReader) carryEntry(l *tableLine, i int, at place) {
	if l.Operation != "INSERT" {
		r.keys.findings.add(wrong, "entry %s of stream %s met %s at %v", l.Cells[i], l.Keys[i], l.Operation, at)
		return
	}
	var number int64
	_, _ = fmt.Sscan(l.Contents[i], &number)
	r.keys.entries.committed(l.Keys[i], l.Cells[i], number, at)
}

// finish carries everything that is left.
func (r *tableReader) finish(ctx context.Context) error {
	for {
		if n, err := r.read(ctx); err != nil || n == 0 {
			return err
		}
	}
}

// rowsOf are all rows of a table, as cells by key.
func rowsOf(ctx context.Context, pool *pgxpool.Pool, table string) (map[string]map[string]string, error) {
	rows, err := pool.Query(ctx, selects[table])
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all := make(map[string]map[string]string)
	for rows.Next() {
		var key, cell, content string
		if err := rows.Scan(&key, &cell, &content); err != nil {
			return nil, err
		}
		if all[key] == nil {
			all[key] = make(map[string]string)
		}
		for name, is := range cellsOfRow(table, cell, content, false) {
			if is != gone {
				all[key][name] = is
			}
		}
	}
	return all, rows.Err()
}
