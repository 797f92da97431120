// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/writebehind/operator/internal/flusher/entry"
	"github.com/writebehind/operator/internal/flusher/replica"
)

// arguments are those of a statement about one name.
func arguments(source string, name replica.Name, more ...any) []any {
	return append([]any{source, name.Queue, []byte(name.Key), []byte(name.Member)}, more...)
}

// Letter reads one dead letter with its payload.
func (s *Sources) Letter(ctx context.Context, source string, name replica.Name) (replica.Letter, error) {
	found := false
	var letter replica.Letter
	err := s.list(ctx, "read a dead letter", s.statements.whole, arguments(source, name), func(row pgx.Row) (err error) {
		found = true
		letter, err = scanLetter(row, name.Queue)
		return err
	})
	switch {
	case err != nil:
		return replica.Letter{}, err
	case !found:
		return replica.Letter{}, entry.ErrNoLetter
	}
	return letter, nil
}

// Ask notes that a person wants a letter tried again.
func (s *Sources) Ask(ctx context.Context, source string, name replica.Name, version int64) error {
	n, err := s.request(ctx, "ask for a dead letter", source, s.statements.ask, name, version, func(ctx context.Context, tx pgx.Tx) error {
		waits := false
		if err := tx.QueryRow(ctx, s.statements.waits, arguments(source, name)...).Scan(&waits); err != nil {
			return err
		}
		if waits {
			return entry.ErrSuperseded
		}
		return nil
	})
	if err == nil && n == 0 {
		return entry.ErrNoLetter
	}
	return err
}

// Discard takes a letter away.
func (s *Sources) Discard(ctx context.Context, source string, name replica.Name, version int64) error {
	n, err := s.request(ctx, "discard a dead letter", source, s.statements.discard, name, version, nil)
	if err == nil && n == 0 {
		return entry.ErrNoLetter
	}
	return err
}

// Reread notes that somebody wants keys read and written anew.
func (s *Sources) Reread(ctx context.Context, source, queue string, keys []string) ([]bool, error) {
	named := make([][]byte, len(keys))
	for i, key := range keys {
		named[i] = []byte(key)
	}
	asked := make(map[string]bool, len(keys))
	known := false
	err := s.database.inTransaction(ctx, "ask for keys", func(ctx context.Context, tx pgx.Tx) error {
		// The row of the source is locked: what is settled meanwhile comes before or after.
		tag, err := tx.Exec(ctx, s.statements.request, source)
		if known = tag.RowsAffected() > 0; err != nil || !known {
			return err
		}
		var waiting int
		if err := tx.QueryRow(ctx, s.statements.rereads, source).Scan(&waiting); err != nil {
			return err
		}
		if waiting >= replica.MostRereads {
			return replica.ErrManyRereads
		}
		rows, err := tx.Query(ctx, s.statements.reread, source, queue, named)
		if err != nil {
			return err
		}
		taken, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
		for _, key := range taken {
			asked[string(key)] = true
		}
		return err
	})
	switch {
	case errors.Is(err, replica.ErrManyRereads):
		return nil, replica.ErrManyRereads
	case err != nil:
		return nil, s.failure("", err)
	case !known:
		return nil, entry.ErrNoQueue
	}
	done := make([]bool, len(keys))
	for i, key := range keys {
		done[i] = asked[key]
	}
	return done, nil
}

// request changes a letter so that the reader notices. It locks the source first, as whoever
// settles does: two transactions that took the letter and the source in another order might
// wait for each other.
func (s *Sources) request(
	ctx context.Context, action, source, statement string, name replica.Name, version int64, look func(context.Context, pgx.Tx) error,
) (letters int64, err error) {
	err = s.database.inTransaction(ctx, action, func(ctx context.Context, tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, s.statements.request, source); err != nil {
			return err
		}
		if look != nil {
			if err := look(ctx, tx); err != nil {
				return err
			}
		}
		tag, err := tx.Exec(ctx, statement, arguments(source, name, version)...)
		letters = tag.RowsAffected()
		return err
	})
	if err != nil {
		return 0, s.failure("", err)
	}
	return letters, nil
}
