// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package servers starts what a flusher stands between, for tests of the flusher: a
// redis-server, a database in PostgreSQL, and the config that joins them.
package servers

import (
	"path/filepath"
	"testing"

	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/journal/journaltest"
	"github.com/writebehind/operator/internal/flusher/postgres/postgrestest"
	"github.com/writebehind/operator/test/programs"
)

// Pair is a flusher's two servers.
type Pair struct {
	Redis    *journaltest.Server
	Database *postgrestest.Database
	// Config is the default one with the mapping products: keys product:ID, the table
	// public.products, its key column id. It listens on any free port.
	Config *config.Config
	// File is a path for the config, in a folder of the test.
	File string
}

// Start starts both until the test ends, with the schema in the database.
func Start(t testing.TB, schema string, options ...journaltest.Option) *Pair {
	t.Helper()
	p := Join(t, journaltest.New(t, options...), postgrestest.New(t))
	p.Database.Exec(t, schema)
	return p
}

// Join is for servers that were started in another way.
func Join(t testing.TB, redis *journaltest.Server, database *postgrestest.Database) *Pair {
	t.Helper()
	c := config.Default()
	c.ListenAddress = "127.0.0.1:0"
	c.Redis.External.Addresses = []string{redis.Addr()}
	c.Database.Postgres.URLFile = database.URLFile(t)
	m := config.DefaultMapping()
	m.Name, m.KeyPrefix, m.Table, m.KeyColumn = "products", "product:", "public.products", "id"
	c.Mappings = []config.Mapping{m}
	return &Pair{Redis: redis, Database: database, Config: c, File: filepath.Join(t.TempDir(), "config.yaml")}
}

// Put puts the config in place as a ConfigMap does, whole or not at all.
func Put(t testing.TB, file string, c *config.Config) {
	t.Helper()
	data, err := c.Marshal()
	if err == nil {
		err = programs.PutFile(file, data)
	}
	programs.Must(t, err)
}
