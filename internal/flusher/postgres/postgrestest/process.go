// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgrestest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// start starts the server in the prepared directory and waits for it.
func (s *Server) start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		ended, err := s.launch()
		if err != nil {
			return err
		}
		err = s.awaitReady(ctx, ended)
		if err == nil {
			return nil
		}
		s.signal(syscall.SIGQUIT)
		<-ended
		// After a kill the old server's processes may still hold its shared
		// memory; then the new one ends at once and is started again.
		if !s.lingers() || ctx.Err() != nil {
			return fmt.Errorf("start PostgreSQL on port %d: %w: %s", s.port, err, s.logTail())
		}
		select {
		case <-ctx.Done():
		case <-time.After(pollInterval):
		}
	}
}

func (s *Server) launch() (chan struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	// The server must outlive the context that it is started with.
	cmd := s.command(context.Background(), "postgres", "-D", s.data())
	if s.options.Log != nil {
		cmd.Stdout, cmd.Stderr = s.options.Log, s.options.Log
	} else {
		log, err := os.OpenFile(s.logFile(), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
		if err != nil {
			return nil, fmt.Errorf("open the server's log: %w", err)
		}
		defer log.Close()
		cmd.Stdout, cmd.Stderr = log, log
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start PostgreSQL: %w", err)
	}
	ended := make(chan struct{})
	s.process, s.ended = cmd, ended
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	return ended, nil
}

func (s *Server) awaitReady(ctx context.Context, ended <-chan struct{}) error {
	for {
		conn, err := pgx.Connect(ctx, s.SocketURL("postgres"))
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-ended:
			return errors.New("the server ended")
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(pollInterval):
		}
	}
}

func (s *Server) lingers() bool {
	text := s.logTail()
	return strings.Contains(text, "shared memory block") || strings.Contains(text, "lock file")
}

func (s *Server) logFile() string {
	return filepath.Join(s.dir, "log")
}

func (s *Server) logTail() string {
	data, _ := os.ReadFile(s.logFile())
	return string(data[max(0, len(data)-2000):])
}

// signal sends a signal to the server's first process and gives the channel
// that is closed when it has ended; nil if it is not running.
func (s *Server) signal(sig syscall.Signal) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil {
		return nil
	}
	_ = s.process.Process.Signal(sig)
	return s.ended
}

// backends are the server's own processes; none where the system does not tell.
func (s *Server) backends() []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil {
		return nil
	}
	data, err := os.ReadFile(fmt.Sprintf("/proc/%[1]d/task/%[1]d/children", s.process.Process.Pid))
	if err != nil {
		return nil
	}
	var pids []int
	for field := range strings.FieldsSeq(string(data)) {
		if pid, err := strconv.Atoi(field); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// startGuard starts a process that waits for this one to end, in whatever way,
// and then ends the server and removes what must not stay. It waits by reading
// from a pipe that nobody else can write to.
func (s *Server) startGuard() error {
	const script = `cat >/dev/null
if [ -f "$1/data/postmaster.pid" ]; then
  pid=$(head -n 1 "$1/data/postmaster.pid")
  kill -QUIT "$pid" 2>/dev/null
  for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.1
  done
fi
if [ "$2" = remove ]; then rm -rf -- "$1"; fi`
	keep := "keep"
	if s.options.Dir == "" {
		keep = "remove"
	}
	guard := exec.Command("/bin/sh", "-c", script, "sh", s.dir, keep)
	guard.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	guard.Dir = "/"
	pipe, err := guard.StdinPipe()
	if err != nil {
		return fmt.Errorf("start the server's guard: %w", err)
	}
	if err := guard.Start(); err != nil {
		return fmt.Errorf("start the server's guard: %w", err)
	}
	s.guard = guardian{pipe, guard}
	return nil
}

// guardian lets the guard go and waits until it is done.
type guardian struct {
	pipe io.Closer
	cmd  *exec.Cmd
}

func (g guardian) Close() error {
	return errors.Join(g.pipe.Close(), g.cmd.Wait())
}
