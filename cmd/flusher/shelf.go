// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/redis/go-redis/v9"

	cachev1alpha1 "github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/entry"
	"github.com/writebehind/operator/internal/flusher/journal"
)

// shelf is where dead letters are kept.
type shelf interface {
	// letters are those of a queue that the filter may let through, or entry.ErrNoQueue. Those
	// of one key that is to be shown come whole, all others without their payloads, which may
	// be large.
	letters(ctx context.Context, queue string, f *filter) iter.Seq2[*entry.DeadLetter, error]
	// replay has the letter written anew, and gives the version of that where there is one at
	// once. Both give entry.ErrNoLetter, entry.ErrSuperseded or entry.ErrForged where there is
	// nothing to do.
	replay(ctx context.Context, queue string, letter *entry.DeadLetter) (int64, error)
	discard(ctx context.Context, queue string, letter *entry.DeadLetter) error
	// explain says what an error means to a person, and whether the next letter would fail
	// for the same reason.
	explain(err error) (text string, lasting bool)
	// server is what a person calls it.
	server() string
	close()
}

// shelfOf opens the one that the capture of the config has.
func shelfOf(c *config.Config) shelf {
	if c.Capture == config.CaptureReplication {
		return openRecords(c)
	}
	return openJournal(c)
}

// explain says what an error means to a person.
func explain(s shelf, err error) string {
	if errors.Is(err, context.Canceled) {
		return "interrupted"
	}
	text, _ := s.explain(err)
	return text
}

// lasting reports whether the next key would fail for the same reason.
func lasting(s shelf, err error) bool {
	_, lasting := s.explain(err)
	return lasting || errors.Is(err, context.Canceled)
}

// journalShelf is the journal in Redis.
type journalShelf struct {
	rdb     *redis.Client
	journal *journal.Journal
}

func openJournal(c *config.Config) *journalShelf {
	rdb := journal.Dial(c.Redis.External, 1)
	return &journalShelf{rdb, journal.New(rdb).WithMaster(c.Redis.External.MasterName)}
}

func (s *journalShelf) server() string { return "Redis" }

func (s *journalShelf) close() { _ = s.rdb.Close() }

func (s *journalShelf) letters(ctx context.Context, queue string, f *filter) iter.Seq2[*entry.DeadLetter, error] {
	return func(yield func(*entry.DeadLetter, error) bool) {
		if f.exact() {
			letter, err := s.journal.DeadLetter(ctx, queue, f.key)
			if !errors.Is(err, entry.ErrNoLetter) {
				yield(letter, absent(err))
				return
			}
			// One that somebody has planted need not be where its key belongs.
		}
		s.journal.DeadLetters(ctx, queue)(func(letter *entry.DeadLetter, err error) bool { return yield(letter, absent(err)) })
	}
}

// absent makes one error of those that mean a queue which is not there.
func absent(err error) error {
	if errors.Is(err, redis.Nil) {
		return fmt.Errorf("%w: %w", entry.ErrNoQueue, err)
	}
	return err
}

func (s *journalShelf) replay(ctx context.Context, queue string, letter *entry.DeadLetter) (int64, error) {
	return s.journal.Replay(ctx, queue, letter)
}

func (s *journalShelf) discard(ctx context.Context, queue string, letter *entry.DeadLetter) error {
	return s.journal.Discard(ctx, queue, letter)
}

func (s *journalShelf) explain(err error) (text string, lasting bool) {
	check := s.journal.Explain(err)
	lasting = check.Reason != cachev1alpha1.ReasonCommandFailed
	switch {
	case strings.Contains(err.Error(), "Function not found"):
		return "this Redis lacks the function library, or has an older one: start a flusher of this release", lasting
	case lasting, strings.Contains(err.Error(), "WRONGTYPE wb:"):
		return check.Message, lasting
	}
	return err.Error(), false
}
