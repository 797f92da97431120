// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"net"
	"net/url"
	"slices"
	"sync"
	"testing"
)

// point is one place on the wire between a flusher and its two servers. When it is
// reached, the traffic of the flusher stands still until the test lets it go on.
// With a request alone, the request is what does not reach the server. With an
// answer alone, the server has done its work and the answer does not come back.
// With both, everything before the request reaches the server, and the point is
// reached when the server has done that much. A delivered answer comes back, and
// nothing after it goes out.
type point struct {
	request, answer string
	delivered       bool
	// half lets half of the request's bytes through.
	half bool
	// nth is the which of those requests or answers it is, counted from 0.
	nth int

	// reached is closed when the point is; hits counts how often it was. link is
	// where.
	reached chan struct{}
	hits    int
	link    *link
	matched bool
}

// wire is what a flusher's connections to both servers run through.
type wire struct {
	mu      sync.Mutex
	changed *sync.Cond
	// frozen means that no request passes.
	frozen bool
	point  *point
	links  map[*link]bool
}

func newWire() *wire {
	w := &wire{links: make(map[*link]bool)}
	w.changed = sync.NewCond(&w.mu)
	return w
}

// link is one connection of a flusher and the proxy's own to the server.
type link struct {
	wire             *wire
	client, upstream net.Conn
	closed           bool
}

// protocol passes on what a client and a server say on one link, as its methods
// end when the link does.
type protocol interface {
	requests(l *link)
	answers(l *link)
}

// listen makes a proxy of a server and returns its address. Every connection leads
// to where target says when it is made.
func (w *wire) listen(t *testing.T, target func() string, speak func() protocol) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			upstream, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", target())
			if err != nil {
				_ = client.Close()
				continue
			}
			l := &link{wire: w, client: client, upstream: upstream}
			w.mu.Lock()
			w.links[l] = true
			w.mu.Unlock()
			p := speak()
			go func() { p.requests(l); w.cut(l) }()
			go func() { p.answers(l); w.cut(l) }()
		}
	}()
	t.Cleanup(func() {
		_ = listener.Close()
		w.cutAll()
	})
	return listener.Addr().String()
}

// through gives the URL of a database through a proxy.
func (w *wire) through(t *testing.T, databaseURL string) string {
	t.Helper()
	u, err := url.Parse(databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	host := u.Host
	u.Host = w.listen(t, func() string { return host }, func() protocol { return &postgresWire{} })
	return u.String()
}

// arm waits for a point from now on.
func (w *wire) arm(p point) *point {
	armed := &p
	armed.reached = make(chan struct{})
	w.mu.Lock()
	defer w.mu.Unlock()
	w.point = armed
	return armed
}

// cut closes a link on both sides; what it held back is gone.
func (w *wire) cut(l *link) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.close(l)
}

func (w *wire) close(l *link) {
	l.closed = true
	delete(w.links, l)
	_ = l.client.Close()
	_ = l.upstream.Close()
	w.changed.Broadcast()
}

// cutAll closes every link, as the end of a flusher's process does, and lets
// traffic flow again.
func (w *wire) cutAll() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for l := range w.links {
		w.close(l)
	}
	w.frozen = false
	w.changed.Broadcast()
}

// cutPoint closes the link of a point that was reached, and lets the others go on.
func (w *wire) cutPoint(p *point) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.close(p.link)
	w.frozen = false
	w.changed.Broadcast()
}

// reach marks the point; the mutex is held.
func (w *wire) reach(l *link, p *point) {
	p.hits++
	p.link = l
	w.frozen = true
	w.point = nil
	close(p.reached)
}

// wait returns when requests may pass again, and whether the link still stands.
// The mutex is held.
func (w *wire) wait(l *link) bool {
	for w.frozen && !l.closed {
		w.changed.Wait()
	}
	return !l.closed
}

// verdict is what becomes of a request.
type verdict int

const (
	pass verdict = iota
	drop
	// part passes half of the request on, and then asks again.
	part
	// prompt asks the server to answer what it has, instead of the request.
	prompt
)

// request decides on a request that bears these names.
func (l *link) request(names ...string) verdict {
	w := l.wire
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.wait(l) {
		return drop
	}
	p := w.point
	if p == nil || p.request == "" || !slices.Contains(names, p.request) {
		return pass
	}
	switch {
	case p.nth > 0:
		p.nth--
		return pass
	case p.half:
		p.half = false
		return part
	case p.answer != "":
		p.link, p.request = l, ""
		return prompt
	}
	w.reach(l, p)
	w.wait(l)
	return drop
}

// answer passes an answer that bears these names on; last says that the server
// waits for a request after it. It returns false when the link has ended.
func (l *link) answer(data []byte, last bool, names ...string) bool {
	w := l.wire
	w.mu.Lock()
	p := w.point
	if p != nil && p.answer != "" && p.request == "" && (p.link == nil || p.link == l) && slices.Contains(names, p.answer) {
		switch {
		case p.nth > 0 && p.link == nil:
			p.nth--
		case p.delivered:
			p.matched, p.link = true, l
		default:
			w.reach(l, p)
			w.wait(l)
			w.mu.Unlock()
			return false
		}
	}
	arrived := p != nil && p.matched && p.link == l && last
	if arrived {
		// Before it comes back, or the next request would be out.
		w.frozen = true
	}
	w.mu.Unlock()
	_, err := l.client.Write(data)
	if arrived {
		w.mu.Lock()
		w.reach(l, p)
		w.mu.Unlock()
	}
	return err == nil
}
