// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/writebehind/operator/internal/flusher"
)

// site is a listening HTTP server that shows one flusher after the other.
type site struct {
	// address is the configured one, listening the one that it came to.
	address   string
	listening string
	log       *slog.Logger
	listener  net.Listener
	server    *http.Server
	handler   atomic.Pointer[http.Handler]
	begin     sync.Once
	done      chan struct{}
}

// How long a connection may be what it is. Nobody authenticates at this port, so none of
// these may be without an end.
const (
	// headerTimeout bounds the head of a request, also the first one's that never comes.
	headerTimeout = 5 * time.Second
	// requestTimeout bounds the whole of a request, whose body nobody reads.
	requestTimeout = 10 * time.Second
	// answerTimeout is for a scraper that reads slowly.
	answerTimeout = 30 * time.Second
	// idleTimeout is over the usual interval of a scraper, a minute, so that its connection
	// lives on.
	idleTimeout = 90 * time.Second
	// mostHead bounds the head of a request, in bytes.
	mostHead = 8 << 10
)

// listen takes the address. Who connects waits until something is shown.
func listen(ctx context.Context, address string, options flusher.Options) (*site, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, listenError(address, err)
	}
	return newSite(address, listener, options), nil
}

func newSite(address string, listener net.Listener, options flusher.Options) *site {
	s := &site{
		address: address, listening: listener.Addr().String(),
		log: options.Log, listener: listener, done: make(chan struct{}),
	}
	s.server = &http.Server{
		Handler:           s,
		ReadHeaderTimeout: headerTimeout, ReadTimeout: requestTimeout, WriteTimeout: answerTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: mostHead,
		ConnState:      newVisitors(mostVisitors).changed,
	}
	return s
}

// listenError keeps of the system's error what a person needs.
func listenError(address string, err error) error {
	if operation, ok := errors.AsType[*net.OpError](err); ok {
		err = operation.Err
	}
	return fmt.Errorf("listenAddress: %q cannot be listened on: %w; give an address of this machine with a free port", address, err)
}

// show makes the site answer with handler from the next request on, and begins to
// serve with the first one.
func (s *site) show(handler http.Handler) {
	s.handler.Store(&handler)
	s.begin.Do(func() {
		go func() {
			defer close(s.done)
			if err := s.server.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
				s.log.Error("HTTP server has failed", "address", s.address, "error", err)
			}
		}()
		s.log.Info("Serving metrics, health and status", "address", s.listening)
	})
}

func (s *site) shown() http.Handler { return *s.handler.Load() }

func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.shown().ServeHTTP(w, r) }

func (s *site) stop() {
	// Nothing that is being read is worth waiting for at the end.
	_ = s.server.Close()
	<-s.done
}
