// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replica_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/writebehind/operator/internal/flusher"
	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/enginetest"
	"github.com/writebehind/operator/internal/flusher/entry"
	"github.com/writebehind/operator/internal/flusher/replica"
	"github.com/writebehind/operator/internal/flusher/replica/replicatest"
)

// TestMain makes sure that nothing which was started goes on after it was stopped.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// machine is a server, a database and the flushers between them, in a bubble of its own time.
type machine struct {
	t        *testing.T
	redis    *replicatest.Redis
	store    replicatest.Store
	database *enginetest.Database
	config   *config.Config
	bounds   replica.Bounds
}

func inMachine(t *testing.T, edit func(*machine), test func(*machine)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		m := &machine{t: t, redis: replicatest.NewRedis(), database: enginetest.NewDatabase("products"), config: config.Default()}
		m.config.Flush.IntervalMilliseconds = 1000
		m.config.Mappings = []config.Mapping{products(4)}
		if edit != nil {
			edit(m)
		}
		test(m)
	})
}

// running is a flusher that runs.
type running struct {
	*flusher.Flusher
	source *replica.Source
	faults *enginetest.Faults
	stop   func()
}

func (m *machine) start() *running { return m.through(m.redis, m.redis) }

// through starts a flusher that has a way of its own to the server.
func (m *machine) through(primary replica.Primary, server replica.Server) *running {
	r := &running{faults: &enginetest.Faults{}}
	r.source = replica.New(m.config.Mappings, primary, server, &m.store, replica.Options{Name: "source", Bounds: m.bounds})
	r.Flusher = flusher.New(m.config, r.faults.Source(r.source), r.faults.Database(m.database), flusher.Options{})
	ctx, cancel := context.WithCancel(context.WithoutCancel(m.t.Context()))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r.Run(ctx)
	}()
	r.stop = func() {
		cancel()
		<-ended
	}
	m.t.Cleanup(r.stop)
	return r
}

func (r *running) queue() config.QueueStatus { return r.Status().Queues[0] }

func (m *machine) within(d time.Duration, what string, done func() error) {
	m.t.Helper()
	for deadline := time.Now().Add(d); ; time.Sleep(10 * time.Millisecond) {
		err := done()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			m.t.Fatalf("%s: not within %v: %v", what, d, err)
		}
	}
}

func (m *machine) must(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

const row = `{"name":"x"}`

func (m *machine) set(document string, ids ...int) {
	m.redis.Do(func(c *replicatest.Commands) {
		for _, id := range ids {
			c.Set(key(id), document)
		}
	})
}

func key(id int) string { return "product:" + strconv.Itoa(id) }

// has waits for the rows, all of them with the document.
func (m *machine) has(d time.Duration, document string, ids ...int) {
	m.t.Helper()
	m.within(d, "rows", func() error {
		rows := m.database.Rows("products")
		for _, id := range ids {
			if got := rows[strconv.Itoa(id)]; got != document {
				return fmt.Errorf("row %d is %q, want %q", id, got, document)
			}
		}
		if len(rows) != len(ids) {
			return fmt.Errorf("there are %d rows, want %d", len(rows), len(ids))
		}
		return nil
	})
}

func TestAFlusherCarriesWhatAnApplicationWrites(t *testing.T) {
	t.Parallel()
	inMachine(t, nil, func(m *machine) {
		m.set(row, 1, 2)
		r := m.start()
		m.has(5*time.Second, row, 1, 2) // by the scan
		m.set(row, 3)
		m.redis.Do(func(c *replicatest.Commands) { c.Delete(key(1)); c.Expire(key(2)) })
		m.has(5*time.Second, row, 2, 3)
		m.within(5*time.Second, "an empty queue", func() error {
			if s := r.queue(); s.Depth != 0 || s.Flushed == 0 || s.DataLossEvents != 0 || len(s.Partitions) != 4 || !strings.HasPrefix(s.Journal, "h") {
				return fmt.Errorf("the queue is %+v", s)
			}
			return nil
		})
		if check := r.Ready(); !check.OK {
			t.Errorf("it is not ready: %+v", check)
		}
		end := make(chan int64, 1)
		m.redis.Acknowledged(func(_ string, offset int64) {
			select {
			case <-end:
			default:
			}
			end <- offset
		})
		m.set(row, 4)
		_, written := m.redis.End()
		m.within(5*time.Second, "what is written is acknowledged", func() error {
			select {
			case offset := <-end:
				if offset >= written {
					return nil
				}
			default:
			}
			return errors.New("it is not")
		})
		m.has(0, row, 2, 3, 4)
	})
}

func TestAnotherFlusherTakesOver(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(r *running){
		"it stops":              func(r *running) { r.stop() },
		"it loses the database": func(r *running) { r.faults.Break(enginetest.Fault{}, "Acquire", "Write"); _ = r.source.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			inMachine(t, nil, func(m *machine) {
				first := m.start()
				m.set(row, 1)
				m.has(5*time.Second, row, 1)
				second := m.start()
				m.within(5*time.Second, "one that stands by and is ready", func() error {
					if check := second.Ready(); !check.OK || len(second.queue().Partitions) != 0 {
						return fmt.Errorf("it is %+v, %+v", check, second.queue())
					}
					return nil
				})
				m.set(row, 2)
				end(first)
				m.set(row, 3)
				m.has(15*time.Second, row, 1, 2, 3)
				if s := second.queue(); s.DataLossEvents != 0 || len(s.Partitions) != 4 {
					t.Errorf("the queue is %+v", s)
				}
			})
		})
	}
}

func TestAHistoryThatIsLostIsTold(t *testing.T) {
	t.Parallel()
	inMachine(t, nil, func(m *machine) {
		r := m.start()
		m.set(row, 1)
		m.has(5*time.Second, row, 1)
		before := r.queue().Journal
		m.redis.Restart(0)
		m.set(row, 2)
		m.has(10*time.Second, row, 1, 2)
		m.within(5*time.Second, "a word of the loss", func() error {
			if s := r.queue(); s.DataLossEvents != 1 || s.Journal == before {
				return fmt.Errorf("the queue is %+v", s)
			}
			return nil
		})
	})
}

func TestAFailOverIsNoLossUnlessSomethingIsLost(t *testing.T) {
	t.Parallel()
	for _, missing := range []int{0, 2} {
		inMachine(t, nil, func(m *machine) {
			r := m.start()
			m.set(row, 1)
			m.has(5*time.Second, row, 1)
			m.set(`{"name":"newer"}`, 1, 2)
			m.has(5*time.Second, `{"name":"newer"}`, 1, 2)
			time.Sleep(3 * time.Second) // the witness is written
			m.redis.FailOver(missing + missing/2)
			m.within(20*time.Second, "rows as the keys are", func() error {
				text, _ := m.redis.Text(key(1))
				if rows := m.database.Rows("products"); rows["1"] != text {
					return fmt.Errorf("the row is %q, the key %q", rows["1"], text)
				}
				if s := r.queue(); s.Depth != 0 || (s.DataLossEvents > 0) != (missing > 0) {
					return fmt.Errorf("the queue is %+v", s)
				}
				return nil
			})
			if told := r.source.Progress().Told; missing > 0 && !strings.Contains(told, "lost data that was already flushed") {
				t.Errorf("told is %q", told)
			}
		})
	}
}

func TestAKeyOfAnotherTypeIsADeadLetter(t *testing.T) {
	t.Parallel()
	inMachine(t, nil, func(m *machine) {
		r := m.start()
		m.has(5*time.Second, row)
		m.within(5*time.Second, "a stream that is read", func() error {
			if !r.source.Progress().Attached {
				return errors.New("it is not")
			}
			return nil
		})
		m.set(row, 1)
		m.redis.Do(func(c *replicatest.Commands) { c.SetField(key(2), "name", "x") })
		m.has(5*time.Second, row, 1)
		m.within(5*time.Second, "a dead letter", func() error {
			letters, err := m.store.Letters(t.Context(), "source", replica.Name{Queue: "products"}, 10)
			m.must(err)
			if len(letters) != 1 || !strings.Contains(letters[0].Message, "holds a hash") || !strings.Contains(letters[0].Message, "HSET") {
				return fmt.Errorf("there are %+v", letters)
			}
			return nil
		})
		m.redis.Do(func(c *replicatest.Commands) { c.Delete(key(2)); c.Set(key(2), row) })
		m.has(5*time.Second, row, 1, 2)
		m.within(5*time.Second, "no dead letter", func() error {
			if s := r.queue(); s.DeadLetters != 0 || s.Depth != 0 {
				return fmt.Errorf("the queue is %+v", s)
			}
			return nil
		})
	})
}

func TestARefusedRowWaitsInTheDatabase(t *testing.T) {
	t.Parallel()
	inMachine(t, func(m *machine) { m.config.Flush.MaxRetries = 50 }, func(m *machine) {
		m.database.Rule("products", func(key string, _ []byte) *entry.Fault {
			if key == "7" {
				return enginetest.RefuseRow()
			}
			return nil
		})
		r := m.start()
		m.set(row, 1, 7)
		m.has(10*time.Second, row, 1)
		refused := func() error {
			if s := r.queue(); s.Depth != 1 || s.Refused != 1 {
				return fmt.Errorf("the queue is %+v", s)
			}
			return nil
		}
		m.within(10*time.Second, "a row that is refused", refused)
		r.stop()
		position, err := m.store.Position(t.Context(), "source")
		_, end := m.redis.End()
		if err != nil || position.Offset < end-30 {
			t.Errorf("the position is %+v at offset %d, %v", position, end, err)
		}
		r = m.start()
		m.within(10*time.Second, "a row that is refused", refused)
		m.database.Rule("products", nil)
		m.has(2*time.Minute, row, 1, 7)
		m.within(5*time.Second, "nothing aside", func() error {
			aside, err := m.store.Aside(t.Context(), "source")
			m.must(err)
			if len(aside) > 0 {
				return fmt.Errorf("aside are %+v", aside)
			}
			return nil
		})
	})
}

func TestAStreamIsHeldForWantOfRoom(t *testing.T) {
	t.Parallel()
	inMachine(t, func(m *machine) { m.bounds.Dirty = 2000 }, func(m *machine) {
		r := m.start()
		m.set(row, 1)
		m.has(5*time.Second, row, 1)
		r.faults.Break(enginetest.Fault{}, "Acquire", "Write")
		var ids []int
		for id := range 200 {
			ids = append(ids, id+1)
			m.set(row, id+1)
		}
		m.within(5*time.Second, "a stream that waits", func() error {
			if p := r.source.Progress(); !p.Held || p.Bytes > 2500 {
				return fmt.Errorf("%+v", p)
			}
			return nil
		})
		r.faults.Mend()
		m.has(time.Minute, row, ids...)
		m.within(5*time.Second, "a stream that is read to its end", func() error {
			_, end := m.redis.End()
			if p := r.source.Progress(); p.Held || p.Read < end || p.Bytes != 0 || p.Marks != 0 {
				return fmt.Errorf("%+v at %d", p, end)
			}
			return nil
		})
	})
}

func TestAPausedMappingHoldsUpNobody(t *testing.T) {
	t.Parallel()
	inMachine(t, nil, func(m *machine) {
		m.redis.Keep(4000)
		m.database.Rule("products", func(string, []byte) *entry.Fault { return enginetest.RefuseRow() })
		r := m.start()
		var ids []int
		for id := range 300 {
			ids = append(ids, id+1)
			m.set(row, id+1)
			time.Sleep(100 * time.Millisecond)
		}
		m.within(time.Minute, "a position that has moved", func() error {
			_, end := m.redis.End()
			if p := r.source.Progress(); p.Carried < end-2000 || p.Marks != 300 {
				return fmt.Errorf("%+v at %d", p, end)
			}
			return nil
		})
		r.stop()
		m.database.Rule("products", nil)
		m.start()
		m.has(3*time.Minute, row, ids...)
	})
}

func TestWhatTheBacklogCannotKeepIsFlushedAtOnce(t *testing.T) {
	t.Parallel()
	inMachine(t, func(m *machine) { m.config.Flush.IntervalMilliseconds = 3_600_000 }, func(m *machine) {
		m.redis.Keep(4000)
		m.start()
		var ids []int
		for id := range 110 {
			ids = append(ids, id+1)
			m.set(row, id+1)
		}
		m.has(10*time.Second, row, ids...)
	})
}
