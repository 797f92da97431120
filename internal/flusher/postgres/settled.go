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

// names are names in the form of the statements' arrays.
type names struct {
	queues        []string
	keys, members [][]byte
}

func (n *names) add(name replica.Name) {
	n.queues = append(n.queues, name.Queue)
	n.keys = append(n.keys, []byte(name.Key))
	n.members = append(n.members, []byte(name.Member))
}

// lastOf keeps the last of those that have one name, in their order: one statement must
// not write a row twice.
func lastOf[E any](all []E, nameOf func(*E) replica.Name) []E {
	last := make(map[replica.Name]int, len(all))
	for i := range all {
		last[nameOf(&all[i])] = i
	}
	if len(last) == len(all) {
		return all
	}
	kept := make([]E, 0, len(last))
	for i := range all {
		if last[nameOf(&all[i])] == i {
			kept = append(kept, all[i])
		}
	}
	return kept
}

// Settle writes for the source's reader what became of entries that are not rows.
func (s *Sources) Settle(ctx context.Context, source string, epoch int64, settled replica.Settled) (superseded int64, err error) {
	err = s.database.inTransaction(ctx, "settle entries of the source", func(ctx context.Context, tx pgx.Tx) error {
		superseded = 0
		if err := tx.QueryRow(ctx, s.statements.read, source, epoch).Scan(); err != nil {
			if errors.Is(err, pgx.ErrNoRows) {
				return replica.ErrDeposed
			}
			return err
		}
		gone, err := s.gone(ctx, tx, source, settled.Gone)
		if err != nil {
			return err
		}
		if err := s.unasked(ctx, tx, source, settled.Unasked); err != nil {
			return err
		}
		if err := s.retries(ctx, tx, source, lastOf(settled.Retries, func(r *replica.Retry) replica.Name { return r.Name })); err != nil {
			return err
		}
		replaced, err := s.bury(ctx, tx, source, lastOf(settled.Letters, func(l *replica.Letter) replica.Name { return l.Name }))
		superseded = gone + replaced
		return err
	})
	if err != nil {
		return 0, s.failure("", err)
	}
	return superseded, nil
}

// gone removes what is superseded, and counts the letters. The name of a whole key stands for
// all members of the key.
func (s *Sources) gone(ctx context.Context, tx pgx.Tx, source string, all []replica.Name) (letters int64, err error) {
	var ones, keys names
	for _, name := range all {
		if name.Member == "" {
			keys.add(name)
			continue
		}
		ones.add(name)
	}
	for _, of := range []struct {
		names
		retries, letters string
	}{{ones, s.statements.goneRetries, s.statements.goneLetters}, {keys, s.statements.goneKeysRetries, s.statements.goneKeysLetters}} {
		if len(of.queues) == 0 {
			continue
		}
		if _, err := tx.Exec(ctx, of.retries, source, of.queues, of.keys, of.members); err != nil {
			return 0, err
		}
		var some int64
		if err := tx.QueryRow(ctx, of.letters, source, of.queues, of.keys, of.members).Scan(&some); err != nil {
			return 0, err
		}
		letters += some
	}
	return letters, nil
}

// unasked notes that nothing comes of what somebody has asked for.
func (s *Sources) unasked(ctx context.Context, tx pgx.Tx, source string, all []replica.Name) error {
	if len(all) == 0 {
		return nil
	}
	var n names
	for _, name := range all {
		n.add(name)
	}
	if _, err := tx.Exec(ctx, s.statements.unaskedRereads, source, n.queues, n.keys, n.members); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, s.statements.unasked, source, n.queues, n.keys, n.members)
	return err
}

func (s *Sources) retries(ctx context.Context, tx pgx.Tx, source string, all []replica.Retry) error {
	if len(all) == 0 {
		return nil
	}
	var n names
	var words, attempts []int32
	var first, due []time.Time
	var histories, positions []int64
	for i := range all {
		r := &all[i]
		n.add(r.Name)
		words, attempts = append(words, int32(r.Word)), append(attempts, int32(r.Attempts))
		first, due = append(first, r.FirstRefused), append(due, r.Due)
		histories, positions = append(histories, r.History), append(positions, r.Offset)
	}
	_, err := tx.Exec(ctx, s.statements.retry, source, n.queues, n.keys, n.members, words, attempts, first, due, histories, positions)
	return err
}

// bury writes letters in place of the retries of their names, and counts the letters that
// they replace. They go one by one, since payloads may be large.
func (s *Sources) bury(ctx context.Context, tx pgx.Tx, source string, all []replica.Letter) (replaced int64, err error) {
	if len(all) == 0 {
		return 0, nil
	}
	var n names
	for i := range all {
		l := &all[i]
		n.add(l.Name)
		var another bool
		err := tx.QueryRow(ctx, s.statements.letter, source, l.Queue, []byte(l.Name.Key), []byte(l.Name.Member),
			l.Operation, l.Version, l.Attempts, l.Cause, l.SQLState, l.Constraint, l.Column, []byte(l.Message),
			l.FirstFailure, l.LastFailure, []byte(l.Payload)).Scan(&another)
		if err != nil {
			return 0, err
		}
		if another {
			replaced++
		}
	}
	_, err = tx.Exec(ctx, s.statements.goneRetries, source, n.queues, n.keys, n.members)
	return replaced, err
}

// Aside reads all that waits for another attempt.
func (s *Sources) Aside(ctx context.Context, source string) ([]replica.Retry, error) {
	var all []replica.Retry
	err := s.list(ctx, "read what waits aside", s.statements.aside, []any{source}, func(row pgx.Row) error {
		r, err := scanRetry(row)
		all = append(all, r)
		return err
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

func scanRetry(row pgx.Row) (r replica.Retry, err error) {
	var key, member []byte
	err = row.Scan(&r.Queue, &key, &member, &r.Word, &r.Attempts, &r.FirstRefused, &r.Due, &r.History, &r.Offset)
	r.Key, r.Member = string(key), string(member)
	return r, err
}

// Dead counts the dead letters by queue.
func (s *Sources) Dead(ctx context.Context, source string) (map[string]int64, error) {
	dead := make(map[string]int64)
	err := s.list(ctx, "count dead letters", s.statements.dead, []any{source}, func(row pgx.Row) error {
		var queue string
		var count int64
		err := row.Scan(&queue, &count)
		dead[queue] = count
		return err
	})
	if err != nil {
		return nil, err
	}
	return dead, nil
}

// Letters reads dead letters of a queue behind the name, without their payloads.
func (s *Sources) Letters(ctx context.Context, source string, after replica.Name, most int) ([]replica.Letter, error) {
	var all []replica.Letter
	arguments := []any{source, after.Queue, []byte(after.Key), []byte(after.Member), most}
	err := s.list(ctx, "read dead letters", s.statements.letters, arguments, func(row pgx.Row) error {
		letter, err := scanLetter(row, after.Queue)
		all = append(all, letter)
		return err
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

func scanLetter(row pgx.Row, queue string) (replica.Letter, error) {
	var key, member, message, payload []byte
	letter := replica.Letter{}
	l := &letter.DeadLetter
	err := row.Scan(&key, &member, &l.Operation, &l.Version, &l.Attempts, &l.Cause, &l.SQLState, &l.Constraint, &l.Column,
		&message, &l.FirstFailure, &l.LastFailure, &letter.Asked, &payload)
	l.Key, l.Message, l.Payload = string(key), string(message), string(payload)
	letter.Name = replica.Name{Queue: queue, Key: l.Key, Member: string(member)}
	return letter, err
}

// list gives each row of a query to take.
func (s *Sources) list(ctx context.Context, action, sql string, arguments []any, take func(pgx.Row) error) error {
	err := s.database.inTransaction(ctx, action, func(ctx context.Context, tx pgx.Tx) error {
		rows, err := tx.Query(ctx, sql, arguments...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			if err := take(rows); err != nil {
				return err
			}
		}
		return rows.Err()
	})
	return s.failure("", err)
}
