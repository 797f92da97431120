// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	cachev1alpha1 "github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher"
	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/entry"
	"github.com/writebehind/operator/internal/flusher/journal"
	"github.com/writebehind/operator/internal/flusher/postgres"
	"github.com/writebehind/operator/internal/flusher/replica"
)

// New prepares a flusher of the config with the servers that it names. Nothing is
// connected before Run.
func New(c *config.Config, options flusher.Options) *flusher.Flusher {
	database := newDatabase(c)
	if c.Capture == config.CaptureReplication {
		if limit := options.LimitMemory; limit != nil {
			// What is dirty is held for long: with as much room again for garbage as half of it
			// the collector has a pause.
			options.LimitMemory = func(bytes int64) { limit(bytes + replica.MostDirty/2*3) }
		}
		return flusher.New(c, newReplica(c, database, options), database, options)
	}
	return flusher.New(c, newSource(c), database, options)
}

// source is the journal in Redis.
type source struct {
	*journal.Journal
	rdb     *redis.Client
	proof   *journal.Proof
	account *journal.Account
	// secrets is what a person calls the credentials.
	secrets string
}

func newSource(c *config.Config) *source {
	external := c.Redis.External
	// Every queue polls and beats on its own while all workers claim.
	rdb := journal.Dial(external, c.Flush.Concurrency+len(c.Mappings)+2)
	return &source{
		Journal: journal.New(rdb).WithLedger(c.Database.Postgres.LedgerSchema).WithMappings(c.Mappings).WithMaster(external.MasterName),
		rdb:     rdb,
		proof:   journal.NewProof(external),
		account: journal.NewAccount(external, rdb),
		secrets: secretsOf(external),
	}
}

// secretsOf is what a person calls the credentials.
func secretsOf(external config.RedisExternal) string {
	return strings.Trim(external.UsernameSecret+"; "+external.CredentialsSecret, "; ")
}

// Prepare loads the function library where it is missing or older.
func (s *source) Prepare(ctx context.Context) error {
	_, err := s.EnsureLibrary(ctx)
	return err
}

func (s *source) Check(ctx context.Context) config.Check {
	check := s.Journal.Check(ctx)
	if check.OK {
		s.account.Look(ctx)
	}
	return s.named(check)
}

func (s *source) Warnings() []string { return s.account.Warnings() }

func (s *source) Explain(err error) config.Check { return s.named(s.Journal.Explain(err)) }

func (s *source) Prove(ctx context.Context) error { return s.proof.Check(ctx) }

func (s *source) Close() error { return s.rdb.Close() }

// named adds what the Secrets are called whose credentials Redis refuses.
func (s *source) named(check config.Check) config.Check { return named(check, s.secrets) }

func named(check config.Check, secrets string) config.Check {
	if check.Reason == cachev1alpha1.ReasonAuthenticationFailed && secrets != "" {
		check.Message += " (" + secrets + ")"
	}
	return check
}

// replicaSource is the stream of replication of Redis.
type replicaSource struct {
	*replica.Source
	client  *replica.Client
	account *journal.Account
	secrets string
	// backlog is what was found of the server's settings last.
	backlog atomic.Pointer[config.Check]
}

func newReplica(c *config.Config, d database, options flusher.Options) *replicaSource {
	external := c.Redis.External
	// All workers claim at once, beside a scan, the witness and the probe.
	rdb := journal.Dial(external, c.Flush.Concurrency+3)
	client := replica.NewClient(external, rdb)
	return &replicaSource{
		Source: replica.New(c.Mappings, replica.PrimaryOf(replica.NewLink(external, rdb)), client, d.Sources(),
			replica.Options{Name: replica.NameOf(c), Log: options.Log, Collect: options.Collect}),
		client:  client,
		account: journal.NewAccount(external, rdb),
		secrets: secretsOf(external),
	}
}

// Check also looks whether the settings of the server fit: what it says of a server that does
// not is a reason to flush nothing.
func (s *replicaSource) Check(ctx context.Context) config.Check {
	check := s.Source.Check(ctx)
	if check.OK {
		var backlog config.Check
		check, backlog = s.client.Fits(ctx)
		s.backlog.Store(&backlog)
		s.account.Look(ctx)
	}
	return named(check, s.secrets)
}

func (s *replicaSource) Warnings() []string { return s.account.Warnings() }

// Replication is the source's, with what the server's settings do to the backlog.
func (s *replicaSource) Replication() config.Replication {
	r := s.Source.Replication()
	if backlog := s.backlog.Load(); r.Reads && backlog != nil {
		r.Backlog = *backlog
	}
	return r
}

func (s *replicaSource) Explain(err error) config.Check {
	return named(s.Source.Explain(err), s.secrets)
}

// database is PostgreSQL.
type database struct{ *postgres.Database }

func newDatabase(c *config.Config) database {
	p := c.Database.Postgres
	return database{postgres.Open(postgres.Settings{
		URLFile: p.URLFile, URLSecret: p.URLSecret, TLS: p.TLS,
		MaxConnections:   p.MaxConnections,
		StatementTimeout: time.Duration(p.StatementTimeoutSeconds) * time.Second,
		LedgerSchema:     p.LedgerSchema,
		Sources:          c.Capture == config.CaptureReplication,
	})}
}

func (d database) Table(ctx context.Context, m config.Mapping) (flusher.Table, error) {
	t, err := d.Database.Table(ctx, m)
	if err != nil {
		return nil, err
	}
	return &table{t, d.Database}, nil
}

type table struct {
	*postgres.Table
	database *postgres.Database
}

func (t *table) Current(ctx context.Context) (bool, error) { return t.database.Current(ctx, t.Table) }

func (t *table) NewBatch() flusher.Batch { return &batch{t.Table.NewBatch(), t} }

type batch struct {
	*postgres.Batch
	table *table
}

func (b *batch) Write(ctx context.Context, at entry.Place) (entry.Commit, error) {
	return b.table.database.Write(ctx, b.table.Table, at, b.Batch)
}

func (b *batch) Control(ctx context.Context) entry.Trial {
	return b.table.database.Control(ctx, b.table.Table, b.Batch)
}

func (b *batch) ControlOfRows(ctx context.Context) entry.Trial {
	return b.table.database.ControlOfRows(ctx, b.table.Table, b.Batch)
}
