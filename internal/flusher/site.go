// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package flusher

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// site is a listening HTTP server that shows one flusher after the other.
type site struct {
	// address is the configured one, listening the one that it came to.
	address   string
	listening string
	server    *http.Server
	handler   atomic.Pointer[http.Handler]
	done      chan struct{}
}

func listen(ctx context.Context, address string, options Options) (*site, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, listenError(address, err)
	}
	s := &site{address: address, listening: listener.Addr().String(), done: make(chan struct{})}
	s.show(http.HandlerFunc(starting))
	// A scraper that stops in the middle of its request must not hold a
	// connection for ever.
	s.server = &http.Server{Handler: s, ReadHeaderTimeout: 5 * time.Second, WriteTimeout: 30 * time.Second}
	go func() {
		defer close(s.done)
		if err := s.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			options.Log.Error("Could not go on serving", "address", address, "error", err)
		}
	}()
	options.Log.Info("Serving metrics, health and status", "address", s.listening)
	return s, nil
}

// listenError keeps of the system's error what a person needs.
func listenError(address string, err error) error {
	if operation, ok := errors.AsType[*net.OpError](err); ok {
		err = operation.Err
	}
	return fmt.Errorf("listenAddress: %q cannot be listened on: %w; give an address of this machine with a free port", address, err)
}

// show makes the site answer with another handler from the next request on.
func (s *site) show(handler http.Handler) { s.handler.Store(&handler) }

func (s *site) shown() http.Handler { return *s.handler.Load() }

func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.shown().ServeHTTP(w, r) }

// starting answers in the moment between listening and the first flusher.
func starting(w http.ResponseWriter, _ *http.Request) {
	http.Error(w, "the flusher is starting", http.StatusServiceUnavailable)
}

// occupies tells whether the site may itself be in the way of listening on
// address: both have the same port.
func (s *site) occupies(address string) bool {
	_, mine, err := net.SplitHostPort(s.listening)
	if err != nil {
		return false
	}
	_, port, err := net.SplitHostPort(address)
	return err == nil && port == mine
}

// serving tells whether the site still listens.
func (s *site) serving() bool {
	select {
	case <-s.done:
		return false
	default:
		return true
	}
}

func (s *site) stop() {
	// Nothing that is being read is worth waiting for at the end.
	_ = s.server.Close()
	<-s.done
}
