// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"crypto/tls"
	"errors"
	"net"
	"os"
	"syscall"
	"time"
)

const (
	// gathered is how much is worth to be woken for where more comes all the time: a few
	// hundred commands. gatherPause is how long that may take.
	gathered    = 64 << 10
	gatherPause = 2 * time.Millisecond
	// busyReads is how many reads have to follow each other within that time before it pays.
	busyReads = 8
)

// gathering reads a stream. While it is busy a read waits until much has arrived. A server
// sends what one turn of its loop has written, a few commands, and calls the reader each time:
// that is dear for both, and nothing waits for a write as urgently.
type gathering struct {
	wire   *wire
	socket syscall.RawConn
	pause  time.Duration
	// least is how many bytes the system calls for.
	least int
	// row counts the reads that have followed each other closely, the last one at that time.
	row  int
	last time.Time
	// more says that the last read has filled its buffer: what is left must not wait, since the
	// server may have no room to send more.
	more bool
}

// newGathering is nil where the system cannot be told, or reads are of records.
func newGathering(w *wire) *gathering {
	conn := w.Conn
	for {
		switch c := conn.(type) {
		case syscall.Conn:
			socket, err := c.SyscallConn()
			if err != nil || !setLeast(socket, 1) {
				return nil
			}
			return &gathering{wire: w, socket: socket, pause: gatherPause, least: 1}
		case *tls.Conn:
			return nil
		case interface{ NetConn() net.Conn }:
			conn = c.NetConn()
		default:
			return nil
		}
	}
}

func (g *gathering) read(b []byte) (n int, err error) {
	if g.row >= busyReads && !g.more && g.call(gathered) {
		n, err = g.gather(b)
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
		// It is idle.
		g.row /= 2
	}
	g.call(1)
	n, err = g.wire.read(b)
	now := time.Now()
	if g.row++; now.Sub(g.last) > g.pause {
		g.row = 0
	}
	g.last, g.more = now, n == len(b)
	return n, err
}

// gather reads what is there once that is much, or the pause is over.
func (g *gathering) gather(b []byte) (n int, err error) {
	if err := g.wire.SetReadDeadline(time.Now().Add(g.pause)); err != nil {
		return 0, err
	}
	called := false
	// Its error comes again with the next read.
	_ = g.socket.Read(func(uintptr) (done bool) {
		done, called = called, true
		return done
	})
	if err := g.wire.SetReadDeadline(time.Now().Add(g.pause)); err != nil {
		return 0, err
	}
	n, err = g.wire.Conn.Read(b)
	g.more = n == len(b)
	return n, err
}

// call has the system call for so many bytes.
func (g *gathering) call(least int) bool {
	if g.least != least && setLeast(g.socket, least) {
		g.least = least
	}
	return g.least == least
}
