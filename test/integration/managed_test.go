// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"errors"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/journal"
	"github.com/writebehind/operator/test/programs"
)

// A Redis that the operator makes must be durable in the flusher's eyes, with the
// very configuration that it is given.
func TestAManagedRedisIsDurable(t *testing.T) {
	m := newManagedRedis(t, managedCache(func(*v1alpha1.ManagedRedis) {}))
	m.start()
	persistence, eviction := journal.New(m.local()).Durability(t.Context())
	if !persistence.OK || !eviction.OK {
		t.Errorf("the persistence is %+v, the eviction policy %+v", persistence, eviction)
	}
	for name, want := range map[string]string{"maxmemory": "67108864", "timeout": "300"} {
		got, err := m.local().ConfigGet(t.Context(), name).Result()
		if err != nil || got[name] != want {
			t.Errorf("%s is %v, %v, want %s: the configuration is not in force", name, got, err, want)
		}
	}
}

// Connections that somebody opens and leaves open take all that Redis has. Redis is alive all
// the while: a restart would end what the applications do. They are ended when they have been
// silent for long enough.
func TestAManagedRedisThatHasAllTheClientsItTakesLivesOn(t *testing.T) {
	m := newManagedRedis(t, managedCache(func(*v1alpha1.ManagedRedis) {}))
	conf, err := os.ReadFile(m.path("/etc/redis/redis.conf"))
	m.must(err)
	m.put("/etc/redis/redis.conf", string(conf)+"maxclients 4\n")
	m.start()
	admin := m.local()
	m.must(admin.Ping(t.Context()).Err())
	for range 3 {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", m.address)
		m.must(err)
		t.Cleanup(func() { _ = conn.Close() })
	}
	programs.Usual.Eventually(t, "Redis has as many clients as it takes", func() error {
		clients, err := admin.Info(t.Context(), "clients").Result()
		if err == nil && !strings.Contains(clients, "connected_clients:4\r") {
			err = errors.New(clients)
		}
		return err
	})
	if err := m.probe(m.live); err != nil {
		t.Errorf("Redis would be restarted: %v", err)
	}
	if err := m.probe(m.ready); err == nil || !strings.Contains(err.Error(), "max number of clients") {
		t.Errorf("the probe for readiness says %v", err)
	}

	m.must(admin.ConfigSet(t.Context(), "timeout", "1").Err())
	programs.Usual.Eventually(t, "the silent connections have ended", func() error { return m.probe(m.ready) })
}
