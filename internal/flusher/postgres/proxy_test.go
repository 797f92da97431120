// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/url"
	"sync"
	"testing"

	"github.com/writebehind/operator/internal/flusher/postgres/postgrestest"
)

// proxy stands between the flusher and the server and fails in chosen places.
type proxy struct {
	listener net.Listener
	target   string

	mu sync.Mutex
	// budget is how many more bytes it takes from clients, -1 for any number.
	budget int
	// exhausted is closed when a client's bytes are held back.
	exhausted chan struct{}
	// cutAt makes it close the client's connection instead of passing on an
	// answer that holds these bytes.
	cutAt []byte
	conns []net.Conn
	// trips counts what the clients wait for: each Query and each Sync.
	trips int
}

// newProxy starts a proxy and gives the URL of the database through it.
func newProxy(t testing.TB, server *postgrestest.Database) (*proxy, string) {
	t.Helper()
	u, err := url.Parse(server.URL())
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: l, target: u.Host, budget: -1}
	go p.serve()
	t.Cleanup(p.close)
	u.Host = l.Addr().String()
	return p, u.String()
}

func (p *proxy) serve() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		upstream, err := net.Dial("tcp", p.target)
		if err != nil {
			_ = client.Close()
			continue
		}
		p.mu.Lock()
		p.conns = append(p.conns, client, upstream)
		p.mu.Unlock()
		go p.forward(client, upstream)
		go p.answer(client, upstream)
	}
}

// allow lets n more bytes of the clients through and holds the rest back. The
// channel is closed when the first byte is held back.
func (p *proxy) allow(n int) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.budget, p.exhausted = n, make(chan struct{})
	return p.exhausted
}

// cut makes the proxy swallow the answer that holds the bytes, and hang up.
func (p *proxy) cut(answer string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cutAt = []byte(answer)
}

// take spends the budget and says how many of n bytes may pass.
func (p *proxy) take(n int) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.budget < 0 {
		return n
	}
	if n > p.budget {
		n = p.budget
		if p.exhausted != nil {
			close(p.exhausted)
			p.exhausted = nil
		}
	}
	p.budget -= n
	return n
}

// count counts the messages that ask for an answer among those of one client. What is
// pending is the beginning of a message whose rest has not come yet.
func (p *proxy) count(pending []byte, started *bool) []byte {
	for {
		kind, head := byte(0), pending
		if *started && len(pending) > 0 {
			kind, head = pending[0], pending[1:]
		}
		if len(head) < 4 {
			return pending
		}
		length := int(binary.BigEndian.Uint32(head))
		if length > len(head) {
			return pending
		}
		if kind == 0 {
			// What asks for encryption comes before the start.
			*started = length > 8
		}
		if kind == 'Q' || kind == 'S' {
			p.mu.Lock()
			p.trips++
			p.mu.Unlock()
		}
		pending = head[length:]
	}
}

// tripsOf gives the number of round trips that f makes.
func (p *proxy) tripsOf(f func()) int {
	p.mu.Lock()
	before := p.trips
	p.mu.Unlock()
	f()
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.trips - before
}

func (p *proxy) forward(client, upstream net.Conn) {
	buffer := make([]byte, 64<<10)
	var pending []byte
	var started bool
	for {
		n, err := client.Read(buffer)
		pending = p.count(append(pending, buffer[:n]...), &started)
		if allowed := p.take(n); allowed > 0 {
			if _, err := upstream.Write(buffer[:allowed]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func (p *proxy) answer(client, upstream net.Conn) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := upstream.Read(buffer)
		p.mu.Lock()
		cut := p.cutAt != nil && bytes.Contains(buffer[:n], p.cutAt)
		if cut {
			p.cutAt = nil
		}
		p.mu.Unlock()
		if cut {
			_ = client.Close()
			return
		}
		if _, werr := client.Write(buffer[:n]); err != nil || werr != nil {
			_ = client.Close()
			return
		}
	}
}

// hangUp stops taking connections and closes those of the clients; the server
// is told nothing.
func (p *proxy) hangUp() {
	_ = p.listener.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := 0; i < len(p.conns); i += 2 {
		_ = p.conns[i].Close()
	}
}

func (p *proxy) close() {
	_ = p.listener.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		_ = c.Close()
	}
}
