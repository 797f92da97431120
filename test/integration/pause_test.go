// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/writebehind/operator/test/programs"
)

func TestAMappingWhoseRowsAreAllRefusedIsPausedAndNothingIsDead(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.config.Mappings[0].Partitions = 1
	s.write()
	s.db.Exec(t, `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not today'; END $$;
		CREATE TRIGGER refuse BEFORE INSERT ON products FOR EACH ROW EXECUTE FUNCTION refuse()`)
	p := s.startReady()
	pipe := s.rdb.Pipeline()
	for id := range 50 {
		pipe.FCall(t.Context(), "wb_set", []string{fmt.Sprintf("product:%d", id)}, "products", `{"name":"x","price":1,"stock":1}`)
	}
	_, err := pipe.Exec(t.Context())
	s.must(err)
	s.eventually("the mapping is paused", func() error {
		q := s.status(p).Queues[0]
		if q.Ready.Reason != "MappingPaused" || !strings.Contains(q.Ready.Message, "P0001") || q.DeadLetters != 0 {
			return fmt.Errorf("status is %+v", q)
		}
		return nil
	})
	s.db.Exec(t, "DROP TRIGGER refuse ON products")
	s.drained()
	s.eventuallyPausedNoMore(p)
	if got := s.db.Value(t, "SELECT count(*) FROM products"); got != "50" {
		t.Errorf("%s rows, want 50", got)
	}
}

// TestARowAloneInItsPartitionSpendsNoAttemptWhileTheMappingIsPaused has one
// partition with enough rows to tell that the mapping is at fault, and one with a
// single row, which could not tell.
func TestARowAloneInItsPartitionSpendsNoAttemptWhileTheMappingIsPaused(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.config.Flush.MaxRetries = 0
	s.config.Mappings[0].Partitions = 2
	s.db.Exec(t, `CREATE SEQUENCE tries;
		CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			IF NEW.name = 'alone' THEN PERFORM nextval('tries'); END IF; RAISE EXCEPTION 'not today'; END $$;
		CREATE TRIGGER refuse BEFORE INSERT ON products FOR EACH ROW EXECUTE FUNCTION refuse()`)
	many := make(map[int64]string)
	for id := int64(0); len(many) < 20; {
		id = keyIn(0, 2, id+1)
		many[id] = `{"name":"many"}`
	}
	p := s.inOneBatch(many)
	s.eventually("the mapping is paused", func() error {
		if q := s.status(p).Queues[0]; q.Ready.Reason != "MappingPaused" {
			return fmt.Errorf("status is %+v", q)
		}
		return nil
	})
	alone := keyIn(1, 2, 1)
	s.set(alone, `{"name":"alone"}`)
	s.eventually("the row was tried three times", func() error {
		if got := s.db.Value(t, "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM tries"); len(got) == 1 && got < "3" {
			return errors.New(got + " times")
		}
		return nil
	})
	if stats := s.stats(); stats.Dead != 0 || stats.Refused != 0 {
		t.Errorf("attempts were spent: %+v", stats)
	}
	s.db.Exec(t, "DROP TRIGGER refuse ON products")
	s.drained()
	if got := s.db.Value(t, "SELECT count(*) FROM products"); got != "21" || s.stats().Dead != 0 {
		t.Errorf("%s rows, want 21; stats %+v", got, s.stats())
	}
}

// refuseAll makes the database refuse every row for want of a column of that name.
func (s *stack) refuseAll(column string) {
	s.t.Helper()
	s.db.Exec(s.t, "ALTER TABLE products ADD COLUMN "+column+" text NOT NULL")
}

func (s *stack) eventuallyPaused(p *programs.Flusher, cause string) {
	s.t.Helper()
	s.eventually("the mapping is paused for "+cause, func() error {
		q := s.status(p).Queues[0]
		if q.Ready.Reason != "MappingPaused" || !strings.Contains(q.Ready.Message, cause) {
			return fmt.Errorf("status is %+v", q)
		}
		return nil
	})
}

func (s *stack) eventuallyPausedNoMore(p *programs.Flusher) {
	s.t.Helper()
	s.eventually("the mapping is ready again", func() error {
		if q := s.status(p).Queues[0]; !q.Ready.OK || q.DeadLetters != 0 {
			return fmt.Errorf("status is %+v", q)
		}
		return nil
	})
}

// TestAPausedMappingThatIsRefusedForAnotherReasonStaysPaused exchanges one fault of
// the table for another.
func TestAPausedMappingThatIsRefusedForAnotherReasonStaysPaused(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.config.Flush.MaxRetries = 1
	s.config.Mappings[0].Partitions = 1
	s.refuseAll("must")
	documents := make(map[int64]string)
	for id := range int64(50) {
		documents[id] = `{"name":"x","price":1,"stock":1}`
	}
	p := s.inOneBatch(documents)
	s.eventuallyPaused(p, "must")
	s.db.Exec(t, "ALTER TABLE products DROP COLUMN must, ADD COLUMN other text NOT NULL")
	s.eventuallyPaused(p, "other")
	if stats := s.stats(); stats.Dead != 0 {
		t.Errorf("stats are %+v", stats)
	}
	s.db.Exec(t, "ALTER TABLE products DROP COLUMN other")
	s.drained()
	if stats := s.stats(); stats.Dead != 0 || stats.Flushed != 50 {
		t.Errorf("stats are %+v", stats)
	}
}

// TestAPausedMappingTriesEveryPartitionInTurn has one worker, a partition full of bad
// rows that are older, and a good row in another partition.
func TestAPausedMappingTriesEveryPartitionInTurn(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.config.Flush.Concurrency = 1
	s.config.Mappings[0].Partitions = 2
	s.db.Exec(t, negativeIsRefused)
	documents := make(map[int64]string)
	for id := int64(0); len(documents) < 12; {
		id = keyIn(0, 2, id+1)
		documents[id] = `{"name":"x","price":-1,"stock":1}`
	}
	p := s.inOneBatch(documents)
	s.eventuallyPaused(p, "P0001")
	good := keyIn(1, 2, 1)
	s.set(good, `{"name":"good","price":1,"stock":1}`)
	s.eventuallyRow(good, "good|1.00|1")
}

// TestAPausedMappingThatIsEmptyIsPausedNoMore: the bad rows were deleted.
func TestAPausedMappingThatIsEmptyIsPausedNoMore(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.config.Mappings[0].Partitions = 1
	s.db.Exec(t, negativeIsRefused)
	documents := make(map[int64]string)
	for id := range int64(12) {
		documents[id] = `{"name":"x","price":-1,"stock":1}`
	}
	p := s.inOneBatch(documents)
	s.eventuallyPaused(p, "P0001")
	for id := range documents {
		s.del(id)
	}
	s.drained()
	s.eventuallyPausedNoMore(p)
}

// TestDeletionsDoNotSayThatRowsGetThrough: they succeed though every row is refused.
func TestDeletionsDoNotSayThatRowsGetThrough(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.config.Flush.MaxRetries = 0
	s.config.Mappings[0].Partitions = 1
	s.config.Suspend = true
	s.config.Flush.BatchSize = 60
	s.refuseAll("must")
	s.write()
	p := s.startReady()
	for id := range int64(60) {
		if id%5 == 0 {
			s.del(id)
		} else {
			s.set(id, `{"name":"x","price":1,"stock":1}`)
		}
	}
	s.config.Suspend = false
	s.config.Revision++
	s.write()
	s.eventuallyPaused(p, "must")
	if stats := s.stats(); stats.Dead != 0 || stats.Depth != 48 {
		t.Errorf("stats are %+v", stats)
	}
	s.db.Exec(t, "ALTER TABLE products DROP COLUMN must")
	s.drained()
}
