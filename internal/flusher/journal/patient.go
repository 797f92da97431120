// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"crypto/tls"
	"net"
	"sync/atomic"
	"syscall"
	"time"
)

// patient is a connection whose deadlines look at progress: the client library sets one
// for a whole answer, or a whole request, and a slow link takes longer for a large one
// than a server may that is silent. Every byte that moves gives as much time again, so
// a server that is silent is found as soon as ever.
type patient struct {
	net.Conn
	// read and write are how much time progress gives, in ns; 0 gives none.
	read, write atomic.Int64
	// end closes the connection.
	end func() error
}

// patientTCP lets the client library look whether the server has hung up.
type patientTCP struct {
	*patient
	syscall.Conn
}

// makePatient wraps a connection that was made, and that end closes.
func makePatient(conn net.Conn, end func() error) net.Conn {
	p := &patient{Conn: conn, end: end}
	// What lies below of TLS says nothing of what has arrived.
	if raw, ok := conn.(syscall.Conn); ok {
		if _, encrypted := conn.(*tls.Conn); !encrypted {
			return patientTCP{patient: p, Conn: raw}
		}
	}
	return p
}

func (p *patient) Close() error { return p.end() }

// spanOf is how much time progress gives: only a deadline that is the usual one moves, not
// one that a caller has set.
func spanOf(deadline time.Time) int64 {
	// The client library takes the time from a clock that it reads now and then.
	const coarse = 250 * time.Millisecond
	if time.Until(deadline) < readTimeout-coarse {
		return 0
	}
	return int64(readTimeout)
}

func (p *patient) SetDeadline(t time.Time) error {
	p.read.Store(spanOf(t))
	p.write.Store(spanOf(t))
	return p.Conn.SetDeadline(t)
}

func (p *patient) SetReadDeadline(t time.Time) error {
	p.read.Store(spanOf(t))
	return p.Conn.SetReadDeadline(t)
}

func (p *patient) SetWriteDeadline(t time.Time) error {
	p.write.Store(spanOf(t))
	return p.Conn.SetWriteDeadline(t)
}

func (p *patient) Read(b []byte) (int, error) {
	n, err := p.Conn.Read(b)
	if span := p.read.Load(); n > 0 && span > 0 {
		_ = p.Conn.SetReadDeadline(time.Now().Add(time.Duration(span)))
	}
	return n, err
}

// writtenAtOnce is how much has to move for a write to be progress: 64 KiB in five
// seconds are a hundred kbit/s.
const writtenAtOnce = 64 << 10

func (p *patient) Write(b []byte) (int, error) {
	written := 0
	for {
		n, err := p.Conn.Write(b[written:min(written+writtenAtOnce, len(b))])
		written += n
		if err != nil || written == len(b) {
			return written, err
		}
		if span := p.write.Load(); span > 0 {
			_ = p.Conn.SetWriteDeadline(time.Now().Add(time.Duration(span)))
		}
	}
}
