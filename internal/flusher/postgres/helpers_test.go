// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/entry"
	"github.com/writebehind/operator/internal/flusher/postgres/postgrestest"
)

// testTimeout bounds every statement and wait of the tests. Nothing is timed by
// it; it only ends what would hang.
const testTimeout = 30 * time.Second

// major is the server's release, for tests of what an older one lacks.
func major(t testing.TB, server *postgrestest.Database) int {
	t.Helper()
	n, err := strconv.Atoi(server.Value(t, "SHOW server_version_num"))
	if err != nil {
		t.Fatal(err)
	}
	return n / 10000
}

// open gives a fresh database and the flusher's view of it.
func open(t testing.TB, schema string, settings ...func(*Settings)) (*postgrestest.Database, *Database) {
	t.Helper()
	server := postgrestest.New(t)
	if schema != "" {
		server.Exec(t, schema)
	}
	return server, openURL(t, server.URL(), settings...)
}

func openURL(t testing.TB, url string, settings ...func(*Settings)) *Database {
	t.Helper()
	s := Settings{URLFile: postgrestest.WriteURL(t, url), MaxConnections: 4, StatementTimeout: testTimeout}
	for _, set := range settings {
		set(&s)
	}
	d := Open(s)
	t.Cleanup(d.Close)
	// On a machine that is busy a look may take longer than it is given.
	d.probeTimeout = testTimeout
	return d
}

// ready fails the test unless Check is content.
func ready(t testing.TB, d *Database) {
	t.Helper()
	if c := d.Check(t.Context()); !c.OK {
		t.Fatalf("Check = %s: %s", c.Reason, c.Message)
	}
}

func mapping(table string, columns ...config.Column) config.Mapping {
	m := config.DefaultMapping()
	m.Name, m.KeyPrefix, m.Table, m.KeyColumn, m.Columns = "products", "product:", table, "id", columns
	return m
}

func readTable(t testing.TB, d *Database, m config.Mapping) *Table {
	t.Helper()
	table, err := d.Table(t.Context(), m)
	if err != nil {
		t.Fatalf("Table(%s): %v", m.Table, err)
	}
	return table
}

// owner holds one partition and counts its batches.
type owner struct {
	d     *Database
	table *Table
	at    entry.Place
}

func own(t testing.TB, d *Database, table *Table, partition int) *owner {
	t.Helper()
	ready(t, d)
	l, err := d.Acquire(t.Context(), "j1", "products", partition)
	if err != nil {
		t.Fatalf("Acquire: %v", err)
	}
	return &owner{d: d, table: table, at: entry.Place{
		Shard: entry.Shard{Incarnation: "j1", Queue: "products", Partition: partition}, Epoch: l.Epoch, Flush: l.Flush,
	}}
}

// next is the place of the owner's next batch.
func (o *owner) next(version int64) entry.Place {
	o.at.Flush++
	o.at.Version = version
	return o.at
}

// batch makes a batch of key, document pairs; an empty document deletes.
func batch(t testing.TB, table *Table, pairs ...string) *Batch {
	t.Helper()
	b := table.NewBatch()
	for i := 0; i < len(pairs); i += 2 {
		var err error
		if pairs[i+1] == "" {
			err = b.Delete(pairs[i])
		} else {
			err = b.Set(pairs[i], []byte(pairs[i+1]))
		}
		if err != nil {
			t.Fatalf("Add %s: %v", pairs[i], err)
		}
	}
	return b
}

// write commits a batch of key, document pairs.
func (o *owner) write(t testing.TB, pairs ...string) {
	t.Helper()
	outcome, err := o.d.Write(t.Context(), o.table, o.next(o.at.Version+1), batch(t, o.table, pairs...))
	if err != nil || outcome != entry.Committed {
		t.Fatalf("Write = %v, %v: %s; want Committed", outcome, err, detail(err))
	}
}

// refuse writes a batch that must fail, and gives the place back.
func (o *owner) refuse(t testing.TB, pairs ...string) *Error {
	t.Helper()
	outcome, err := o.d.Write(t.Context(), o.table, o.next(o.at.Version+1), batch(t, o.table, pairs...))
	o.at.Flush--
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("Write = %v, %v; want an *Error", outcome, err)
	}
	return e
}

// ledgerOf reads what the ledger holds of a partition.
func ledgerOf(t testing.TB, d *Database, partition int) entry.Mark {
	t.Helper()
	l, err := d.readLedger(t.Context(), d.pool, "j1", "products", partition)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func detail(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Detail()
	}
	return ""
}

// equal compares what rows a query gives, each as its values joined by |.
func equal(t testing.TB, server *postgrestest.Database, sql string, want ...string) {
	t.Helper()
	var got []string
	for _, row := range server.Rows(t, sql) {
		got = append(got, strings.Join(row, "|"))
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("%s gives\n%s\nwant\n%s", sql, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// fault is what others see of an error of this package.
func fault(err error) *entry.Fault {
	f, _ := errors.AsType[*entry.Fault](err)
	return f
}
