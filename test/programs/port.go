// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package programs

import (
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

// reserved holds the reservations of this process: whoever has a port may not listen at it now.
var reserved sync.Map

// reserve makes the port this process's own among tests, until it ends. Where the system has no
// names for sockets that go with their process, it knows of this process alone.
func reserve(port int) bool {
	var reservation net.Listener
	if runtime.GOOS == "linux" {
		var err error
		if reservation, err = net.Listen("unix", fmt.Sprintf("@writebehind-test-port-%d", port)); err != nil {
			return false
		}
	}
	_, before := reserved.LoadOrStore(port, reservation)
	return !before
}

// FreePort is a TCP port of one of this machine's addresses at which nobody listens, for a
// server that keeps it while it is down: nobody else is given it before this process ends. It
// lies below those that the system gives to connections, or a client of another test would take
// it meanwhile.
func FreePort(host string) (int, error) {
	const attempts = 1000
	lowest, end := 10_000, lowestOfClients()
	if lowest >= end {
		lowest = 1024
	}
	var err error
	for range attempts {
		port := lowest + rand.IntN(end-lowest)
		if !reserve(port) {
			continue
		}
		if err = tryPort(host, port); err == nil {
			return port, nil
		}
	}
	return 0, fmt.Errorf("find a free port of %s in %d attempts: %w", host, attempts, err)
}

// tryPort listens at the port for a moment. A program that is started meanwhile would have the
// listener until it runs, and the port would be taken that long.
func tryPort(host string, port int) error {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	listener, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	if err != nil {
		return err
	}
	return listener.Close()
}

// lowestOfClients is the lowest port that the system gives to a connection.
func lowestOfClients() int {
	const usual = 32_768
	text, _ := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	var lowest int
	if _, err := fmt.Sscan(string(text), &lowest); err != nil || lowest < 2*1024 || lowest > usual {
		return usual
	}
	return lowest
}

// FreeAddress is an address of this machine at which nobody listens now, with a port of FreePort.
func FreeAddress(t testing.TB) string {
	t.Helper()
	const host = "127.0.0.1"
	port, err := FreePort(host)
	Must(t, err)
	return net.JoinHostPort(host, strconv.Itoa(port))
}
