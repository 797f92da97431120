// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/entry"
	"github.com/writebehind/operator/internal/flusher/postgres"
	"github.com/writebehind/operator/internal/flusher/replica"
)

// recordShelf is the table of dead letters in PostgreSQL. What is replayed there the flusher
// reads anew from Redis, at its next beat.
type recordShelf struct {
	database *postgres.Database
	records  *postgres.Sources
	source   string
	// streams are the queues whose members are entries of a stream.
	streams map[string]bool
}

func openRecords(c *config.Config) *recordShelf {
	p := c.Database.Postgres
	d := postgres.Open(postgres.Settings{
		URLFile: p.URLFile, URLSecret: p.URLSecret, TLS: p.TLS, MaxConnections: 1,
		StatementTimeout: time.Duration(p.StatementTimeoutSeconds) * time.Second, LedgerSchema: p.LedgerSchema, Sources: true,
	})
	s := &recordShelf{database: d, records: d.Sources(), source: replica.NameOf(c), streams: make(map[string]bool)}
	for i := range c.Mappings {
		s.streams[c.Mappings[i].Name] = c.Mappings[i].Encoding == config.EncodingStream
	}
	return s
}

func (s *recordShelf) server() string { return "database" }

func (s *recordShelf) close() { s.database.Close() }

// recordsPage is how many letters are read at once.
const recordsPage = 500

func (s *recordShelf) letters(ctx context.Context, queue string, f *filter) iter.Seq2[*entry.DeadLetter, error] {
	return func(yield func(*entry.DeadLetter, error) bool) {
		after := replica.Name{Queue: queue}
		if f.exact() {
			after.Key = f.key
			letter, err := s.records.Letter(ctx, s.source, after)
			if !errors.Is(err, entry.ErrNoLetter) && !letter.Rereads() && (!yield(letterOf(&letter), unmade(err)) || err != nil) {
				return
			}
		}
		for {
			page, err := s.records.Letters(ctx, s.source, after, recordsPage)
			if err != nil {
				yield(nil, unmade(err))
				return
			}
			for i := range page {
				letter := &page[i]
				if after = letter.Name; f.exact() && after.Key != f.key {
					return
				}
				if letter.Rereads() {
					continue
				}
				if f.literal && (f.member == "" || f.member == after.Member) {
					whole, err := s.records.Letter(ctx, s.source, after)
					if errors.Is(err, entry.ErrNoLetter) {
						continue
					}
					if letter = &whole; err != nil {
						yield(nil, unmade(err))
						return
					}
				}
				if !yield(letterOf(letter), nil) {
					return
				}
			}
			if len(page) < recordsPage {
				return
			}
		}
	}
}

// letterOf is the letter with the member that it is about.
func letterOf(l *replica.Letter) *entry.DeadLetter {
	letter := l.DeadLetter
	letter.Member = l.Name.Member
	return &letter
}

// unmade tells of a database in which no flusher has made the tables yet.
func unmade(err error) error {
	const noSchema, noTable = "3F000", "42P01"
	if f, ok := errors.AsType[*entry.Fault](err); ok && (f.SQLSTATE == noSchema || f.SQLSTATE == noTable) {
		return fmt.Errorf("%w: %w", entry.ErrNoQueue, err)
	}
	return err
}

var (
	errValueLost = errors.New("the payload of this dead letter is lost, and the key is gone: discard it, or write the key again")
	errStream    = errors.New("it is of a whole stream, whose entries are carried without it: discard it")
)

func (s *recordShelf) replay(ctx context.Context, queue string, l *entry.DeadLetter) (int64, error) {
	switch {
	case l.Cause == entry.CauseValueLost:
		return 0, errValueLost
	case s.streams[queue] && l.Member == "":
		return 0, errStream
	}
	return 0, s.records.Ask(ctx, s.source, nameOf(queue, l), l.Version)
}

func (s *recordShelf) discard(ctx context.Context, queue string, l *entry.DeadLetter) error {
	return s.records.Discard(ctx, s.source, nameOf(queue, l), l.Version)
}

func nameOf(queue string, l *entry.DeadLetter) replica.Name {
	return replica.Name{Queue: queue, Key: l.Key, Member: l.Member}
}

// explain says of every fault of the server that it lasts: no letter is at fault. The full
// error may quote values.
func (s *recordShelf) explain(err error) (text string, lasting bool) {
	if f, ok := errors.AsType[*entry.Fault](err); ok {
		return f.Message, true
	}
	return err.Error(), false
}
