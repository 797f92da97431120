// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"crypto/tls"
	"fmt"
	"strings"
	"testing"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/certtest"
	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/test/programs"
)

func managedWithTLS(redis *v1alpha1.ManagedRedis) {
	redis.TLS = &v1alpha1.ManagedTLS{SecretRef: v1alpha1.SecretRef{Name: "shop-redis-tls"}}
}

// A managed Redis with TLS answers flushers and its own probes by TLS, and nobody without. A
// renewed certificate is in force once the probe has run, and open connections stay.
func TestAManagedRedisWithTLS(t *testing.T) {
	cache := managedCache(managedWithTLS)
	m := newManagedRedis(t, cache)
	authority, err := certtest.New(t.TempDir())
	m.must(err)
	issue := func() map[string]string {
		cert, key, err := authority.Issue("127.0.0.1")
		m.must(err)
		return map[string]string{"tls.crt": cert, "tls.key": key, "ca.crt": authority.File}
	}
	first, second := issue(), issue()

	for _, lacks := range []string{"tls.crt", "tls.key", "ca.crt"} {
		files := map[string]string{}
		for key, file := range first {
			if key != lacks {
				files[key] = file
			}
		}
		other := newManagedRedis(t, cache)
		other.mountTLS("..1", files)
		code, said := other.exits()
		if want := config.SecretKey("shop-redis-tls", lacks) + ", is missing"; code != config.ExitUnusable || !strings.Contains(said, want) {
			t.Errorf("without %s the container ends with %d and %q, want %d and %q", lacks, code, said, config.ExitUnusable, want)
		}
	}

	m.mountTLS("..1", first)
	p := m.start()
	settings := m.settings(cache, authority.File)
	m.must(m.check(settings))
	m.must(m.probe(m.live))
	plain := settings
	plain.TLS = nil
	if m.check(plain) == nil {
		t.Error("Redis answers without TLS")
	}

	serves := func(want string) error {
		conn, err := tls.Dial("tcp", m.address, &tls.Config{RootCAs: authority.Pool(), MinVersion: tls.VersionTLS12})
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close() }()
		pair, err := tls.LoadX509KeyPair(m.path("/etc/redis-tls/"+want+"/tls.crt"), m.path("/etc/redis-tls/"+want+"/tls.key"))
		if err != nil {
			return err
		}
		if !conn.ConnectionState().PeerCertificates[0].Equal(pair.Leaf) {
			return fmt.Errorf("another certificate than that of %s is in force", want)
		}
		return nil
	}
	m.must(serves("..1"))
	m.mountTLS("..2", second)
	m.must(m.probe(m.ready))
	m.must(serves("..2"))

	// A certificate without its key leaves the other one in force, and Redis ready.
	m.mountTLS("..3", map[string]string{"tls.crt": first["tls.crt"], "tls.key": second["tls.key"], "ca.crt": authority.File})
	m.must(m.probe(m.ready))
	m.must(serves("..2"))
	if code := p.Stop(t, programs.Usual.Limit); code != 0 {
		t.Errorf("Redis ends with %d: %s", code, p.Said())
	}
}
