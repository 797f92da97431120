// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package postgrestest runs real PostgreSQL servers: one for a test binary's
// tests, with a fresh database for each, and others that a test may stop, kill
// and start again. It also serves demonstrations and end-to-end runs.
package postgrestest

import (
	"context"
	"errors"
	"io"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// Superuser is the name of every server's superuser.
const Superuser = "postgres"

// Options say how a server is to run. The zero value gives a throw-away server
// on a free port of the loopback address.
type Options struct {
	// Dir is where the server lives. It is kept when the server ends, and a
	// server that lived there before is started again. Without it a temporary
	// directory is made and removed.
	Dir string
	// Port is the TCP port; 0 takes a free one.
	Port int
	// ListenAddresses are as in postgresql.conf; without them 127.0.0.1.
	ListenAddresses string
	// AccessRules are lines for pg_hba.conf, put before its own, by which local
	// connections need no password and all others do.
	AccessRules []string
	// Settings are parameters for the server.
	Settings map[string]string
	// Password is the superuser's; without it "postgres". It counts when the
	// directory is made.
	Password string
	// Durable waits for the disk as a real server does. Without it a crash of
	// the machine loses data, though a crash of the server does not.
	Durable bool
	// Log takes what the server writes; without it a file in Dir does.
	Log io.Writer
}

// Server is a running PostgreSQL server.
type Server struct {
	options Options
	bin     string
	dir     string
	port    int
	uid     *syscall.Credential
	guard   io.Closer

	mu      sync.Mutex
	process *exec.Cmd
	ended   chan struct{}
}

const (
	// startTimeout bounds the wait for a server to accept connections, and for
	// its predecessor's processes to go.
	startTimeout = time.Minute
	// pollInterval is how often a server that starts is asked whether it has.
	pollInterval = 20 * time.Millisecond
)

// Start makes the server's directory if need be, starts the server and waits
// until it accepts connections. The server ends with Stop, and in any case with
// this process, however that ends.
func Start(ctx context.Context, o Options) (*Server, error) {
	if o.Password == "" {
		o.Password = "postgres"
	}
	if o.ListenAddresses == "" {
		o.ListenAddresses = "127.0.0.1"
	}
	bin, err := binaries(ctx)
	if err != nil {
		return nil, err
	}
	s := &Server{options: o, bin: bin, dir: o.Dir, port: o.Port}
	if s.uid, err = unprivileged(); err != nil {
		return nil, err
	}
	if err := s.prepare(ctx); err != nil {
		return nil, errors.Join(err, s.remove())
	}
	if err := s.startGuard(); err != nil {
		return nil, errors.Join(err, s.remove())
	}
	if err := s.start(ctx); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

// Shutdown ends the server as an administrator would, with open connections
// closed and everything written, and keeps its data; Restart starts it again.
func (s *Server) Shutdown() {
	if ended := s.signal(syscall.SIGINT); ended != nil {
		<-ended
	}
}

// Kill ends the server like a crash: with SIGKILL, or with SIGQUIT for what
// PostgreSQL calls an immediate shutdown. Restart starts it again, and it
// recovers.
func (s *Server) Kill(sig syscall.Signal) {
	backends := s.backends()
	ended := s.signal(sig)
	if ended == nil {
		return
	}
	<-ended
	// A backend outlives a postmaster that was killed until it next looks, and
	// would go on answering meanwhile.
	for _, pid := range backends {
		for syscall.Kill(pid, syscall.SIGKILL) == nil {
			time.Sleep(pollInterval)
		}
	}
}

// Restart ends the server, if it is running, and starts it on the same port.
func (s *Server) Restart(ctx context.Context) error {
	s.Shutdown()
	return s.start(ctx)
}

// Stop ends the server for good and removes its directory unless that was
// given.
func (s *Server) Stop() error {
	if ended := s.signal(syscall.SIGINT); ended != nil {
		select {
		case <-ended:
		case <-time.After(startTimeout):
			<-s.signal(syscall.SIGQUIT)
		}
	}
	if s.guard == nil {
		return s.remove()
	}
	return s.guard.Close()
}

// Port is the server's TCP port.
func (s *Server) Port() int {
	return s.port
}

// Dir is the server's directory; its socket lies there.
func (s *Server) Dir() string {
	return s.dir
}
