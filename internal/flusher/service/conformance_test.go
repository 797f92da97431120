// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"testing"

	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/enginetest"
	"github.com/writebehind/operator/internal/flusher/journal/journaltest"
	"github.com/writebehind/operator/internal/flusher/postgres/postgrestest"
)

func TestRedisConforms(t *testing.T) {
	t.Parallel()
	journaled := func(t *testing.T) enginetest.SourceUnderTest {
		t.Helper()
		server := journaltest.New(t)
		c := config.Default()
		c.Redis.External.Addresses = []string{server.Addr()}
		s := newSource(c)
		t.Cleanup(func() { _ = s.Close() })
		write := func(function string, args ...any) func(queue, key string) int64 {
			return func(queue, key string) int64 {
				t.Helper()
				version, err := s.rdb.FCall(t.Context(), function, []string{key}, append([]any{queue}, args...)...).Int64()
				if err != nil {
					t.Fatal(err)
				}
				return version
			}
		}
		return enginetest.SourceUnderTest{
			Source: s,
			Set:    func(queue, key, value string) int64 { return write("wb_set", value)(queue, key) },
			Delete: write("wb_del"),
		}
	}
	enginetest.SourceConforms(t, journaled)
	enginetest.SharesConform(t, journaled)
}

func TestPostgreSQLConforms(t *testing.T) {
	t.Parallel()
	enginetest.DatabaseConforms(t, func(t *testing.T) enginetest.DatabaseUnderTest {
		db := postgrestest.New(t)
		db.Exec(t, "CREATE TABLE items (id bigint PRIMARY KEY, name text CHECK (name <> '"+enginetest.Refused+"'))")
		c := config.Default()
		c.Database.Postgres.URLFile = db.URLFile(t)
		m := config.DefaultMapping()
		m.Name, m.KeyPrefix, m.Table, m.KeyColumn = "products", "product:", "public.items", "id"
		return enginetest.DatabaseUnderTest{
			Database: newDatabase(c), Mapping: m,
			Alter: func() { db.Exec(t, "ALTER TABLE items ALTER COLUMN name TYPE varchar(100)") },
			Names: func() map[string]string {
				names := make(map[string]string)
				for _, row := range db.Rows(t, "SELECT id, name FROM items") {
					names[row[0]] = row[1]
				}
				return names
			},
		}
	})
}
