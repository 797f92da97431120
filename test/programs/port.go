// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package programs

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"testing"
)

// FreePort is a TCP port of one of this machine's addresses at which nobody listens, for a
// server that keeps it while it is down: no other test is given it before this process ends. As
// far as the system leaves room, it is none of those that connections get, or a client of
// another test would take it meanwhile.
func FreePort(host string) (int, error) {
	const attempts = 1000
	lowest, end := portsOfServers()
	var err error
	for range attempts {
		port := lowest + rand.IntN(end-lowest)
		if err = reserve(port); errors.Is(err, syscall.EADDRINUSE) {
			continue
		}
		if err == nil {
			err = tryPort(host, port)
		}
		if err == nil {
			return port, nil
		}
		if !errors.Is(err, syscall.EADDRINUSE) {
			break
		}
	}
	return 0, fmt.Errorf("find a free port of %s: %w", host, err)
}

// reserved holds the reservations of this process: whoever has a port may not listen at it now.
var reserved sync.Map

// reserve makes the port this process's own among tests, until it ends, or fails with
// EADDRINUSE. Where the system has no names for sockets that go with their process, it knows of
// this process alone.
func reserve(port int) error {
	var reservation net.Listener
	if runtime.GOOS == "linux" {
		var err error
		if reservation, err = net.Listen("unix", fmt.Sprintf("@writebehind-test-port-%d", port)); err != nil {
			return err
		}
	}
	if _, before := reserved.LoadOrStore(port, reservation); before {
		return syscall.EADDRINUSE
	}
	return nil
}

// tryPort listens at the port for a moment. A program that is started meanwhile would have the
// listener until it runs, and the port would be taken that long.
func tryPort(host string, port int) error {
	if runtime.GOOS == "linux" { // elsewhere Listen takes the lock itself
		syscall.ForkLock.RLock()
		defer syscall.ForkLock.RUnlock()
	}
	listener, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	if err != nil {
		return err
	}
	return listener.Close()
}

// portsOfServers are the ports below those that the system gives to connections, from the
// first to before the last, or below the usual ones where those would be too few.
func portsOfServers() (lowest, end int) {
	const least, few, usual = 1024, 5000, 32_768
	text, _ := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if _, err := fmt.Sscan(string(text), &end); err != nil || end < least+few {
		end = usual
	}
	lowest = 10_000
	if end-lowest < few {
		lowest = least
	}
	return lowest, end
}

// FreeAddress is an address of this machine at which nobody listens now, with a port of FreePort.
func FreeAddress(t testing.TB) string {
	t.Helper()
	const host = "127.0.0.1"
	port, err := FreePort(host)
	Must(t, err)
	return net.JoinHostPort(host, strconv.Itoa(port))
}
