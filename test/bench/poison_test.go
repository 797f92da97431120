// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/writebehind/operator/internal/flusher/entry"
	"github.com/writebehind/operator/internal/flusher/journal/journaltest"
	"github.com/writebehind/operator/internal/flusher/postgres/postgrestest"
	"github.com/writebehind/operator/test/load"
)

// poisonEvery makes one row in a hundred one that the database refuses.
const poisonEvery = 100

// poisons are documents that the database refuses, each for a reason of its own.
var poisons = []struct{ document, sqlstate string }{
	{`{"name":"negative","price":1.00,"stock":-1,"updated_at":"2026-01-01T00:00:00Z"}`, "23514"},
	{`{"name":null,"price":1.00,"stock":1,"updated_at":"2026-01-01T00:00:00Z"}`, "23502"},
	{`{"name":"no number","price":"many","stock":1,"updated_at":"2026-01-01T00:00:00Z"}`, "22P02"},
}

// BenchmarkPoison drains a queue with one poison row in a hundred, beside the same
// queue without any. The time ends when every row that is not poison is committed;
// "all-dead-ms" is when the last poison row, after its retries, is a dead letter.
func BenchmarkPoison(b *testing.B) {
	database := postgrestest.New(b)
	database.Exec(b, load.CreateTable)
	database.Exec(b, "ALTER TABLE products ADD CONSTRAINT products_stock_check CHECK (stock >= 0)")
	server := journaltest.New(b, journaltest.AppendOnly("everysec"))
	before := func() {
		database.Exec(b, "TRUNCATE products")
		database.Exec(b, "CHECKPOINT")
		if err := server.Client(b).FlushAll(b.Context()).Err(); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("clean", func(b *testing.B) {
		for range b.N {
			before()
			report(b, drain(b, server, database))
		}
	})
	b.Run("poison", func(b *testing.B) {
		for range b.N {
			before()
			report(b, drainPoison(b, server, database))
		}
	})
}

func drainPoison(b *testing.B, server *journaltest.Server, database *postgrestest.Database) time.Duration {
	b.Helper()
	r := newRig(b, server, database, suspended(b, server, database), entries, 200)
	defer r.stop()
	if err := r.application.Fill(b.Context()); err != nil {
		b.Fatal(err)
	}
	want := poison(b, r.client)
	started := time.Now()
	r.begin()
	until(b, r.journal, func(stats entry.Stats) bool { return stats.Depth == stats.Refused })
	took := time.Since(started)
	until(b, r.journal, isEmpty)
	b.ReportMetric(time.Since(started).Seconds()*1000, "all-dead-ms")

	for letter, err := range r.journal.DeadLetters(b.Context(), queue) {
		if err != nil {
			b.Fatal(err)
		}
		if want[letter.Key] != letter.SQLState {
			b.Errorf("%s is a dead letter for %s, want %q", letter.Key, letter.SQLState, want[letter.Key])
		}
		delete(want, letter.Key)
	}
	if len(want) > 0 {
		b.Errorf("%d poison rows are no dead letters", len(want))
	}
	last := r.application.Last()
	for id := int64(poisonEvery); id <= entries; id += poisonEvery {
		delete(last, id)
	}
	r.compare(last)
	return took
}

// poison writes over every hundredth key what the database will refuse, and returns
// the SQLSTATE that each of them must be refused with.
func poison(b *testing.B, client *redis.Client) map[string]string {
	b.Helper()
	want := make(map[string]string)
	for id := poisonEvery; id <= entries; id += poisonEvery {
		bad := poisons[id/poisonEvery%len(poisons)]
		key := fmt.Sprintf("%s%d", prefix, id)
		if err := client.FCall(b.Context(), "wb_set", []string{key}, queue, bad.document).Err(); err != nil {
			b.Fatal(err)
		}
		want[key] = bad.sqlstate
	}
	return want
}
