// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package journaltest runs real redis-server processes for tests: each one is a
// process of its own on a free loopback port with a directory of its own, so
// that a test may kill it, restart it and put back older files. Nothing here
// imitates Redis; what a test sees is what production does.
package journaltest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/writebehind/operator/test/programs"
)

const (
	// startTimeout is how long a server may take to answer: it takes 50 ms on
	// an idle machine, and has to load its append-only file after a restart.
	startTimeout = 30 * time.Second
	// stopTimeout is how long a server may take to end after SIGTERM, which
	// includes its last snapshot; then it is killed.
	stopTimeout = 15 * time.Second
	// pollInterval separates two questions whether the server is there yet.
	pollInterval = 5 * time.Millisecond
	// portAttempts bounds how often another port is tried: a free port is only
	// known to have been free, and somebody who is no test may take it first.
	portAttempts = 10
)

// Server is a running redis-server. Its methods may be called from several
// goroutines.
type Server struct {
	options Options
	binary  string
	dir     string
	ownDir  bool
	files   *TLSFiles
	log     tail

	mu   sync.Mutex
	port int
	proc *programs.Process
}

// Start starts a server and returns when it answers. It lives until Close, Stop
// or Kill, or until this process ends in whatever way; ctx bounds only the
// start.
func Start(ctx context.Context, options Options) (*Server, error) {
	binary, err := findBinary(options.Binary)
	if err != nil {
		return nil, err
	}
	s := &Server{options: options, binary: binary, dir: options.Dir}
	if s.options.Host == "" {
		s.options.Host = "127.0.0.1"
	}
	if options.RequireClientCertificate && !options.TLS && options.Files == nil {
		return nil, errors.New("start redis-server: RequireClientCertificate needs TLS")
	}
	if s.dir == "" {
		if s.dir, err = os.MkdirTemp("", "redis-"); err != nil {
			return nil, fmt.Errorf("start redis-server: %w", err)
		}
		s.ownDir = true
	}
	if err := s.firstStart(ctx); err != nil {
		s.Close()
		return nil, fmt.Errorf("start redis-server: %w", err)
	}
	return s, nil
}

func (s *Server) firstStart(ctx context.Context) error {
	var err error
	if s.files = s.options.Files; s.files == nil && s.options.TLS {
		if s.files, err = writeTLSFiles(filepath.Join(s.dir, "tls"), s.options.Host); err != nil {
			return err
		}
	}
	for range portAttempts {
		if s.port, err = programs.FreePort(s.options.Host); err != nil {
			return err
		}
		if err = s.start(ctx); err == nil || !s.log.contains("bind: Address already in use") {
			return err
		}
	}
	return err
}

// start runs the server on s.port and waits for it to answer. The caller holds
// s.mu or is alone with s.
func (s *Server) start(ctx context.Context) error {
	path := filepath.Join(s.dir, "redis.conf")
	if err := os.WriteFile(path, s.config(), 0o600); err != nil {
		return err
	}
	s.log.reset()
	output := io.Writer(&s.log)
	if s.options.Log != nil {
		output = io.MultiWriter(&s.log, s.options.Log)
	}
	args := []string{path}
	if s.options.Sentinel {
		args = append(args, "--sentinel")
	}
	command := exec.Command(s.binary, args...)
	command.Dir, command.Stdout, command.Stderr = s.dir, output, output
	p, err := programs.Start(command)
	if err != nil {
		return err
	}
	s.proc = p
	if err := s.awaitReady(ctx, p); err != nil {
		p.Kill()
		return fmt.Errorf("%w; its log ends:\n%s", err, s.log.last(10))
	}
	return nil
}

// awaitReady asks until the server answers, and makes sure that it is this
// server: on a port that was lost to another process a stranger may answer.
func (s *Server) awaitReady(ctx context.Context, p *programs.Process) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	options := s.Options()
	options.MaxRetries = -1
	options.DialerRetries = 1
	client := redis.NewClient(options)
	defer client.Close()
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		// The client logs every failed attempt; it is not asked before there is
		// somebody to answer.
		err := s.listens(ctx)
		if err == nil {
			err = answers(ctx, client, p.PID())
		}
		if err == nil {
			return nil
		}
		select {
		case <-p.Ended():
			return fmt.Errorf("it ended at once (%w)", p.Err())
		case <-ctx.Done():
			return fmt.Errorf("it does not answer (%w)", err)
		case <-ticker.C:
		}
	}
}

func (s *Server) listens(ctx context.Context) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", s.Addr())
	if err != nil {
		return err
	}
	return conn.Close()
}

func answers(ctx context.Context, client *redis.Client, pid int) error {
	if err := client.Ping(ctx).Err(); err != nil {
		return err
	}
	info, err := client.Info(ctx, "server").Result()
	if err != nil {
		return err
	}
	if !strings.Contains(info, fmt.Sprintf("process_id:%d\r", pid)) {
		return errors.New("another server answers on its port")
	}
	return nil
}

// Addr is host:port, the same for the whole life of the Server.
func (s *Server) Addr() string {
	return net.JoinHostPort(s.options.Host, strconv.Itoa(s.port))
}

// Port is the port of Addr.
func (s *Server) Port() int { return s.port }

// Dir is the directory in which the server keeps its files (dump.rdb,
// appendonlydir); a test may copy it and put it back while the server is
// stopped.
func (s *Server) Dir() string { return s.dir }

// TLS names the files with which a client may connect; nil without TLS.
func (s *Server) TLS() *TLSFiles { return s.files }

// Log is the end of what the server logged since it was last started.
func (s *Server) Log() string { return s.log.last(100) }

// PID is the process id of the running server, 0 when it is not running.
func (s *Server) PID() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.running() {
		return 0
	}
	return s.proc.PID()
}

// running reports whether there is a process. The caller holds s.mu.
func (s *Server) running() bool { return s.proc != nil && s.proc.Running() }

// Options are a client's options for the default user; the caller may change
// them. Retries are as go-redis has them by default.
func (s *Server) Options() *redis.Options {
	options := &redis.Options{
		Addr:            s.Addr(),
		Password:        s.options.Password,
		Protocol:        2,
		DialTimeout:     5 * time.Second,
		DisableIdentity: true,
	}
	if s.files != nil {
		options.TLSConfig = s.files.config()
	}
	return options
}

// Stop ends the server as an orderly shutdown does: with SIGTERM, upon which it
// writes its files. The directory stays, so that Restart finds it.
func (s *Server) Stop() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.end(syscall.SIGTERM)
}

// Kill ends the server at once with SIGKILL and returns when it is gone.
func (s *Server) Kill() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.end(syscall.SIGKILL)
}

func (s *Server) end(signal syscall.Signal) error {
	if !s.running() {
		return nil
	}
	p := s.proc
	// A stopped process would never see SIGTERM.
	p.Signal(syscall.SIGCONT)
	p.Signal(signal)
	timer := time.NewTimer(stopTimeout)
	defer timer.Stop()
	select {
	case <-p.Ended():
		return nil
	case <-timer.C:
		p.Kill()
		return fmt.Errorf("redis-server did not end within %s after %s and was killed", stopTimeout, signal)
	}
}

// Restart starts the server again, on the same port, with the same directory
// and options, and returns when it answers. A server that still runs is ended
// in an orderly way first.
func (s *Server) Restart(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.end(syscall.SIGTERM); err != nil {
		return err
	}
	if err := s.start(ctx); err != nil {
		return fmt.Errorf("restart redis-server: %w", err)
	}
	return nil
}

// Pause stops the server with SIGSTOP: connections stay open and nothing is
// answered, as behind a network that swallows packets. Resume lets it go on.
func (s *Server) Pause() { s.send(syscall.SIGSTOP) }

// Resume lets a paused server go on.
func (s *Server) Resume() { s.send(syscall.SIGCONT) }

func (s *Server) send(signal syscall.Signal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running() {
		s.proc.Signal(signal)
	}
}

// Close ends the server and removes its directory, unless the directory was
// given in Options.
func (s *Server) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.end(syscall.SIGKILL)
	if s.ownDir {
		_ = os.RemoveAll(s.dir)
	}
}
