// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package native is an application that knows nothing of this project: it writes with Redis'
// own commands what the sample of capture Replication carries, and each row can be compared
// with its key. The demo and the end-to-end tests use it.
package native

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"
)

// Sample is the file of config/samples whose tables and keys these are.
const Sample = "cache_v1alpha1_writebehindcache_replication.yaml"

// Definitions are those of the tables that the comment of the sample tells, as they stand
// behind CREATE TABLE.
func Definitions(sample string) (tables []string) {
	for line := range strings.Lines(sample) {
		if table, isTable := strings.CutPrefix(line, "#   CREATE TABLE "); isTable {
			tables = append(tables, strings.TrimSpace(table))
		}
	}
	return tables
}

// Commands are so many that an application gives to keys of each kind, of which there are so
// many, and one of each for a person to see.
func Commands(random *rand.Rand, keys, n int) (all, shown []string) {
	id := func() int { return random.IntN(keys) }
	commands := []func() string{
		func() string {
			return fmt.Sprintf(`SET product:%d '{"name":"Product %d","price":%d.%02d}'`, id(), id(), random.IntN(1000), random.IntN(100))
		},
		func() string {
			return fmt.Sprintf("HSET session:%d username user%d visits %d", id(), id(), random.IntN(10))
		},
		func() string { return fmt.Sprintf("HINCRBY session:%d visits 1", id()) },
		func() string { return fmt.Sprintf("INCR views:page%d", id()) },
		func() string { return fmt.Sprintf("INCRBY views:page%d %d", id(), random.IntN(100)) },
		func() string { return fmt.Sprintf("ZADD board:%d %d player%d", id()%20, random.IntN(1000), id()) },
		func() string { return fmt.Sprintf("ZINCRBY board:%d 5 player%d", id()%20, id()) },
		func() string {
			return fmt.Sprintf("XADD events:door%d * kind %s", id()%10, []string{"open", "close"}[random.IntN(2)])
		},
		func() string { return fmt.Sprintf("DEL product:%d", id()) },
		func() string { return fmt.Sprintf("HDEL session:%d username", id()) },
		func() string { return fmt.Sprintf("ZREM board:%d player%d", id()%20, id()) },
	}
	for _, command := range commands {
		shown = append(shown, command())
	}
	all = slices.Clone(shown)
	for len(all) < n {
		all = append(all, commands[random.IntN(len(commands))]())
	}
	return all, shown
}

// Words are those of a command, of which the last one may be quoted.
func Words(command string) (words []any) {
	rest, last, quoted := strings.Cut(command, " '")
	for word := range strings.FieldsSeq(rest) {
		words = append(words, word)
	}
	if quoted {
		words = append(words, strings.TrimSuffix(last, "'"))
	}
	return words
}

// Table is one of the sample's, with all of its keys as the texts of the rows that they are,
// sorted.
type Table struct {
	Name string
	Keys []string

	columns string
}

// Read reads all keys.
func Read(ctx context.Context, rdb *redis.Client) ([]Table, error) {
	all := make([]Table, 0, len(kinds))
	for _, kind := range kinds {
		texts, err := kind.keys(ctx, rdb)
		if err != nil {
			return nil, fmt.Errorf("read the keys of %s: %w", kind.table, err)
		}
		slices.Sort(texts)
		all = append(all, Table{Name: kind.table, Keys: texts, columns: kind.columns})
	}
	return all, nil
}

// Rows reads all rows of the table, as texts, sorted.
func (t *Table) Rows(ctx context.Context, db *pgx.Conn, schema string) ([]string, error) {
	rows, err := db.Query(ctx, fmt.Sprintf("SELECT concat_ws('|', %s) FROM %s", t.columns, pgx.Identifier{schema, t.Name}.Sanitize()))
	if err != nil {
		return nil, fmt.Errorf("read the table %s: %w", t.Name, err)
	}
	texts, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("read the table %s: %w", t.Name, err)
	}
	slices.Sort(texts)
	return texts, nil
}

// Difference tells of two sorted lists what the first one has and the other one lacks, or the
// other way round; nothing of two that are equal.
func Difference(keys, rows []string) string {
	if slices.Equal(keys, rows) {
		return ""
	}
	for i, key := range keys {
		if i >= len(rows) || rows[i] != key {
			if _, found := slices.BinarySearch(rows, key); !found {
				return "no row is " + key
			}
			return "no key is " + rows[i]
		}
	}
	return "no key is " + rows[len(keys)]
}
