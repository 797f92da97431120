// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package flusher_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	cachev1alpha1 "github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher"
	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/enginetest"
	"github.com/writebehind/operator/internal/flusher/entry"
)

// refusing refuses rows whose document has the word in it.
func refusing(word string, fault func() *entry.Fault) enginetest.Rule {
	return func(_ string, document []byte) *entry.Fault {
		if strings.Contains(string(document), word) {
			return fault()
		}
		return nil
	}
}

func TestWritesOfAnIntervalAreOneRow(t *testing.T) {
	t.Parallel()
	inWorld(t, nil, func(w *world) {
		m := w.startReady()
		w.set(`{"name":"first"}`, 1)
		w.set(goodRow, 1)
		w.drained(interval + time.Second)
		w.holds(goodRow, 1)
		if stats := w.stats(); stats.Writes != 2 || stats.Flushed != 1 || stats.Coalesced != 1 {
			t.Errorf("the stats are %+v", stats)
		}
		if n := m.faults.Calls("Write"); n != 1 {
			t.Errorf("%d transactions", n)
		}
		w.source.Delete(products, key(1))
		w.drained(interval + time.Second)
		w.holds(goodRow)
	})
}

func TestAFullBatchWaitsForNoInterval(t *testing.T) {
	t.Parallel()
	inWorld(t, func(c *config.Config) {
		c.Flush.IntervalMilliseconds, c.Flush.BatchSize, c.Mappings[0].Partitions = 60_000, 10, 1
	}, func(w *world) {
		w.startReady()
		w.set(goodRow, upTo(25)...)
		w.written(time.Second, 20)
		time.Sleep(10 * time.Second)
		w.holds(goodRow, upTo(20)...)
		w.drained(time.Minute)
	})
}

// TestFullBatchesWaitForNoRowThatIsTriedAgain has many rows refused for good: that some of them
// are tried again is no flush, after which what fills a batch would have to wait.
func TestFullBatchesWaitForNoRowThatIsTriedAgain(t *testing.T) {
	t.Parallel()
	const refused, batch, more = 600, 100, 3000
	inWorld(t, coalescing(batch), func(w *world) {
		w.startReady()
		w.database.Rule(products, refusing("bad", enginetest.RefuseRow))
		for id := range refused {
			w.set(`{"name":"bad"}`, 2*id)
			w.set(goodRow, 2*id+1)
			time.Sleep(time.Minute / refused)
		}
		w.written(10*time.Minute, refused)
		time.Sleep(10 * time.Minute) // Now they are tried again at any time.
		if stats := w.stats(); stats.Refused != refused {
			t.Fatalf("the stats are %+v", stats)
		}
		for id := range more {
			w.set(goodRow, 2*refused+id)
		}
		// Four sweeps of eight batches, five seconds apart. Less than a batch may wait for more.
		w.within(17*time.Second, "full batches", func() error {
			if rows := len(w.database.Rows(products)); rows < refused+more-batch {
				return fmt.Errorf("%d rows are written", rows)
			}
			return nil
		})
	})
}

// TestABatchThatFailedIsNoFlush: what fills a batch is tried again at once.
func TestABatchThatFailedIsNoFlush(t *testing.T) {
	t.Parallel()
	for name, broken := range map[string]string{"the database": "Write", "the source": "Acknowledge", "before a claim": "Claim"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, coalescing(10), func(w *world) {
				m := w.startReady()
				m.faults.Break(enginetest.Fault{Err: &entry.Fault{Kind: entry.Contention, Reason: cachev1alpha1.ReasonStatementFailed, Message: "it fails"}, Times: 1}, broken)
				w.set(goodRow, upTo(10)...)
				w.drained(2 * time.Second)
				w.holds(goodRow, upTo(10)...)
			})
		})
	}
}

// coalescing has one partition, in which a full batch alone is flushed before an hour is over,
// five seconds after the flush before.
func coalescing(batch int) func(*config.Config) {
	return func(c *config.Config) {
		c.Capture, c.Flush.IntervalMilliseconds, c.Flush.BatchSize, c.Flush.MaxRetries = config.CaptureReplication, 3_600_000, batch, 1000
		c.Mappings[0].Partitions = 1
	}
}

// TestABadRowIsFoundAmongGoodOnes: they are written at once, and it alone is tried again
// until it becomes a dead letter, whether the database points at it or not.
func TestABadRowIsFoundAmongGoodOnes(t *testing.T) {
	t.Parallel()
	for name, prepare := range map[string]func(*enginetest.Database){
		"pointed at": func(*enginetest.Database) {}, "searched": (*enginetest.Database).Silence,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, func(c *config.Config) { c.Mappings[0].Partitions, c.Flush.MaxRetries = 1, 2 }, func(w *world) {
				m := w.startReady()
				prepare(w.database)
				w.database.Rule(products, refusing("bad", enginetest.RefuseRow))
				w.set(goodRow, upTo(50)...)
				w.set(`{"name":"bad"}`, 51)
				w.set(goodRow, 52)
				w.written(interval+time.Second, 51)
				if n := m.faults.Calls("Write"); n > 20 {
					t.Errorf("one bad row of 52 costs %d transactions", n)
				}
				if stats := w.stats(); stats.Depth != 1 || stats.Refused != 1 || stats.Dead != 0 {
					t.Errorf("the stats are %+v", stats)
				}
				if s := m.mapping(); !s.Ready.OK || s.LastError == "" || strings.Contains(s.LastError, "product:") {
					t.Errorf("the mapping is %+v", s)
				}
				w.drained(time.Minute)
				letter := w.source.DeadLetters(products)[key(51)]
				if letter.Cause != entry.CauseRefused || letter.SQLState != "23514" || letter.Attempts != 3 || letter.Payload != `{"name":"bad"}` {
					t.Errorf("the dead letter is %+v", letter)
				}
			})
		})
	}
}

// TestARowThatEndsEverySessionIsFound by ever smaller claims, and set aside: the others
// are written, and the circuit stays closed.
func TestARowThatEndsEverySessionIsFound(t *testing.T) {
	t.Parallel()
	inWorld(t, func(c *config.Config) { c.Mappings[0].Partitions, c.Flush.MaxRetries = 1, 2 }, func(w *world) {
		m := w.startReady()
		w.database.Rule(products, refusing("killer", func() *entry.Fault {
			fault := enginetest.Away()
			fault.SessionEnded, fault.AtRows = true, true
			return fault
		}))
		w.set(goodRow, upTo(20)...)
		w.set(`{"name":"killer"}`, 21)
		w.set(goodRow, 22)
		w.within(5*time.Minute, "the good rows", func() error {
			if s := m.Status(); s.Circuit != "closed" {
				t.Fatalf("the circuit is %s", s.Circuit)
			}
			if rows := len(w.database.Rows(products)); rows != 21 {
				return fmt.Errorf("%d rows are written", rows)
			}
			return nil
		})
		w.drained(time.Hour)
		if letter := w.source.DeadLetters(products)[key(21)]; letter.Cause != entry.CauseRefused || !strings.Contains(letter.Message, "ends the session") {
			t.Errorf("the dead letter is %+v", letter)
		}
	})
}

// TestWhatAFaultMakesOfTheNextBatch has one batch fail once: whatever it is, everything is
// written in the end and no row pays for it.
func TestWhatAFaultMakesOfTheNextBatch(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault entry.Fault
		// epochs are how many more begin, tables how many more reads of the table there are.
		epochs, tables   int
		earliest, latest time.Duration
	}{
		"a deadlock is tried again at once":          {fault: entry.Fault{Kind: entry.Contention}, latest: 2 * interval},
		"a lock is waited for":                       {fault: entry.Fault{Kind: entry.Locked}, epochs: 1, earliest: 3 * time.Second, latest: 6 * time.Second},
		"a server that was away gets a new epoch":    {fault: entry.Fault{Kind: entry.Transient}, epochs: 1, latest: 6 * time.Second},
		"so does one that may yet commit":            {fault: entry.Fault{Kind: entry.Contention, Unsettled: true}, epochs: 1, latest: 6 * time.Second},
		"what is too heavy is halved":                {fault: entry.Fault{Kind: entry.TooHeavy, SQLSTATE: "53400", AtRows: true}, latest: 2 * interval},
		"so is what refers to rows on their way":     {fault: entry.Fault{Kind: entry.Order, SQLSTATE: "23503", AtRows: true}, latest: 2 * interval},
		"a table that does not fit is looked at":     {fault: entry.Fault{Kind: entry.Mapping, SQLSTATE: "42703"}, epochs: 1, tables: 1, latest: 6 * time.Second},
		"a fault of the session begins a new one":    {fault: entry.Fault{Kind: entry.Transient, SessionEnded: true, AtRows: true}, epochs: 1, latest: 6 * time.Second},
		"another one at the rows is tried once more": {fault: entry.Fault{Kind: entry.Transient, SQLSTATE: "XX000", AtRows: true}, epochs: 1, latest: 6 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, func(c *config.Config) { c.Mappings[0].Partitions = 1 }, func(w *world) {
				m := w.startReady()
				fault := c.fault
				fault.Reason, fault.Message = cachev1alpha1.ReasonStatementFailed, "it fails"
				epochs, tables, began := m.faults.Calls("Acquire"), m.faults.Calls("Table"), time.Now()
				m.faults.Break(enginetest.Fault{Err: &fault, Times: 1}, "Write")
				w.set(goodRow, upTo(10)...)
				w.drained(time.Minute)
				if lasted := time.Since(began); lasted < c.earliest || lasted > c.latest {
					t.Errorf("everything is written after %v, want %v to %v", lasted, c.earliest, c.latest)
				}
				w.holds(goodRow, upTo(10)...)
				if got := m.faults.Calls("Acquire") - epochs; got != c.epochs {
					t.Errorf("%d epochs begin, want %d", got, c.epochs)
				}
				if got := m.faults.Calls("Table") - tables; got < c.tables {
					t.Errorf("the table is read %d times, want %d", got, c.tables)
				}
				if stats := w.stats(); stats.Dead+stats.DataLoss != 0 {
					t.Errorf("the stats are %+v", stats)
				}
			})
		})
	}
}

func TestWhatCannotBeARowIsADeadLetterAtOnce(t *testing.T) {
	t.Parallel()
	inWorld(t, nil, func(w *world) {
		w.startReady()
		w.set(`[1]`, 1)
		w.source.Set(products, "product:x", goodRow)
		w.set(goodRow, 2, 3)
		w.source.LoseValue(products, key(3))
		w.drained(interval + time.Second)
		w.holds(goodRow, 2)
		letters := w.source.DeadLetters(products)
		for at, cause := range map[string]string{
			key(1): entry.CauseNotADocument, "product:x": entry.CauseNotAKey, key(3): entry.CauseValueLost,
		} {
			if letters[at].Cause != cause {
				t.Errorf("%s is %+v, want cause %s", at, letters[at], cause)
			}
		}
		if stats := w.stats(); stats.DataLoss != 1 || stats.Dead != 3 {
			t.Errorf("the stats are %+v", stats)
		}
		// No row has that key, so that its removal is done.
		w.source.Delete(products, "product:x")
		w.drained(interval + time.Second)
		if letter, there := w.source.DeadLetters(products)["product:x"]; there {
			t.Errorf("of a key that is deleted there is the letter %+v", letter)
		}
	})
}

// TestAMappingThatTakesNoRowPauses for as long as that lasts, and no row pays for it.
func TestAMappingThatTakesNoRowPauses(t *testing.T) {
	t.Parallel()
	inWorld(t, func(c *config.Config) { c.Flush.MaxRetries = 1 }, func(w *world) {
		m := w.startReady()
		w.database.Rule(products, func(string, []byte) *entry.Fault { return enginetest.RefuseRow() })
		w.set(goodRow, upTo(100)...)
		w.within(10*time.Second, "a pause", func() error {
			if ready := m.mapping().Ready; ready.Reason != cachev1alpha1.ReasonMappingPaused {
				return fmt.Errorf("the mapping is %+v", ready)
			}
			return nil
		})
		before := m.faults.Calls("Claim")
		time.Sleep(10 * time.Minute)
		// Once an interval, in each of four partitions.
		if trials := m.faults.Calls("Claim") - before; trials < 500 || trials > 4*601 {
			t.Errorf("%d trials in ten minutes of a pause", trials)
		}
		if stats := w.stats(); stats.Depth != 100 || stats.Dead != 0 {
			t.Errorf("a pause leaves %+v", stats)
		}
		w.database.Rule(products, nil)
		w.drained(5 * time.Minute)
		w.holds(goodRow, upTo(100)...)
		if ready := m.mapping().Ready; !ready.OK {
			t.Errorf("the mapping is %+v", ready)
		}
	})
}

// TestAnAlteredTableIsReadAnew, and the claim is written at once.
func TestAnAlteredTableIsReadAnew(t *testing.T) {
	t.Parallel()
	inWorld(t, nil, func(w *world) {
		m := w.startReady()
		w.database.Alter(products)
		w.set(goodRow, 1)
		w.drained(interval + time.Second)
		w.holds(goodRow, 1)
		if begun := m.faults.Calls("Acquire"); begun != 4 {
			t.Errorf("%d epochs for four partitions", begun)
		}
	})
}

// TestTheCircuitKeepsWorkFromADatabaseThatFails at every batch: it is opened, tried
// rarely, and closed by the first batch that gets through. No row pays for it.
func TestTheCircuitKeepsWorkFromADatabaseThatFails(t *testing.T) {
	t.Parallel()
	inWorld(t, func(c *config.Config) { c.Flush.CircuitBreaker.OpenMilliseconds = 30_000 }, func(w *world) {
		m := w.startReady()
		m.faults.Break(enginetest.Fault{}, "Write")
		w.set(goodRow, upTo(20)...)
		w.within(time.Minute, "an open circuit", func() error {
			if s := m.Status(); s.Circuit != "open" || s.Database.Reason != cachev1alpha1.ReasonCircuitOpen {
				return fmt.Errorf("the circuit is %s, the database %+v", s.Circuit, s.Database)
			}
			return nil
		})
		before := m.faults.Calls("Write")
		time.Sleep(10 * time.Minute)
		if tries := m.faults.Calls("Write") - before; tries < 5 || tries > 25 {
			t.Errorf("%d transactions in ten minutes of an open circuit", tries)
		}
		m.faults.Mend()
		w.drained(2 * time.Minute)
		w.holds(goodRow, upTo(20)...)
		w.within(time.Minute, "a closed circuit", func() error {
			if s := m.Status(); s.Circuit != "closed" || !s.Database.OK {
				return fmt.Errorf("the circuit is %s, the database %+v", s.Circuit, s.Database)
			}
			return nil
		})
		if stats := w.stats(); stats.Dead != 0 || stats.Refused != 0 {
			t.Errorf("an outage counts against rows: %+v", stats)
		}
	})
}

// TestALostAnswerLosesNoWrite: whatever took effect and was not told begins a new epoch,
// and the entries are written again.
func TestALostAnswerLosesNoWrite(t *testing.T) {
	t.Parallel()
	unsettled := enginetest.Away()
	unsettled.Unsettled, unsettled.SessionEnded = true, true
	for call, fault := range map[string]enginetest.Fault{
		"Write":       {Err: unsettled, Late: true, Times: 1},
		"Claim":       {Late: true, Times: 1},
		"Acknowledge": {Late: true, Times: 1},
		"Begin":       {Late: true, Times: 1},
		"Acquire":     {Late: true, Times: 1},
		"Beat":        {Late: true, Times: 1},
		"Poll":        {Times: 1},
	} {
		t.Run(call, func(t *testing.T) {
			t.Parallel()
			inWorld(t, func(c *config.Config) { c.Mappings[0].Partitions = 1 }, func(w *world) {
				m := w.startReady()
				m.faults.Break(fault, call)
				if call == "Begin" || call == "Acquire" {
					// Only an epoch that is lost begins another one.
					m.faults.Break(enginetest.Fault{Times: 1}, "Claim")
				}
				w.set(goodRow, upTo(5)...)
				w.drained(30 * time.Second)
				w.holds(goodRow, upTo(5)...)
				if stats := w.stats(); stats.Dead+stats.DataLoss+stats.Refused != 0 {
					t.Errorf("the stats are %+v", stats)
				}
			})
		})
	}
}

// outdated is a source whose functions are always older than the flusher's.
type outdated struct{ flusher.Source }

func (o outdated) Beat(ctx context.Context, s config.QueueSettings, member string, ttl int64, seen entry.Seen) (entry.Membership, error) {
	beat, err := o.Source.Beat(ctx, s, member, ttl, seen)
	beat.Outdated = true
	return beat, err
}

// TestALossIsToldThoughTheFunctionsCannotBeLoaded: one beat tells of it, and no other.
func TestALossIsToldThoughTheFunctionsCannotBeLoaded(t *testing.T) {
	t.Parallel()
	inWorld(t, func(c *config.Config) { c.Flush.IntervalMilliseconds = 600_000 }, func(w *world) {
		m := w.startOf(func(s flusher.Source) flusher.Source { return outdated{s} })
		w.ready(m)
		if n := m.faults.Calls("Prepare"); n < 2 {
			t.Errorf("functions that are older are loaded %d times", n)
		}
		w.set(goodRow, upTo(5)...)
		time.Sleep(3 * time.Second)
		m.faults.Break(enginetest.Fault{}, "Prepare")
		w.source.Forget(products, 2)
		w.within(3*time.Second, "a word of the loss", func() error {
			if told := m.mapping().LastError; !strings.Contains(told, "at least 2 writes are lost") {
				return fmt.Errorf("%q is told", told)
			}
			return nil
		})
	})
}

func TestASourceThatWasWipedBeginsAnew(t *testing.T) {
	t.Parallel()
	inWorld(t, nil, func(w *world) {
		m := w.startReady()
		w.set(goodRow, upTo(10)...)
		w.source.Wipe()
		w.within(10*time.Second, "a new journal", func() error {
			if s := m.mapping(); s.DataLossEvents != 1 || len(s.Partitions) != 4 {
				return fmt.Errorf("the mapping is %+v", s)
			}
			return nil
		})
		w.set(goodRow, 1)
		w.drained(10 * time.Second)
		w.holds(goodRow, 1)
	})
}

// TestTheStatusNamesNoKey: whoever reaches the port reads it, without a password.
func TestTheStatusNamesNoKey(t *testing.T) {
	t.Parallel()
	inWorld(t, func(c *config.Config) { c.Mappings[0].Partitions, c.Flush.MaxRetries = 1, 2 }, func(w *world) {
		m := w.startReady()
		w.database.Rule(products, refusing("bad", enginetest.RefuseRow))
		w.set(goodRow, 52)
		w.set(`{"name":"bad"}`, 51)
		look := func(want string) {
			t.Helper()
			status, err := json.Marshal(m.Status())
			if err != nil {
				t.Fatal(err)
			}
			if text := string(status); !strings.Contains(text, want) || strings.Contains(text, "product:") {
				t.Errorf("the status is %s", text)
			}
		}
		w.written(interval+time.Second, 1)
		look("a row is refused: ")
		w.drained(time.Minute)
		look("a row is a dead letter: ")
	})
}
