// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"
)

// gatheringFrom is a connection that is read as a busy stream is, and its other end.
func gatheringFrom(t *testing.T, pause time.Duration) (g *gathering, far net.Conn) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("the system cannot be told how much is worth a call")
	}
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	near, err := new(net.Dialer).DialContext(t.Context(), "tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close() })
	if far, err = listener.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { far.Close() })
	w := newWire(near)
	w.patience = time.Minute
	if g = newGathering(w); g == nil {
		t.Fatal("the socket is not found")
	}
	g.pause, g.row = pause, busyReads
	return g, far
}

// TestABusyStreamIsReadByTheHandful however small the pieces are in which it arrives.
func TestABusyStreamIsReadByTheHandful(t *testing.T) {
	g, far := gatheringFrom(t, time.Minute)
	const piece = 128
	go func() {
		for range 2 * gathered / piece {
			if _, err := io.WriteString(far, strings.Repeat("x", piece)); err != nil {
				return
			}
		}
	}()
	// The system may call sooner, as its own buffer is nearly full.
	n, err := g.read(make([]byte, 4*gathered))
	if err != nil || n < gathered/4 {
		t.Errorf("the first read brings %d bytes, %v; want %d or so", n, err, gathered)
	}
}

// TestWhatABusyStreamEndsWithIsRead after the pause, and so is what comes when it is idle.
func TestWhatABusyStreamEndsWithIsRead(t *testing.T) {
	g, far := gatheringFrom(t, gatherPause)
	read := make(chan string)
	go func() {
		defer close(read)
		for {
			buffer := make([]byte, 100)
			n, err := g.read(buffer)
			if err != nil {
				return
			}
			read <- string(buffer[:n])
		}
	}()
	for _, text := range []string{"the end", "and another one", "and one more"} {
		if _, err := io.WriteString(far, text); err != nil {
			t.Fatal(err)
		}
		if got := <-read; got != text {
			t.Errorf("read %q, want %q", got, text)
		}
	}
	far.Close()
	if text, more := <-read; more {
		t.Errorf("reads %q behind the end", text)
	}
}

// TestAStreamThatIsReadByTheHandfulIsClosed while somebody waits.
func TestAStreamThatIsReadByTheHandfulIsClosed(t *testing.T) {
	g, _ := gatheringFrom(t, time.Minute)
	ended := make(chan error)
	go func() {
		_, err := g.read(make([]byte, 100))
		ended <- err
	}()
	g.wire.Close()
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("reading ends with %v", err)
	}
}
