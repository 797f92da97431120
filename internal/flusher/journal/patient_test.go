// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"errors"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestADeadlineLooksAtProgress(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		defer func() { _, _ = near.Close(), far.Close() }()
		conn := makePatient(near, near.Close)
		if err := conn.SetDeadline(time.Now().Add(readTimeout)); err != nil {
			t.Fatal(err)
		}
		go func() {
			for range 5 {
				time.Sleep(readTimeout - time.Second)
				_, _ = far.Write([]byte("x"))
			}
		}()
		for range 5 {
			if _, err := conn.Read(make([]byte, 1)); err != nil {
				t.Fatalf("a slow answer is given up: %v", err)
			}
		}
		begun := time.Now()
		if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(begun) != readTimeout {
			t.Errorf("silence ends after %v with %v", time.Since(begun), err)
		}
		_ = conn.SetDeadline(time.Now().Add(readTimeout))
		go func() {
			for range 3 {
				time.Sleep(readTimeout - time.Second)
				_, _ = far.Read(make([]byte, writtenAtOnce))
			}
		}()
		begun = time.Now()
		n, err := conn.Write(make([]byte, 10*writtenAtOnce))
		if n != 3*writtenAtOnce || !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(begun) < 3*(readTimeout-time.Second) {
			t.Errorf("a slow write ends after %v with %d bytes, %v", time.Since(begun), n, err)
		}
		// What a caller has set is not moved.
		_ = conn.SetReadDeadline(time.Now().Add(time.Second))
		go func() {
			time.Sleep(900 * time.Millisecond)
			_, _ = far.Write([]byte("x"))
		}()
		_, _ = conn.Read(make([]byte, 1))
		begun = time.Now()
		if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(begun) > time.Second {
			t.Errorf("a caller's deadline ends after %v with %v", time.Since(begun), err)
		}
	})
}

func TestAPatientConnectionCanBeLookedInto(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	whole := makePatient(conn, conn.Close)
	if _, ok := whole.(syscall.Conn); !ok {
		t.Error("the client library cannot tell whether the server has hung up")
	}
}
