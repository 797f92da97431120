// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

const (
	// trapEvery means that every n-th key is one of a trap, so that each partition has
	// some and most keys are none.
	trapEvery = 500
	// flowTime bounds how long those others take that a fault is not aimed at, with
	// one more fault at the same time.
	flowTime = 2 * time.Minute
	// refusedAll is the SQLSTATE of a table that takes no row.
	refusedAll = "WB001"
)

// triggerSQL makes a trigger that does something for some rows.
const triggerSQL = `
CREATE FUNCTION trap() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE key bigint := CASE TG_OP WHEN 'DELETE' THEN OLD.id ELSE NEW.id END;
BEGIN
  IF %s THEN %s; END IF;
  RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
END $$;
CREATE TRIGGER trap BEFORE INSERT OR UPDATE OR DELETE ON items FOR EACH ROW EXECUTE FUNCTION trap();`

// exec runs a statement that may have to wait for the flushers' locks, and once more
// when its session was lost.
func (w *world) exec(ctx context.Context, sql string) error {
	return await(context.WithoutCancel(ctx), flowTime, func(ctx context.Context) error {
		_, err := w.db.Pool().Exec(ctx, sql)
		return err
	})
}

// armed puts the trigger in place and returns what takes it away.
func (w *world) armed(ctx context.Context, condition, action string) (disarm func() error, err error) {
	err = w.exec(ctx, "DROP FUNCTION IF EXISTS trap CASCADE;"+fmt.Sprintf(triggerSQL, condition, action))
	return func() error { return w.exec(ctx, "DROP FUNCTION IF EXISTS trap CASCADE") }, err
}

// flows waits until every partition has committed something that was written from now
// on, and is found stuck otherwise.
func (w *world) flows(ctx context.Context, what string) {
	from := microseconds()
	err := await(ctx, flowTime, func(ctx context.Context) error {
		rows, err := w.db.Pool().Query(ctx, "SELECT partition FROM writebehind.ledger WHERE partition >= 0 AND position < $1", from)
		if err != nil {
			return err
		}
		defer rows.Close()
		var standing []string
		for rows.Next() {
			var p int
			if err := rows.Scan(&p); err != nil {
				return err
			}
			standing = append(standing, strconv.Itoa(p))
		}
		if err := rows.Err(); err != nil || len(standing) == 0 {
			return err
		}
		return errors.New("partitions " + strings.Join(standing, ", ") + " stand")
	})
	if err != nil && ctx.Err() == nil {
		w.findings.add(stuck, "%s: not within %v: %v", what, flowTime, err)
	}
}

// rowTrapped makes the table refuse some keys, with one of the SQLSTATEs or by a
// statement, and looks whether all others flow meanwhile.
func rowTrapped(actions ...string) func(context.Context, *world, fault) error {
	return func(ctx context.Context, w *world, f fault) error {
		action := actions[f.target%len(actions)]
		if len(action) == 5 {
			action = "RAISE EXCEPTION 'not this one' USING ERRCODE = '" + action + "'"
		}
		rest := int64(f.target) * trapEvery / 60
		mark := func(until int64) {
			for id := rest; id < int64(len(w.history.records)); id += trapEvery {
				w.history.trap(id, until)
			}
		}
		mark(math.MaxInt64)
		disarm, err := w.armed(ctx, fmt.Sprintf("key %% %d = %d", trapEvery, rest), action)
		if err == nil {
			began := time.Now()
			w.flows(ctx, action)
			hold(ctx, f.duration-time.Since(began))
		}
		err = errors.Join(err, disarm())
		mark(microseconds())
		return err
	}
}

// everyRowRefused makes the table take no row at all: that is no row's own fault.
func everyRowRefused(ctx context.Context, w *world, f fault) error {
	disarm, err := w.armed(ctx, "true", "RAISE EXCEPTION 'none today' USING ERRCODE = '"+refusedAll+"'")
	if err == nil {
		hold(ctx, f.duration)
	}
	if err = errors.Join(err, disarm()); err != nil {
		return err
	}
	w.flows(ctx, "after every row was refused")
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	for letter, err := range w.journal.DeadLetters(ctx, queue) {
		if err != nil {
			return nil // Redis is away; the verdict judges what is left
		}
		if letter.SQLState == refusedAll {
			w.findings.add(lost, "key %s is a dead letter, though the table took no row at all", letter.Key)
		}
	}
	return nil
}

// documentsPartial lets writers name some of the columns only.
func documentsPartial(ctx context.Context, w *world, f fault) error {
	w.crowd.leaving.Store(true)
	hold(ctx, f.duration)
	w.crowd.leaving.Store(false)
	return nil
}
