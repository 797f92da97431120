// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

const (
	// bufferBytes holds a request and the head of an answer: a thousand may be under way.
	bufferBytes = 1 << 10
	// headBytes bounds the head of an answer, which no flusher comes near to.
	headBytes = 16 << 10
	// idleTimeout is how long the connection to a flusher that nobody asks stays open.
	idleTimeout = 30 * time.Second
)

// transport carries requests to flushers, and keeps one connection to each. That of net/http
// has two goroutines and two buffers for each connection, most of what a thousand flushers
// cost. This one has nothing but the connection between two requests.
//
// A request has no body, and may be sent twice.
type transport struct {
	dialer net.Dialer

	mu      sync.Mutex
	idle    map[string]idleConnection
	sweeper *time.Timer
}

type idleConnection struct {
	net.Conn

	since time.Time
}

func newTransport() *transport {
	return &transport{idle: map[string]idleConnection{}}
}

// RoundTrip returns the answer with all of its body that a document may have, and one byte
// more of a longer one.
func (t *transport) RoundTrip(request *http.Request) (*http.Response, error) {
	ctx, host := request.Context(), request.URL.Host
	if conn := t.take(host); conn != nil {
		response, err := t.exchange(request, conn)
		if err == nil || ctx.Err() != nil || isLate(err) {
			return response, err
		}
		// The flusher has closed it meanwhile, or is another one now.
	}
	conn, err := t.dialer.DialContext(ctx, "tcp", host)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	return t.exchange(request, conn)
}

// readers and writers are the buffers of the requests under way.
var (
	readers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, bufferBytes) }}
	writers = sync.Pool{New: func() any { return bufio.NewWriterSize(nil, bufferBytes) }}
)

// exchange sends a request and reads its answer. It keeps the connection for the next request,
// or closes it.
func (t *transport) exchange(request *http.Request, conn net.Conn) (response *http.Response, err error) {
	reusable := false
	stop := context.AfterFunc(request.Context(), func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer func() {
		// Where the context has ended, its deadline may come to the connection at any time.
		if stop() && reusable {
			t.keep(request.URL.Host, conn)
			return
		}
		_ = conn.Close()
	}()
	if err := send(request, conn); err != nil {
		return nil, err
	}
	limited := &io.LimitedReader{R: conn, N: headBytes}
	reader, _ := readers.Get().(*bufio.Reader)
	reader.Reset(limited)
	defer func() {
		reader.Reset(nil)
		readers.Put(reader)
	}()
	response, err = http.ReadResponse(reader, request)
	if err != nil {
		return nil, fmt.Errorf("read head of answer: %w", err)
	}
	limited.N = 2 * maxStatusBytes // what divides the body into parts is no part of it
	body, err := io.ReadAll(io.LimitReader(response.Body, maxStatusBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read answer: %w", err)
	}
	reusable = len(body) <= maxStatusBytes && !response.Close && reader.Buffered() == 0
	response.Body = io.NopCloser(bytes.NewReader(body))
	return response, nil
}

func send(request *http.Request, conn net.Conn) error {
	writer, _ := writers.Get().(*bufio.Writer)
	writer.Reset(conn)
	defer func() {
		writer.Reset(nil)
		writers.Put(writer)
	}()
	if err := request.Write(writer); err != nil {
		return fmt.Errorf("send request: %w", err)
	}
	if err := writer.Flush(); err != nil {
		return fmt.Errorf("send request: %w", err)
	}
	return nil
}

// take returns the connection that is kept to a flusher, or nil.
func (t *transport) take(host string) net.Conn {
	t.mu.Lock()
	defer t.mu.Unlock()
	conn, ok := t.idle[host]
	if !ok {
		return nil
	}
	delete(t.idle, host)
	return conn.Conn
}

// keep keeps a connection, one to each flusher.
func (t *transport) keep(host string, conn net.Conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if earlier, ok := t.idle[host]; ok {
		_ = earlier.Close()
	}
	t.idle[host] = idleConnection{conn, time.Now()}
	if t.sweeper == nil {
		t.sweeper = time.AfterFunc(idleTimeout, t.sweep)
	}
}

// sweep closes the connections to flushers that nobody asks any more.
func (t *transport) sweep() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for host, conn := range t.idle {
		if time.Since(conn.since) >= idleTimeout {
			_ = conn.Close()
			delete(t.idle, host)
		}
	}
	t.sweeper = nil
	if len(t.idle) > 0 {
		t.sweeper = time.AfterFunc(idleTimeout, t.sweep)
	}
}

// CloseIdleConnections closes those that are kept.
func (t *transport) CloseIdleConnections() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for host, conn := range t.idle {
		_ = conn.Close()
		delete(t.idle, host)
	}
}
