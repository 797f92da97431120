// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/journal"
	"github.com/writebehind/operator/internal/flusher/journal/journaltest"
	"github.com/writebehind/operator/internal/flusher/postgres/postgrestest"
)

// patience is how long a condition may take on a slow machine. No test is faster
// or slower for it.
const patience = 60 * time.Second

// program is the flusher's executable, built once.
var program string

func TestMain(m *testing.M) {
	journal.Quiet()
	os.Exit(build(m))
}

func build(m *testing.M) int {
	dir, err := os.MkdirTemp("", "flusher")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	program = filepath.Join(dir, "flusher")
	command := exec.Command("go", "build", "-race", "-o", program, "../../cmd/flusher")
	command.Stderr = os.Stderr
	if err := command.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "build the flusher:", err)
		return 1
	}
	return m.Run()
}

const productsTable = `CREATE TABLE products (
	id bigint PRIMARY KEY, name text, price numeric(10,2), stock integer CHECK (stock >= 0), updated_at timestamptz)`

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
	s := &stack{t: t, redis: journaltest.New(t, options...), db: postgrestest.New(t)}
	s.rdb = s.redis.Client(t)
	s.db.Exec(t, productsTable)
	c := config.Default()
	c.Redis.External.Addresses = []string{s.redis.Addr()}
	c.Database.Postgres.URLFile = s.db.URLFile(t)
	m := config.DefaultMapping()
	m.Name, m.KeyPrefix, m.Table, m.KeyColumn = "products", "product:", "public.products", "id"
	c.Mappings = []config.Mapping{m}
	c.Flush.IntervalMilliseconds = 100
	c.ListenAddress = "127.0.0.1:0"
	s.config = c
	s.file = filepath.Join(t.TempDir(), "config.yaml")
	s.write()
	return s
}

// write puts the config in place as a ConfigMap does, whole or not at all.
func (s *stack) write() {
	s.t.Helper()
	data, err := s.config.Marshal()
	s.must(err)
	s.must(os.WriteFile(s.file+".new", data, 0o600))
	s.must(os.Rename(s.file+".new", s.file))
}

func (s *stack) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// process is a running flusher.
type process struct {
	command *exec.Cmd
	log     *logBuffer
	address string
	ended   chan struct{}
	err     error
}

type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *logBuffer) Write(data []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(data)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// start runs a flusher until the test ends.
func (s *stack) start() *process {
	s.t.Helper()
	return s.run(exec.Command(program, "--config", s.file, "--debug"))
}

// run runs a command that is a flusher until the test ends.
func (s *stack) run(command *exec.Cmd) *process {
	s.t.Helper()
	p := &process{command: command, log: &logBuffer{}, ended: make(chan struct{})}
	p.command.Stderr = p.log
	p.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	s.must(p.command.Start())
	go func() {
		p.err = p.command.Wait()
		close(p.ended)
	}()
	s.t.Cleanup(func() {
		p.kill()
		if s.t.Failed() {
			s.t.Logf("the log of flusher %d:\n%s", p.command.Process.Pid, p.log)
		}
	})
	s.eventually("the flusher listens", func() error {
		for line := range strings.Lines(p.log.String()) {
			var entry struct{ Msg, Address string }
			if json.Unmarshal([]byte(line), &entry) == nil && strings.HasPrefix(entry.Msg, "Serving") {
				p.address = entry.Address
				return nil
			}
		}
		return errors.New("no address in its log yet")
	})
	return p
}

// startReady also waits until the flusher is ready.
func (s *stack) startReady() *process {
	s.t.Helper()
	p := s.start()
	s.eventually("the flusher is ready", func() error {
		code, body := s.get(p, "/readyz")
		if code != http.StatusOK {
			return fmt.Errorf("readyz answers %d: %s", code, body)
		}
		return nil
	})
	return p
}

func (p *process) signal(sig syscall.Signal) { _ = p.command.Process.Signal(sig) }

// kill ends the process at once and waits for its end.
func (p *process) kill() {
	p.signal(syscall.SIGKILL)
	<-p.ended
}

// stop asks the process to end and returns its exit code.
func (s *stack) stop(p *process) int {
	s.t.Helper()
	p.signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(patience):
		s.t.Fatal("the flusher does not end")
	}
	return p.command.ProcessState.ExitCode()
}

func (s *stack) get(p *process, path string) (int, string) {
	s.t.Helper()
	request, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, "http://"+p.address+path, nil)
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

func (s *stack) status(p *process) config.Status {
	s.t.Helper()
	var status config.Status
	code, body := s.get(p, "/status")
	if code == 0 {
		return status
	}
	s.must(json.Unmarshal([]byte(body), &status))
	return status
}

// eventually polls until check has nothing to complain about.
func (s *stack) eventually(what string, check func() error) {
	s.t.Helper()
	deadline := time.Now().Add(patience)
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("%s: not within %v: %v", what, patience, err)
		}
		<-ticker.C
	}
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

func (s *stack) stats() journal.Stats {
	s.t.Helper()
	stats, err := journal.New(s.rdb).Stats(context.WithoutCancel(s.t.Context()), "products")
	s.must(err)
	return stats
}

// deadLetters are those of the queue, by key.
func (s *stack) deadLetters() map[string]*journal.DeadLetter {
	s.t.Helper()
	all := make(map[string]*journal.DeadLetter)
	for letter, err := range journal.New(s.rdb).DeadLetters(s.t.Context(), "products") {
		s.must(err)
		all[letter.Key] = letter
	}
	return all
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

func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}
