// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/writebehind/operator/internal/flusher/replica"
)

// Of reads what the source has aside of keys of a queue, with their members: retries, and dead
// letters without their payloads.
func (s *Sources) Of(ctx context.Context, source, queue string, keys []string) (retries []replica.Retry, letters []replica.Letter, err error) {
	named := make([][]byte, len(keys))
	for i, key := range keys {
		named[i] = []byte(key)
	}
	arguments := []any{source, queue, named}
	err = s.list(ctx, "read what waits of a key", s.statements.retriesOf, arguments, func(row pgx.Row) error {
		r, err := scanRetry(row)
		retries = append(retries, r)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	err = s.list(ctx, "read dead letters of a key", s.statements.lettersOf, arguments, func(row pgx.Row) error {
		letter, err := scanLetter(row, queue)
		letters = append(letters, letter)
		return err
	})
	return retries, letters, err
}

// Reader is who reads a source, and until when, if nobody renews that. Where nobody ever did the
// member is empty.
type Reader struct {
	Member string
	Epoch  int64
	Until  time.Time
	// Now is the database's time, and Runs says that the lease runs.
	Now  time.Time
	Runs bool
}

// Reader tells who reads the source.
func (s *Sources) Reader(ctx context.Context, source string) (r Reader, err error) {
	err = s.keep(ctx, "read who reads the source", func(ctx context.Context, conn *pgx.Conn) error {
		err := conn.QueryRow(ctx, s.statements.reader, source).Scan(&r.Member, &r.Epoch, &r.Until, &r.Now)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		return err
	})
	r.Runs = r.Member != "" && r.Now.Before(r.Until)
	return r, err
}
