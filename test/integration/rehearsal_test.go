// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/writebehind/operator/internal/flusher/postgres/postgrestest"
	"github.com/writebehind/operator/test/programs"
)

// rehearsal is a stack whose flushers reach both servers through one wire.
type rehearsal struct {
	*stack
	// whole is the test of all cases, which the flushers live as long as.
	whole   *testing.T
	wire    *wire
	flusher *programs.Flusher
	// next is the first key of the next case.
	next int64
}

const historyOfProducts = `CREATE TABLE history (n bigserial, id bigint, op text, stock integer);
	CREATE FUNCTION remember() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		IF TG_OP = 'DELETE' THEN INSERT INTO history (id, op, stock) VALUES (OLD.id, TG_OP, OLD.stock);
		ELSE INSERT INTO history (id, op, stock) VALUES (NEW.id, TG_OP, NEW.stock); END IF; RETURN NULL; END $$;
	CREATE TRIGGER remember AFTER INSERT OR UPDATE OR DELETE ON products FOR EACH ROW EXECUTE FUNCTION remember()`

// wentBack counts the row versions that are older than the one before them, where
// every write of a key has a higher stock. A row that was deleted must not come
// back as it was.
const wentBack = `SELECT count(*) FROM (
	SELECT op, stock, lag(stock) OVER w AS before, lag(op) OVER w AS last FROM history WINDOW w AS (PARTITION BY id ORDER BY n)) h
	WHERE op <> 'DELETE' AND (stock < before OR last = 'DELETE' AND stock <= before)`

func rehearse(t *testing.T) *rehearsal {
	t.Helper()
	r := &rehearsal{stack: newStack(t), whole: t, wire: newWire(), next: 1}
	r.db.Exec(t, historyOfProducts)
	r.config.Redis.External.Addresses = []string{r.wire.listen(t, r.redis.Addr, func() protocol { return &redisWire{} })}
	r.config.Database.Postgres.URLFile = postgrestest.WriteURL(t, r.wire.through(t, r.db.URL()))
	r.config.Mappings[0].Partitions = 1
	r.config.Flush.MaxRetries = 1
	r.write()
	return r
}

func (r *rehearsal) begin() {
	r.t.Helper()
	one := r.t
	r.t = r.whole
	defer func() { r.t = one }()
	r.flusher = r.run(exec.Command(hasty, r.file))
}

// die kills the flusher; what it had sent to nobody yet is gone with it.
func (r *rehearsal) die() {
	r.flusher.Kill()
	r.wire.cutAll()
}

// at waits until the point is reached.
func (r *rehearsal) at(p *point) {
	r.t.Helper()
	select {
	case <-p.reached:
	case <-time.After(programs.Usual.Limit):
		r.t.Fatalf("the point is not reached within %v", programs.Usual.Limit)
	}
}

// keysEach is how many keys one case writes.
const keysEach = 8

func document(stock int64) string {
	return fmt.Sprintf(`{"name":"n%d","price":1,"stock":%d}`, stock, stock)
}

// writeAll writes keys of its own in one transaction, so that one claim has them
// all, and returns the first.
func (r *rehearsal) writeAll(stock func(i int64) int64) int64 {
	r.t.Helper()
	first := r.next
	r.next += keysEach
	pipe := r.rdb.TxPipeline()
	for i := range int64(keysEach) {
		pipe.FCall(r.t.Context(), "wb_set", []string{fmt.Sprintf("product:%d", first+i)}, "products", document(stock(i)))
	}
	_, err := pipe.Exec(r.t.Context())
	r.must(err)
	return first
}

func fresh(int64) int64 { return 1 }

// books are what the journal says became of all writes.
type books struct {
	writes, flushed, coalesced, dead, superseded int64
}

func (r *rehearsal) books() books {
	r.t.Helper()
	stats := r.stats()
	superseded, err := r.rdb.HGet(r.t.Context(), "wb:{products:0}:meta", "superseded").Int64()
	if !errors.Is(err, redis.Nil) {
		r.must(err)
	}
	return books{stats.Writes, stats.Flushed, stats.Coalesced, stats.Dead, superseded}
}

// settled waits for the queue to drain and holds the books against what was
// written: every write was flushed or coalesced, is a dead letter or took the place
// of one, once.
func (r *rehearsal) settled(p *point, before books, writes int64) {
	t := r.t
	t.Helper()
	r.drained()
	after, stats := r.books(), r.stats()
	settled := after.flushed - before.flushed + after.dead - before.dead + after.superseded - before.superseded
	if after.writes-before.writes != writes || settled+after.coalesced-before.coalesced != writes || settled < keysEach {
		t.Errorf("%d writes, but before %+v and after %+v", writes, before, after)
	}
	if stats.DataLoss != 0 || stats.Refused != 0 {
		t.Errorf("stats are %+v", stats)
	}
	if p.hits != 1 {
		t.Errorf("the point was reached %d times", p.hits)
	}
	if n := r.db.Value(t, wentBack); n != "0" {
		t.Errorf("%s rows went back to an older version", n)
	}
}

// rows compares the rows of one case with what was written last; 0 is no row.
func (r *rehearsal) rows(first int64, want func(i int64) int64) {
	r.t.Helper()
	for i := range int64(keysEach) {
		stock := ""
		if n := want(i); n != 0 {
			stock = fmt.Sprint(n)
		}
		if got := r.db.Value(r.t, "SELECT stock FROM products WHERE id = $1", first+i); got != stock {
			r.t.Errorf("key %d of the case has %q, want %q", i, got, stock)
		}
	}
}

func (r *rehearsal) noDeadLetters() {
	r.t.Helper()
	if n := len(r.deadLetters()); n != 0 {
		r.t.Errorf("%d dead letters", n)
	}
}

func (r *rehearsal) isReady() {
	r.t.Helper()
	r.eventually("the flusher is ready", func() error {
		if code, body := r.get(r.flusher, "/readyz"); code != http.StatusOK {
			return errors.New(body)
		}
		return nil
	})
}
