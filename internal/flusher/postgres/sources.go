// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/writebehind/operator/internal/flusher/entry"
	"github.com/writebehind/operator/internal/flusher/replica"
)

// The tables within the ledger's schema that keep what is known of sources.
const (
	sourceTable = "source"
	retryTable  = "retry"
	letterTable = "dead_letter"
)

// sourceRecords are the tables of sources. Keys, members and what was written are bytes:
// Redis takes any, and a database takes no text that is not of its encoding. An index
// takes no row of more than 2.7 kB, so that names are found by their hashes.
func sourceRecords(schema string) []record {
	const named = "source text, queue text, key_hash bytea, member_hash bytea, key bytea, member bytea, "
	key := []string{"source", "queue", "key_hash", "member_hash"}
	rights := []string{"SELECT", "INSERT", "UPDATE"}
	records := []record{
		{
			what: "the table of sources", kind: "a flusher's table of sources", name: sourceTable,
			columns: typed("name text, member text, epoch int8, leased_at timestamptz, lease interval, history int8, replication_id text, " +
				"position int8, database int4, scanned _bytea, witness int8, counts jsonb, requests int8"),
			key: []string{"name"}, rights: rights,
		},
		{
			what: "the table of retries", kind: "a flusher's table of retries", name: retryTable,
			columns: typed(named + "word int4, attempts int4, first_refused timestamptz, due timestamptz, history int8, position int8"),
			key:     key, rights: append(slices.Clip(rights), "DELETE"),
		},
		{
			what: "the table of dead letters", kind: "a flusher's table of dead letters", name: letterTable,
			columns: typed(named + "operation text, version int8, attempts int4, cause text, sqlstate text, constraint_name text, " +
				"column_name text, message bytea, first_failure timestamptz, last_failure timestamptz, payload bytea, asked bool"),
			key: key, rights: append(slices.Clip(rights), "DELETE"),
		},
	}
	for i := range records {
		records[i].table = pgx.Identifier{schema, records[i].name}.Sanitize()
		records[i].create = records[i].definition()
	}
	return records
}

// definition makes the table of its columns. The catalogue calls an array by the name of
// its elements and an underscore. A source is written once a second: a page that is mostly
// empty takes the new version beside the old one.
func (r *record) definition() string {
	var sql strings.Builder
	fmt.Fprintf(&sql, "CREATE TABLE IF NOT EXISTS %s (\n", r.table)
	for _, c := range r.columns {
		element, array := strings.CutPrefix(c[1], "_")
		if array {
			element += "[]"
		}
		fmt.Fprintf(&sql, "  %s pg_catalog.%s NOT NULL,\n", pgx.Identifier{c[0]}.Sanitize(), element)
	}
	fmt.Fprintf(&sql, "  PRIMARY KEY (%s)\n)", strings.Join(r.key, ", "))
	if r.name == sourceTable {
		sql.WriteString(" WITH (fillfactor = 10)")
	}
	return sql.String()
}

// Sources keeps in the database what is known of sources: who reads one, how far it was
// carried, and what became of entries that are no rows. It needs Settings.Sources.
type Sources struct {
	database   *Database
	statements sourceStatements
}

// Sources is what the database keeps of sources.
func (d *Database) Sources() *Sources {
	return &Sources{d, newSourceStatements(d.settings.LedgerSchema)}
}

// sourceStatements are the statements with the tables' names filled in.
type sourceStatements struct {
	lease, hold, release, position, move, history string
	read, goneRetries, goneLetters, retry         string
	goneKeysRetries, goneKeysLetters              string
	letter, aside, dead, letters, whole           string
	unasked, request, waits, ask, discard         string
	retriesOf, lettersOf, reader, reread, rereads string
	unaskedRereads                                string
}

func newSourceStatements(schema string) sourceStatements {
	table := func(name string) string { return pgx.Identifier{schema, name}.Sanitize() }
	// A time that no document can tell, as somebody may have put into a row by hand, must not keep
	// the other rows from being read: such a one is the beginning of 1970.
	told := func(column string) string {
		return "CASE WHEN " + column + " BETWEEN '0001-01-02 00:00:00+00'::pg_catalog.timestamptz AND '9999-12-30 00:00:00+00'::pg_catalog.timestamptz THEN " + column +
			" ELSE 'epoch'::pg_catalog.timestamptz END"
	}
	fill := strings.NewReplacer("{first}", told("first_failure"), "{last}", told("last_failure"), "{refused}", told("first_refused"), "{due}", told("due"),
		"{reread}", "'"+replica.OperationReread+"'", "{source}", table(sourceTable), "{retry}", table(retryTable), "{letter}", table(letterTable), "{now}", epochOfNow,
		// A name is hashed once, and not again for each row that it is compared with.
		"{names}", `WITH names AS MATERIALIZED (SELECT n.queue, pg_catalog.sha256(n.key) AS key_hash, pg_catalog.sha256(n.member) AS member_hash
FROM ROWS FROM (pg_catalog.unnest($2::pg_catalog.text[]), pg_catalog.unnest($3::pg_catalog.bytea[]), pg_catalog.unnest($4::pg_catalog.bytea[])) n (queue, key, member)) `,
		"{hash}", "pg_catalog.sha256", "{one}", `source = $1::pg_catalog.text AND queue = $2::pg_catalog.text
  AND key_hash = pg_catalog.sha256($3::pg_catalog.bytea) AND member_hash = pg_catalog.sha256($4::pg_catalog.bytea)`).Replace
	s := sourceStatements{
		// A clock that was set back, as that of another server may be, must not make a lease
		// longer than it was given: one that begins later than it lasts is over.
		lease: fill(`INSERT INTO {source} AS s
(name, member, epoch, leased_at, lease, history, replication_id, position, database, scanned, witness, counts, requests)
VALUES ($1::pg_catalog.text, $2::pg_catalog.text, {now}, pg_catalog.clock_timestamp(), $3::pg_catalog.int8 * interval '1 microsecond',
  0, '', 0, 0, '{}', 0, '{}', 0)
ON CONFLICT (name) DO UPDATE SET epoch = CASE WHEN s.member = excluded.member THEN s.epoch ELSE greatest(s.epoch + 1, {now}) END,
  member = excluded.member, leased_at = excluded.leased_at, lease = excluded.lease
WHERE s.member = excluded.member OR s.member = ''
  OR NOT (pg_catalog.clock_timestamp() < s.leased_at + s.lease AND pg_catalog.clock_timestamp() > s.leased_at - s.lease)`),
		hold:    fill(`SELECT member, epoch, requests FROM {source} WHERE name = $1::pg_catalog.text`),
		release: fill(`UPDATE {source} SET member = '' WHERE name = $1::pg_catalog.text AND epoch = $2::pg_catalog.int8`),
		position: fill(`SELECT history, replication_id, position, database, scanned, witness, counts::pg_catalog.text
FROM {source} WHERE name = $1::pg_catalog.text`),
		move: fill(`UPDATE {source} SET history = $3::pg_catalog.int8, replication_id = $4::pg_catalog.text, position = $5::pg_catalog.int8,
  database = $6::pg_catalog.int4, scanned = $7::pg_catalog.bytea[], witness = $8::pg_catalog.int8, counts = $9::pg_catalog.jsonb
WHERE name = $1::pg_catalog.text AND epoch = $2::pg_catalog.int8 AND member <> ''`),
		// The source without a name counts the histories of all. No number may come again with
		// a table that was emptied or put back from a backup: offsets of two histories must not
		// be compared.
		history: fill(`INSERT INTO {source} AS s
(name, member, epoch, leased_at, lease, history, replication_id, position, database, scanned, witness, counts, requests)
VALUES ('', '', 0, pg_catalog.now(), interval '0', {now}, '', 0, 0, '{}', 0, '{}', 0)
ON CONFLICT (name) DO UPDATE SET history = greatest(s.history + 1, {now})
RETURNING history`),
		// Whoever takes the source over waits until this transaction has ended, and so does the
		// next one that settles: its caller may have given up the answer to this one.
		read: fill(`SELECT FROM {source} WHERE name = $1::pg_catalog.text AND epoch = $2::pg_catalog.int8 AND member <> '' FOR NO KEY UPDATE`),
		retry: fill(`INSERT INTO {retry}
(source, queue, key_hash, member_hash, key, member, word, attempts, first_refused, due, history, position)
SELECT $1::pg_catalog.text, n.queue, {hash}(n.key), {hash}(n.member), n.key, n.member, n.word, n.attempts, n.first_refused, n.due, n.history, n.position
FROM ROWS FROM (pg_catalog.unnest($2::pg_catalog.text[]), pg_catalog.unnest($3::pg_catalog.bytea[]), pg_catalog.unnest($4::pg_catalog.bytea[]),
  pg_catalog.unnest($5::pg_catalog.int4[]), pg_catalog.unnest($6::pg_catalog.int4[]),
  pg_catalog.unnest($7::pg_catalog.timestamptz[]), pg_catalog.unnest($8::pg_catalog.timestamptz[]),
  pg_catalog.unnest($9::pg_catalog.int8[]), pg_catalog.unnest($10::pg_catalog.int8[]))
  n (queue, key, member, word, attempts, first_refused, due, history, position)
ON CONFLICT (source, queue, key_hash, member_hash) DO UPDATE SET word = excluded.word, attempts = excluded.attempts, first_refused = excluded.first_refused,
  due = excluded.due, history = excluded.history, position = excluded.position`),
		letter: fill(`WITH earlier AS (SELECT l.version FROM {letter} l
  WHERE l.source = $1::pg_catalog.text AND l.queue = $2::pg_catalog.text AND l.key_hash = {hash}($3::pg_catalog.bytea) AND l.member_hash = {hash}($4::pg_catalog.bytea)
    AND l.operation <> {reread})
INSERT INTO {letter} AS l (source, queue, key_hash, member_hash, key, member, operation, version, attempts, cause, sqlstate,
  constraint_name, column_name, message, first_failure, last_failure, payload, asked)
VALUES ($1::pg_catalog.text, $2::pg_catalog.text, {hash}($3::pg_catalog.bytea), {hash}($4::pg_catalog.bytea), $3::pg_catalog.bytea, $4::pg_catalog.bytea,
  $5::pg_catalog.text, $6::pg_catalog.int8, $7::pg_catalog.int4, $8::pg_catalog.text, $9::pg_catalog.text,
  $10::pg_catalog.text, $11::pg_catalog.text, $12::pg_catalog.bytea, $13::pg_catalog.timestamptz, $14::pg_catalog.timestamptz, $15::pg_catalog.bytea, false)
ON CONFLICT (source, queue, key_hash, member_hash) DO UPDATE SET operation = excluded.operation, version = excluded.version,
  attempts = excluded.attempts, cause = excluded.cause, sqlstate = excluded.sqlstate, constraint_name = excluded.constraint_name,
  column_name = excluded.column_name, message = excluded.message, first_failure = excluded.first_failure,
  last_failure = excluded.last_failure, payload = excluded.payload, asked = false
RETURNING coalesce((SELECT e.version <> l.version FROM earlier e), false)`),
		aside: fill(`SELECT queue, key, member, word, attempts, {refused}, {due}, history, position FROM {retry}
WHERE source = $1::pg_catalog.text ORDER BY queue COLLATE pg_catalog."C", key, member`),
		dead: fill(`SELECT queue, pg_catalog.count(*) FROM {letter} WHERE source = $1::pg_catalog.text AND operation <> {reread} GROUP BY queue`),
		letters: fill(`SELECT key, member, operation, version, attempts, cause, sqlstate, constraint_name, column_name, message, {first}, {last}, asked, ''::pg_catalog.bytea
FROM {letter} WHERE source = $1::pg_catalog.text AND queue = $2::pg_catalog.text AND (key, member) > ($3::pg_catalog.bytea, $4::pg_catalog.bytea)
ORDER BY key, member LIMIT $5::pg_catalog.int8`),
		whole: fill(`SELECT key, member, operation, version, attempts, cause, sqlstate, constraint_name, column_name, message, {first}, {last}, asked, payload
FROM {letter} WHERE {one}`),
		unasked: fill(`{names}UPDATE {letter} r SET asked = false FROM names n
WHERE r.source = $1::pg_catalog.text AND r.queue = n.queue AND r.key_hash = n.key_hash AND r.member_hash = n.member_hash`),
		request: fill(`UPDATE {source} SET requests = requests + 1 WHERE name = $1::pg_catalog.text`),
		waits:   fill(`SELECT EXISTS (SELECT FROM {retry} WHERE {one})`),
		ask:     fill(`UPDATE {letter} SET asked = true WHERE {one} AND version = $5::pg_catalog.int8`),
		discard: fill(`DELETE FROM {letter} WHERE {one} AND version = $5::pg_catalog.int8`),
	}
	const ofKeys = ` WHERE source = $1::pg_catalog.text AND queue = $2::pg_catalog.text
  AND key_hash IN (SELECT pg_catalog.sha256(k) FROM pg_catalog.unnest($3::pg_catalog.bytea[]) k) ORDER BY key, member`
	s.reread = fill(`INSERT INTO {letter} AS l (source, queue, key_hash, member_hash, key, member, operation, version, attempts, cause, sqlstate,
  constraint_name, column_name, message, first_failure, last_failure, payload, asked)
SELECT $1::pg_catalog.text, $2::pg_catalog.text, {hash}(k), {hash}(''::pg_catalog.bytea), k, '', {reread}, 0, 0, '', '', '', '', '',
  pg_catalog.clock_timestamp(), pg_catalog.clock_timestamp(), '', true
FROM pg_catalog.unnest($3::pg_catalog.bytea[]) k
WHERE NOT EXISTS (SELECT FROM {letter} a WHERE a.source = $1::pg_catalog.text AND a.queue = $2::pg_catalog.text AND a.key_hash = {hash}(k))
  AND NOT EXISTS (SELECT FROM {retry} a WHERE a.source = $1::pg_catalog.text AND a.queue = $2::pg_catalog.text AND a.key_hash = {hash}(k))
ON CONFLICT DO NOTHING RETURNING l.key`)
	s.rereads = fill(`SELECT pg_catalog.count(*) FROM {letter} WHERE source = $1::pg_catalog.text AND operation = {reread}`)
	s.reader = fill(`SELECT member, epoch, leased_at + lease, pg_catalog.clock_timestamp() FROM {source} WHERE name = $1::pg_catalog.text`)
	s.retriesOf = fill(`SELECT queue, key, member, word, attempts, {refused}, {due}, history, position FROM {retry}` + ofKeys)
	s.lettersOf = fill(`SELECT key, member, operation, version, attempts, cause, sqlstate, constraint_name, column_name, message, {first}, {last}, asked, ''::pg_catalog.bytea
FROM {letter}` + ofKeys)
	// One statement for both would look through all members of a key for each of them.
	gone := func(table, member string) string {
		return fill(`{names}DELETE FROM ` + table + ` r USING names n
WHERE r.source = $1::pg_catalog.text AND r.queue = n.queue AND r.key_hash = n.key_hash` + member)
	}
	// What stands for a Reread is no dead letter, and is not counted.
	letters := func(member string) string {
		return strings.TrimSuffix(fill(`{names}`), " ") + fill(`, gone AS (DELETE FROM {letter} r USING names n
WHERE r.source = $1::pg_catalog.text AND r.queue = n.queue AND r.key_hash = n.key_hash`+member+` RETURNING r.operation)
SELECT pg_catalog.count(*) FROM gone WHERE operation <> {reread}`)
	}
	const one = " AND r.member_hash = n.member_hash"
	s.goneRetries, s.goneLetters = gone("{retry}", one), letters(one)
	s.goneKeysRetries, s.goneKeysLetters = gone("{retry}", ""), letters("")
	s.unaskedRereads = gone("{letter}", one+" AND r.operation = {reread}")
	return s
}

// keep runs one short transaction on the connection of its own: neither batches nor looks
// are in the way of a lease.
func (s *Sources) keep(ctx context.Context, action string, f func(context.Context, *pgx.Conn) error) error {
	d := s.database
	// As for a batch, a file that cannot be read says nothing of another URL.
	_ = d.follow(d.urlAge)
	ctx, cancel := context.WithTimeout(ctx, d.probeTimeout)
	defer cancel()
	err := d.keeper.use(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		err := inspect(ctx, conn, d.inspectTimeout(), func() error { return f(ctx, conn) })
		return replicated(conn.PgConn(), err)
	})
	if cancelled(err) {
		err = tooSlow(err, d.inspectTimeout())
	}
	return s.failure(action, err)
}

// failure makes the error a fault of the server: no batch is at fault, and Check sees to
// it. A reader that was replaced is none.
func (s *Sources) failure(action string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, replica.ErrDeposed):
		return replica.ErrDeposed
	case errors.Is(err, entry.ErrSuperseded):
		return entry.ErrSuperseded
	}
	return s.database.ownFailure(failure(action, err, stageNone), "the tables of sources in the schema "+s.database.ledger.schema)
}

// Lease makes the member the source's reader, or tells who reads it.
func (s *Sources) Lease(ctx context.Context, source, member string, ttl time.Duration) (replica.Hold, error) {
	var hold replica.Hold
	err := s.keep(ctx, "lease the source", func(ctx context.Context, conn *pgx.Conn) error {
		if _, err := conn.Exec(ctx, s.statements.lease, source, member, ttl.Microseconds()); err != nil {
			return err
		}
		return conn.QueryRow(ctx, s.statements.hold, source).Scan(&hold.Member, &hold.Epoch, &hold.Requests)
	})
	return hold, err
}

// Release ends the lease of the epoch.
func (s *Sources) Release(ctx context.Context, source string, epoch int64) error {
	return s.keep(ctx, "release the source", func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, s.statements.release, source, epoch)
		return err
	})
}

// counts are a position's numbers by queue, as the table has them.
type counts struct {
	Told      string           `json:"told,omitempty"`
	Losses    map[string]int64 `json:"losses,omitempty"`
	Writes    map[string]int64 `json:"writes,omitempty"`
	Coalesced map[string]int64 `json:"coalesced,omitempty"`
	Flushed   map[string]int64 `json:"flushed,omitempty"`
}

// Position reads how far the source was carried.
func (s *Sources) Position(ctx context.Context, source string) (replica.Position, error) {
	var p replica.Position
	var scanned [][]byte
	var text string
	err := s.keep(ctx, "read the source's position", func(ctx context.Context, conn *pgx.Conn) error {
		err := conn.QueryRow(ctx, s.statements.position, source).Scan(
			&p.History, &p.ReplicationID, &p.Offset, &p.Database, &scanned, &p.Witness, &text)
		if errors.Is(err, pgx.ErrNoRows) {
			text = "{}"
			return nil
		}
		return err
	})
	if err != nil {
		return replica.Position{}, err
	}
	var c counts
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		return replica.Position{}, s.failure("read the source's position", fmt.Errorf("its counts: %w", err))
	}
	p.Told, p.Losses, p.Writes, p.Coalesced, p.Flushed = c.Told, c.Losses, c.Writes, c.Coalesced, c.Flushed
	for _, mapping := range scanned {
		p.Scanned = append(p.Scanned, string(mapping))
	}
	return p, nil
}

// Move writes the position for the source's reader.
func (s *Sources) Move(ctx context.Context, source string, epoch int64, to replica.Position) error {
	scanned := make([][]byte, len(to.Scanned))
	for i, mapping := range to.Scanned {
		scanned[i] = []byte(mapping)
	}
	text, err := json.Marshal(counts{to.Told, to.Losses, to.Writes, to.Coalesced, to.Flushed})
	if err != nil {
		return s.failure("move the source", err)
	}
	return s.keep(ctx, "move the source", func(ctx context.Context, conn *pgx.Conn) error {
		tag, err := conn.Exec(ctx, s.statements.move, source, epoch,
			to.History, to.ReplicationID, to.Offset, to.Database, scanned, to.Witness, string(text))
		if err == nil && tag.RowsAffected() == 0 {
			return replica.ErrDeposed
		}
		return err
	})
}

// NextHistory mints the number of a new history.
func (s *Sources) NextHistory(ctx context.Context) (history int64, err error) {
	err = s.keep(ctx, "begin a history", func(ctx context.Context, conn *pgx.Conn) error {
		return conn.QueryRow(ctx, s.statements.history).Scan(&history)
	})
	return history, err
}
