// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"net"
	"net/http"
	"sync"
	"time"
)

// mostVisitors is how many connections the port keeps open at once. A kubelet, an operator
// and a few scrapers need fewer than ten; each costs about 20 KB and a file descriptor.
const mostVisitors = 100

// visitors are the open connections of an HTTP server. The port takes everybody, since a
// kubelet has no password. Whoever opens connections without end is therefore the one that
// loses them.
type visitors struct {
	most int

	mu   sync.Mutex
	open map[net.Conn]visitor
}

// visitor is what is known of a connection.
type visitor struct {
	// host is the address that it comes from, without the port.
	host string
	// busy means that a request of it is being answered, since when it began or ended to be so.
	busy  bool
	since time.Time
}

func newVisitors(most int) *visitors { return &visitors{most: most, open: map[net.Conn]visitor{}} }

// changed follows a connection through its states, as http.Server.ConnState. One that is too
// many costs another one its place, so that a probe is answered even then.
func (v *visitors) changed(conn net.Conn, state http.ConnState) {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch state {
	case http.StateNew:
		v.open[conn] = visitor{host: hostOf(conn), since: time.Now()}
		if len(v.open) > v.most {
			leaves := v.leaves(conn)
			delete(v.open, leaves)
			// Its reader gets the error, and tells nobody.
			_ = leaves.Close()
		}
	case http.StateActive, http.StateIdle:
		if known, is := v.open[conn]; is {
			known.busy, known.since = state == http.StateActive, time.Now()
			v.open[conn] = known
		}
	case http.StateClosed, http.StateHijacked:
		delete(v.open, conn)
	}
}

// leaves chooses who makes room for a connection that has just come: of the address that has
// the most, the connection that has been quiet for the longest, or that is answered for the
// longest where all are.
func (v *visitors) leaves(come net.Conn) (longest net.Conn) {
	count := map[string]int{}
	for _, one := range v.open {
		count[one.host]++
	}
	var chosen visitor
	for conn, one := range v.open {
		if conn != come && (longest == nil || before(one, chosen, count)) {
			longest, chosen = conn, one
		}
	}
	return longest
}

// before reports whether a leaves rather than b.
func before(a, b visitor, count map[string]int) bool {
	switch {
	case count[a.host] != count[b.host]:
		return count[a.host] > count[b.host]
	case a.busy != b.busy:
		return b.busy
	}
	return a.since.Before(b.since)
}

func hostOf(conn net.Conn) string {
	address := conn.RemoteAddr().String()
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	return host
}
