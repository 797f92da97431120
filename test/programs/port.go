// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package programs

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"sync"
	"testing"
)

// given are the ports that FreePort has given in this process: whoever has one may not listen yet.
var given sync.Map

// FreePort is a TCP port of one of this machine's addresses at which nobody listens, for a
// server that keeps it while it is down. It lies below those that the system gives to
// connections: a client of another test would take one of them meanwhile. FreePort gives no
// port twice in a process.
func FreePort(host string) (int, error) {
	const attempts = 1000
	lowest, end := 10_000, lowestOfClients()
	if lowest >= end {
		lowest = 1024
	}
	var err error
	for range attempts {
		port := lowest + rand.IntN(end-lowest)
		if _, before := given.LoadOrStore(port, true); before {
			continue
		}
		var listener net.Listener
		if listener, err = net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port))); err == nil {
			return port, listener.Close()
		}
	}
	return 0, fmt.Errorf("find a free port of %s in %d attempts: %w", host, attempts, err)
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
