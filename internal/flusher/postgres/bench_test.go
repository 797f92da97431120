// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/writebehind/operator/internal/flusher/entry"
	"github.com/writebehind/operator/internal/flusher/postgres/postgrestest"
)

const benchSchema = `CREATE TABLE products (
  id bigint PRIMARY KEY, name text NOT NULL, price numeric(10,2) NOT NULL,
  stock integer NOT NULL, updated_at timestamptz NOT NULL)`

func benchDocument(i int) []byte {
	return fmt.Appendf(nil, `{"id":%d,"name":"Product number %d","price":%d.%02d,"stock":%d,"updated_at":"2026-01-%02dT12:34:56.789Z"}`,
		i, i, i%1000, i%100, i%500, i%28+1)
}

// BenchmarkBatchSet measures what one row costs before it is sent.
func BenchmarkBatchSet(b *testing.B) {
	_, d := open(b, benchSchema)
	table := readTable(b, d, mapping("products"))
	const rows = 1000
	keys, documents := make([]string, rows), make([][]byte, rows)
	for i := range rows {
		keys[i], documents[i] = strconv.Itoa(i*7919%rows), benchDocument(i*7919%rows)
	}
	batch := table.NewBatch()
	b.Run("Set", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(documents[0])))
		for i := range b.N {
			if i%rows == 0 {
				batch.Reset()
			}
			if err := batch.Set(keys[i%rows], documents[i%rows]); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("SetAndEncode", func(b *testing.B) {
		b.ReportAllocs()
		for i := range b.N {
			if i%rows == 0 {
				batch.Reset()
			}
			if err := batch.Set(keys[i%rows], documents[i%rows]); err != nil {
				b.Fatal(err)
			}
			if i%rows == rows-1 {
				d.pipeline(table, entry.Place{Shard: entry.Shard{Incarnation: "j", Queue: "q"}}, batch)
			}
		}
	})
}

// BenchmarkWrite measures rows per second of updates to rows that exist, on a
// server that waits for its disk at every commit, as real ones do.
func BenchmarkWrite(b *testing.B) {
	const ids = 100000
	server := postgrestest.NewServer(b, postgrestest.Options{Durable: true}).NewDatabase(b)
	server.Exec(b, benchSchema)
	d := openURL(b, server.URL())
	server.Exec(b, `INSERT INTO products SELECT i, 'x', 1, 1, now() FROM generate_series(0, 99999) i`)
	server.Exec(b, `VACUUM ANALYZE products`)
	table := readTable(b, d, mapping("products"))
	keys, documents := make([]string, ids), make([][]byte, ids)
	for i := range ids {
		keys[i], documents[i] = strconv.Itoa(i), benchDocument(i)
	}
	for _, size := range []int{100, 1000, 10000} {
		for _, connections := range []int{1, 4} {
			b.Run(fmt.Sprintf("rows=%d/connections=%d", size, connections), func(b *testing.B) {
				owners := make([]*owner, connections)
				for i := range owners {
					owners[i] = own(b, d, table, i)
				}
				var turn atomic.Int64
				var group sync.WaitGroup
				b.ResetTimer()
				for n, o := range owners {
					group.Go(func() {
						batch := table.NewBatch()
						for {
							round := turn.Add(1)
							if round > int64(b.N) {
								return
							}
							batch.Reset()
							for i := range size {
								// Connections have keys of their own, as partitions do, spread
								// over the table.
								id := (int(round)*size*7 + i*7919*connections + n) % ids
								id = id - id%connections + n
								if err := batch.Set(keys[id], documents[id]); err != nil {
									b.Error(err)
									return
								}
							}
							if _, err := d.Write(b.Context(), table, o.next(round), batch); err != nil {
								b.Error(err, detail(err))
								return
							}
						}
					})
				}
				group.Wait()
				b.ReportMetric(float64(b.N*size)/b.Elapsed().Seconds(), "rows/s")
			})
		}
	}
}
