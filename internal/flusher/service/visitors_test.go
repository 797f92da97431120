// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/writebehind/operator/internal/flusher"
)

// street is a listener in memory, whose visitors come from the addresses that they name.
type street struct {
	arrivals chan net.Conn
	closed   chan struct{}
}

type pedestrian struct {
	net.Conn
	from net.Addr
}

func (p *pedestrian) RemoteAddr() net.Addr { return p.from }

func (s *street) Accept() (net.Conn, error) {
	select {
	case conn := <-s.arrivals:
		return conn, nil
	case <-s.closed:
		return nil, net.ErrClosed
	}
}

func (s *street) Close() error   { close(s.closed); return nil }
func (s *street) Addr() net.Addr { return &net.TCPAddr{} }

// visit connects from a host.
func (s *street) visit(host string) net.Conn {
	outside, inside := net.Pipe()
	s.arrivals <- &pedestrian{inside, &net.TCPAddr{IP: net.ParseIP(host), Port: 1}}
	synctest.Wait()
	return outside
}

// asks sends a request, and reports whether it is answered.
func asks(conn net.Conn, head string) error {
	// Nobody may wait for ever: a connection that was closed says so at once.
	if err := conn.SetDeadline(time.Now().Add(time.Second)); err != nil {
		return err
	}
	if _, err := io.WriteString(conn, head); err != nil {
		return err
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("the answer is %s", response.Status)
	}
	return conn.SetDeadline(time.Time{})
}

const probe = "GET /healthz HTTP/1.1\r\nHost: flusher\r\n\r\n"

// inStreet runs a test with a site in memory.
func inStreet(t *testing.T, test func(*testing.T, *street)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		lane := &street{arrivals: make(chan net.Conn), closed: make(chan struct{})}
		site := newSite("", lane, flusher.Options{}.WithDefaults())
		site.show(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "alive") }))
		defer site.stop()
		test(t, lane)
	})
}

// TestNoConnectionIsKeptForEver: whoever neither asks nor goes would keep it, and a file
// descriptor of the flusher with it.
func TestNoConnectionIsKeptForEver(t *testing.T) {
	for name, begins := range map[string]string{
		"one that says nothing":            "",
		"one that stops in the head":       "GET /status HTTP/1.1\r\nHost: fl",
		"one that stops in the body":       "POST /status HTTP/1.1\r\nHost: flusher\r\nContent-Length: 10\r\n\r\n1",
		"one that has had all of answers":  probe,
		"one that reads nothing of it all": probe + probe,
	} {
		t.Run(name, func(t *testing.T) {
			inStreet(t, func(t *testing.T, lane *street) {
				conn := lane.visit("10.0.0.1")
				defer conn.Close()
				if begins == probe {
					if err := asks(conn, probe); err != nil {
						t.Fatal(err)
					}
				} else if _, err := io.WriteString(conn, begins); err != nil {
					t.Fatal(err)
				}
				time.Sleep(2 * time.Minute)
				synctest.Wait()
				if _, err := io.WriteString(conn, probe); err == nil {
					t.Error("the connection is still open after two minutes")
				}
			})
		})
	}
}

// TestWhoTakesAllConnectionsLosesThem: the kubelet's probe and the operator go on.
func TestWhoTakesAllConnectionsLosesThem(t *testing.T) {
	for name, asksFirst := range map[string]bool{"silent ones": false, "idle ones": true} {
		t.Run(name, func(t *testing.T) {
			inStreet(t, func(t *testing.T, lane *street) {
				operator := lane.visit("10.0.0.1")
				defer operator.Close()
				if err := asks(operator, probe); err != nil {
					t.Fatal(err)
				}
				var crowd []net.Conn
				for range 5 * mostVisitors {
					one := lane.visit("10.0.0.66")
					defer one.Close()
					if asksFirst {
						if err := asks(one, probe); err != nil {
							t.Fatal(err)
						}
					}
					crowd = append(crowd, one)
				}
				kubelet := lane.visit("10.0.0.2")
				defer kubelet.Close()
				if err := asks(kubelet, probe); err != nil {
					t.Errorf("the kubelet's probe: %v", err)
				}
				if err := asks(operator, probe); err != nil {
					t.Errorf("the operator's connection: %v", err)
				}
				open := 0
				for _, one := range crowd {
					if asks(one, probe) == nil {
						open++
					}
				}
				if open == 0 || open > mostVisitors {
					t.Errorf("%d connections of one address are open, at most %d may be", open, mostVisitors)
				}
			})
		})
	}
}

// TestAConnectionInUseOutlivesAnIdleOne, also where each address has one.
func TestAConnectionInUseOutlivesAnIdleOne(t *testing.T) {
	crowd := newVisitors(2)
	come := func(host string) net.Conn {
		outside, inside := net.Pipe()
		t.Cleanup(func() { _, _ = outside.Close(), inside.Close() })
		conn := &pedestrian{inside, &net.TCPAddr{IP: net.ParseIP(host)}}
		crowd.changed(conn, http.StateNew)
		return conn
	}
	busy, idle := come("10.0.0.1"), come("10.0.0.2")
	crowd.changed(idle, http.StateActive)
	crowd.changed(idle, http.StateIdle)
	crowd.changed(busy, http.StateActive)
	last := come("10.0.0.3")
	if _, err := idle.Write(nil); err == nil {
		t.Error("the idle connection is open")
	}
	for _, one := range []net.Conn{busy, last} {
		if _, is := crowd.open[one]; !is || len(crowd.open) != 2 {
			t.Errorf("open are %v", crowd.open)
		}
	}
	crowd.changed(busy, http.StateClosed)
	if crowd.changed(idle, http.StateClosed); len(crowd.open) != 1 {
		t.Errorf("open are %v", crowd.open)
	}
}
