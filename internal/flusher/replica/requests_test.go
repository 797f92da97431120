// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replica_test

import (
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/writebehind/operator/internal/flusher/enginetest"
	"github.com/writebehind/operator/internal/flusher/entry"
	"github.com/writebehind/operator/internal/flusher/replica"
	"github.com/writebehind/operator/internal/flusher/replica/replicatest"
)

const bad = `{"name":"bad"}`

// refuses has the database refuse the document, or nothing.
func (m *machine) refuses(document string) {
	if document == "" {
		m.database.Rule("products", nil)
		return
	}
	m.database.Rule("products", func(_ string, payload []byte) *entry.Fault {
		if string(payload) == document {
			return enginetest.RefuseRow()
		}
		return nil
	})
}

// letters waits for as many dead letters, as the database and the flusher count them, of which
// none is asked for any more.
func (m *machine) letters(r *running, want int) []replica.Letter {
	m.t.Helper()
	var letters []replica.Letter
	m.within(time.Minute, "dead letters", func() error {
		var err error
		letters, err = m.store.Letters(m.t.Context(), "source", replica.Name{Queue: "products"}, 100)
		m.must(err)
		if n := r.queue().DeadLetters; len(letters) != want || n != int64(want) {
			return fmt.Errorf("there are %+v, the flusher counts %d, want %d", letters, n, want)
		}
		for _, l := range letters {
			if l.Asked {
				return fmt.Errorf("%+v is asked for", l)
			}
		}
		return nil
	})
	return letters
}

// are waits for these rows, and no others.
func (m *machine) are(want map[int]string) {
	m.t.Helper()
	m.within(10*time.Second, "rows", func() error {
		rows := m.database.Rows("products")
		for id, document := range want {
			if got := rows[strconv.Itoa(id)]; got != document {
				return fmt.Errorf("row %d is %q, want %q", id, got, document)
			}
		}
		if len(rows) != len(want) {
			return fmt.Errorf("there are %d rows, want %d", len(rows), len(want))
		}
		return nil
	})
}

// ask has letters tried again.
func (m *machine) ask(letters ...replica.Letter) {
	m.t.Helper()
	for _, l := range letters {
		m.must(m.store.Ask(m.t.Context(), "source", l.Name, l.Version))
	}
}

// good is the id of a row that the database takes, without which no refusal counts.
const good = 9

// inRefusal has a bad document of each key become a dead letter.
func inRefusal(t *testing.T, test func(m *machine, r *running), ids ...int) {
	t.Helper()
	inMachine(t, func(m *machine) { m.config.Flush.MaxRetries = 0 }, func(m *machine) {
		m.refuses(bad)
		r := m.start()
		m.has(5*time.Second, row)
		m.set(bad, ids...)
		m.set(row, good)
		m.letters(r, len(ids))
		test(m, r)
	})
}

func TestALetterThatIsAskedForIsWrittenAnew(t *testing.T) {
	t.Parallel()
	for name, between := range map[string]func(m *machine, r *running) *running{
		"by the one that reads": func(_ *machine, r *running) *running { return r },
		"by the next one":       func(m *machine, r *running) *running { r.stop(); return m.start() },
	} {
		t.Run(name, func(t *testing.T) {
			inRefusal(t, func(m *machine, r *running) {
				m.refuses("")
				m.ask(m.letters(r, 2)...)
				r = between(m, r)
				m.are(map[int]string{1: bad, 2: bad, good: row})
				m.letters(r, 0)
			}, 1, 2)
		})
	}
}

// What has expired is written as SET has left it; what was deleted since is superseded.
func TestALetterOfAKeyThatIsGone(t *testing.T) {
	t.Parallel()
	inRefusal(t, func(m *machine, r *running) {
		m.refuses("")
		m.redis.Do(func(c *replicatest.Commands) { c.Expire(key(1)); c.Delete(key(2)) })
		left := m.letters(r, 1)
		m.ask(left...)
		m.are(map[int]string{1: bad, good: row})
		m.letters(r, 0)
	}, 1, 2)
}

func TestALetterThatIsRefusedAgainIsALetter(t *testing.T) {
	t.Parallel()
	inRefusal(t, func(m *machine, r *running) {
		before := m.letters(r, 1)[0]
		m.ask(before)
		m.set(row, good)
		m.within(10*time.Second, "another letter", func() error {
			if l := m.letters(r, 1)[0]; l.Asked || !l.LastFailure.After(before.LastFailure) {
				return errors.New("it is the same")
			}
			return nil
		})
		m.has(5*time.Second, row, good)
	}, 1)
}

// A letter whose value is lost, or whose key cannot be read, is as it was.
func TestALetterOfWhichNothingComesStays(t *testing.T) {
	t.Parallel()
	inMachine(t, nil, func(m *machine) {
		r := m.start()
		m.has(5*time.Second, row)
		m.redis.Do(func(c *replicatest.Commands) { c.SetField(key(1), "name", "x") })
		before := m.letters(r, 1)[0]
		m.redis.Do(func(c *replicatest.Commands) { c.Expire(key(1)) })
		m.ask(before)
		m.within(10*time.Second, "the same letter, not asked for", func() error {
			if l := m.letters(r, 1)[0]; l.Version != before.Version {
				return fmt.Errorf("it is %+v", l)
			}
			return nil
		})
	})
}

// Whoever waits for a write was told of a dead letter, and later ones do not wait for what
// becomes of it.
func TestALetterThatIsAskedForHoldsUpNobody(t *testing.T) {
	t.Parallel()
	inMachine(t, func(m *machine) { m.config.Flush.MaxRetries = 0 }, func(m *machine) {
		m.refuses(bad)
		r := m.start()
		m.has(5*time.Second, row)
		m.set(bad, 1)
		m.set(row, good)
		letters := m.letters(r, 1)
		m.config.Flush.MaxRetries = 100
		r.Apply(m.config)
		m.ask(letters...)
		m.within(10*time.Second, "an attempt that is refused", func() error {
			if s := r.queue(); s.Refused != 1 {
				return fmt.Errorf("the queue is %+v", s)
			}
			return nil
		})
		acknowledged := make(chan int64, 100)
		m.redis.Acknowledged(func(_ string, offset int64) { acknowledged <- offset })
		m.set(row, 2)
		_, written := m.redis.End()
		for at := range acknowledged {
			if at >= written {
				break
			}
		}
		m.has(0, row, 2, good)
		position, err := m.store.Position(t.Context(), "source")
		m.must(err)
		m.within(5*time.Second, "a position that has moved", func() error {
			if position, err = m.store.Position(t.Context(), "source"); err != nil || position.Offset < written {
				return fmt.Errorf("%+v, %w", position, err)
			}
			return nil
		})
		m.refuses("")
		m.within(time.Hour, "the row", func() error {
			if got := m.database.Rows("products")["1"]; got != bad {
				return fmt.Errorf("it is %q", got)
			}
			return nil
		})
		m.letters(r, 0)
	})
}

func TestALetterThatIsDiscardedIsNotCounted(t *testing.T) {
	t.Parallel()
	inRefusal(t, func(m *machine, r *running) {
		l := m.letters(r, 2)[0]
		m.must(m.store.Discard(t.Context(), "source", l.Name, l.Version))
		m.letters(r, 1)
	}, 1, 2)
}

// A later write is what counts, whenever it comes.
func TestALaterWriteIsWrittenInsteadOfTheLetter(t *testing.T) {
	t.Parallel()
	inRefusal(t, func(m *machine, r *running) {
		m.ask(m.letters(r, 1)...)
		m.set(row, 1)
		m.has(10*time.Second, row, 1, good)
		m.letters(r, 0)
	}, 1)
}
