// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/entry"
	"github.com/writebehind/operator/internal/flusher/journal"
	"github.com/writebehind/operator/internal/flusher/journal/journaltest"
	"github.com/writebehind/operator/internal/flusher/postgres/postgrestest"
	"github.com/writebehind/operator/test/programs"
	"github.com/writebehind/operator/test/servers"
)

// program is the flusher's executable, hasty that of one whose leases are short. They are
// built once, with the race detector.
var program, hasty string

func TestMain(m *testing.M) {
	journal.Quiet()
	os.Exit(programs.Main(m, func(folder string) error {
		program, hasty = filepath.Join(folder, "flusher"), filepath.Join(folder, "hasty")
		return programs.Build(context.Background(), folder, programs.WithRaceDetector, "cmd/flusher", "test/integration/hasty")
	}))
}

const productsTable = `CREATE TABLE products (
	id bigint PRIMARY KEY, name text, price numeric(10,2), stock integer CHECK (stock >= 0), updated_at timestamptz)`

// usualInterval is the flush interval of a stack, in ms.
const usualInterval = 400

// stack is one Redis, one database and one config file.
type stack struct {
	t      *testing.T
	redis  *journaltest.Server
	rdb    *redis.Client
	db     *postgrestest.Database
	config *config.Config
	file   string
}

func newStack(t *testing.T, options ...journaltest.Option) *stack {
	t.Helper()
	p := servers.Start(t, productsTable, options...)
	p.Config.Flush.IntervalMilliseconds = usualInterval
	s := &stack{t: t, redis: p.Redis, rdb: p.Redis.Client(t), db: p.Database, config: p.Config, file: p.File}
	s.write()
	return s
}

func (s *stack) write() {
	s.t.Helper()
	servers.Put(s.t, s.file, s.config)
}

// suspend makes the flusher keep from flushing, and waits until it does.
func (s *stack) suspend(p *programs.Flusher) {
	s.t.Helper()
	s.config.Suspend, s.config.Revision = true, s.config.Revision+1
	s.write()
	s.eventually("flushing is suspended", func() error {
		if status := s.status(p); !status.Suspended {
			return fmt.Errorf("status is %+v", status)
		}
		return nil
	})
}

// resume lets flushers flush again.
func (s *stack) resume() {
	s.t.Helper()
	s.config.Suspend, s.config.Revision = false, s.config.Revision+1
	s.write()
}

func (s *stack) must(err error) {
	s.t.Helper()
	programs.Must(s.t, err)
}

// start runs a flusher until the test ends.
func (s *stack) start() *programs.Flusher {
	s.t.Helper()
	return s.run(exec.Command(program, "--config", s.file, "--debug"))
}

// run runs a command that is a flusher until the test ends.
func (s *stack) run(command *exec.Cmd) *programs.Flusher {
	s.t.Helper()
	return programs.RunFlusher(s.t, programs.Usual, command)
}

// startReady also waits until the flusher is ready.
func (s *stack) startReady() *programs.Flusher {
	s.t.Helper()
	p := s.start()
	p.Eventually(s.t, programs.Usual, "the flusher is ready", func() error {
		code, body := s.get(p, "/readyz")
		if code != http.StatusOK {
			return fmt.Errorf("readyz answers %d: %s", code, body)
		}
		return nil
	})
	return p
}

// stop asks the process to end and returns its exit code.
func (s *stack) stop(p *programs.Flusher) int {
	s.t.Helper()
	return p.Stop(s.t, programs.Usual.Limit)
}

func (s *stack) get(p *programs.Flusher, path string) (int, string) {
	s.t.Helper()
	request, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, "http://"+p.Address+path, nil)
	s.must(err)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err.Error()
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	s.must(err)
	return response.StatusCode, string(body)
}

func (s *stack) status(p *programs.Flusher) config.Status {
	s.t.Helper()
	var status config.Status
	code, body := s.get(p, "/status")
	if code == 0 {
		return status
	}
	s.must(json.Unmarshal([]byte(body), &status))
	return status
}

func (s *stack) eventually(what string, check func() error) {
	s.t.Helper()
	programs.Usual.Eventually(s.t, what, check)
}

func (s *stack) eventuallyRow(id int64, want string) {
	s.t.Helper()
	s.eventually(fmt.Sprintf("row %d is %s", id, want), func() error {
		got := s.db.Value(s.t, "SELECT concat_ws('|', name, price, stock) FROM products WHERE id = $1", id)
		if got != want {
			return fmt.Errorf("it is %q", got)
		}
		return nil
	})
}

// drained waits until the queue is empty.
func (s *stack) drained() {
	s.t.Helper()
	s.eventually("the queue is empty", func() error {
		if stats := s.stats(); stats.Depth != 0 {
			return fmt.Errorf("stats are %+v", stats)
		}
		return nil
	})
}

func (s *stack) stats() entry.Stats {
	s.t.Helper()
	stats, err := journal.New(s.rdb).Stats(context.WithoutCancel(s.t.Context()), "products")
	s.must(err)
	return stats
}

// deadLetters are those of the queue, whole, by key.
func (s *stack) deadLetters() map[string]*entry.DeadLetter {
	s.t.Helper()
	all := make(map[string]*entry.DeadLetter)
	j := journal.New(s.rdb)
	for known, err := range j.DeadLetters(s.t.Context(), "products") {
		s.must(err)
		letter, err := j.DeadLetter(s.t.Context(), "products", known.Key)
		s.must(err)
		all[letter.Key] = letter
	}
	return all
}

// opened waits until the queue takes writes. Where the database is away that comes after
// it was looked at in vain.
func (s *stack) opened() {
	s.t.Helper()
	s.eventually("the queue takes writes", func() error {
		return s.rdb.FCallRO(s.t.Context(), "wb_stats", nil, "products").Err()
	})
}

func (s *stack) set(id int64, document string) int64 {
	s.t.Helper()
	version, err := s.rdb.FCall(s.t.Context(), "wb_set", []string{fmt.Sprintf("product:%d", id)}, "products", document).Int64()
	s.must(err)
	return version
}

func (s *stack) del(id int64) {
	s.t.Helper()
	s.must(s.rdb.FCall(s.t.Context(), "wb_del", []string{fmt.Sprintf("product:%d", id)}, "products").Err())
}
