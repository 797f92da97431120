// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// flusher answers /status, and counts the connections that were made to it.
func flusher(t *testing.T, handle http.HandlerFunc) (server *httptest.Server, connections *atomic.Int64) {
	t.Helper()
	connections = &atomic.Int64{}
	server = httptest.NewUnstartedServer(handle)
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	return server, connections
}

func get(ctx context.Context, t *testing.T, by *transport, url string) (string, error) {
	t.Helper()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/status", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := (&http.Client{Transport: by}).Do(request)
	if err != nil {
		return "", err
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body), response.Body.Close()
}

func (t *transport) kept() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.idle)
}

// TestAFlusherIsAskedOverOneConnection: a new one each second is what a thousand flushers
// cannot have.
func TestAFlusherIsAskedOverOneConnection(t *testing.T) {
	server, connections := flusher(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "fine") })
	by := newTransport()
	defer by.CloseIdleConnections()
	for range 3 {
		if body, err := get(t.Context(), t, by, server.URL); err != nil || body != "fine" {
			t.Fatalf("the answer is %q, %v", body, err)
		}
	}
	if n := connections.Load(); n != 1 || by.kept() != 1 {
		t.Errorf("%d connections were made, %d are kept", n, by.kept())
	}
}

// TestAConnectionThatWasClosedIsMadeAgain: a flusher that has restarted is no silent one.
func TestAConnectionThatWasClosedIsMadeAgain(t *testing.T) {
	server, connections := flusher(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "fine") })
	by := newTransport()
	defer by.CloseIdleConnections()
	for range 2 {
		if body, err := get(t.Context(), t, by, server.URL); err != nil || body != "fine" {
			t.Fatalf("the answer is %q, %v", body, err)
		}
		server.CloseClientConnections()
	}
	if n := connections.Load(); n != 2 {
		t.Errorf("%d connections were made", n)
	}
}

// TestASilentFlusherKeepsNoConnection: its late answer would be that to the next request.
func TestASilentFlusherKeepsNoConnection(t *testing.T) {
	silent := make(chan struct{})
	server, _ := flusher(t, func(http.ResponseWriter, *http.Request) { <-silent })
	defer close(silent)
	by := newTransport()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := get(ctx, t, by, server.URL)
	if err == nil || problem(err) != "does not answer in time" {
		t.Errorf("the problem is %v", err)
	}
	if by.kept() != 0 {
		t.Error("the connection is kept")
	}
}

// TestAnAnswerIsBounded: a pod is not trusted with the operator's memory.
func TestAnAnswerIsBounded(t *testing.T) {
	for name, c := range map[string]struct {
		answer string
		want   int
	}{
		"a body without end": {"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n", maxStatusBytes + 1},
		"a head without end": {"HTTP/1.1 200 OK\r\nX-Long: ", 0},
	} {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			defer func() { _ = conn.Close() }()
			_, _ = http.ReadRequest(bufio.NewReader(conn))
			_, _ = io.WriteString(conn, c.answer)
			for more := strings.Repeat("x", 64<<10); err == nil; {
				_, err = io.WriteString(conn, more)
			}
		}()
		by := newTransport()
		body, err := get(t.Context(), t, by, "http://"+listener.Addr().String())
		if len(body) != c.want || (err == nil) != (c.want > 0) {
			t.Errorf("%s: %d bytes of the body were read, %v", name, len(body), err)
		}
		if by.kept() != 0 {
			t.Errorf("%s: the connection is kept", name)
		}
		_ = listener.Close()
		<-done
	}
}

// TestAConnectionThatNobodyUsesIsClosed: pods come and go.
func TestAConnectionThatNobodyUsesIsClosed(t *testing.T) {
	server, _ := flusher(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "fine") })
	by := newTransport()
	defer by.CloseIdleConnections()
	if _, err := get(t.Context(), t, by, server.URL); err != nil {
		t.Fatal(err)
	}
	by.sweep()
	if by.kept() != 1 {
		t.Error("a connection that was just used is closed")
	}
	by.mu.Lock()
	for host, conn := range by.idle {
		conn.since = conn.since.Add(-idleTimeout)
		by.idle[host] = conn
	}
	by.mu.Unlock()
	by.sweep()
	if by.kept() != 0 {
		t.Error("a connection of long ago is kept")
	}
}

// TestBetweenTwoLooksAResourceHasNoGoroutine: its stack is most of what a look needs.
func TestBetweenTwoLooksAResourceHasNoGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const many, few = 100, 10
		c := newCluster()
		o, wakeups := run(t, c, Options{})
		synctest.Wait()
		before := runtime.NumGoroutine()
		for i := range many {
			key := types.NamespacedName{Namespace: "ns", Name: fmt.Sprint(i)}
			c.set(key, key.Name, says(fine(0)))
			o.Track(key, "u", marks)
		}
		for i := range many {
			if wakeups(types.NamespacedName{Namespace: "ns", Name: fmt.Sprint(i)}) == 0 {
				t.Fatalf("resource %d was not looked at", i)
			}
		}
		if n := runtime.NumGoroutine() - before; n > few {
			t.Errorf("%d resources have %d goroutines", many, n)
		}
	})
}
