// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"bytes"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
)

// slowly passes everything on to upstream, with at most so many bytes a second either
// way, and returns the address to use.
func slowly(t *testing.T, upstream string, kilobytes int) string {
	t.Helper()
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	p := toxiproxy.NewProxy(server, "slow", "127.0.0.1:0", upstream)
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Stop)
	for _, way := range []string{"upstream", "downstream"} {
		toxic := fmt.Sprintf(`{"name":%q,"type":"bandwidth","stream":%q,"attributes":{"rate":%d}}`, way, way, kilobytes)
		if _, err := p.Toxics.AddToxicJson(bytes.NewReader([]byte(toxic))); err != nil {
			t.Fatal(err)
		}
	}
	return p.Listen
}

// slowDatabase puts the database behind a slow link.
func (s *stack) slowDatabase(kilobytes int) {
	s.t.Helper()
	u, err := url.Parse(s.db.URL())
	s.must(err)
	u.Host = slowly(s.t, u.Host, kilobytes)
	file := filepath.Join(s.t.TempDir(), "uri")
	s.must(os.WriteFile(file, []byte(u.String()), 0o600))
	s.config.Database.Postgres.URLFile = file
}

// fillLarge writes documents of so many bytes while nothing flushes.
func (s *stack) fillLarge(count, bytes int) {
	s.t.Helper()
	p := s.startReady()
	s.suspend(p)
	document := fmt.Sprintf(`{"name":%q}`, strings.Repeat("x", bytes))
	for id := range count {
		s.set(int64(id), document)
	}
	s.stop(p)
	s.config.Suspend = false
	s.config.Revision++
}

// TestASlowLinkCarriesLargeDocuments: 20 MB take eight seconds at 20 Mbit/s, longer than
// either server may be silent. A statement's time is no longer than its share of that.
func TestASlowLinkCarriesLargeDocuments(t *testing.T) {
	const twentyMegabits = 2500 // kB/s
	for name, slow := range map[string]func(*stack){
		"Redis": func(s *stack) {
			s.config.Redis.External.Addresses[0] = slowly(t, s.redis.Addr(), twentyMegabits)
		},
		"PostgreSQL, whose statements may take a second": func(s *stack) {
			s.slowDatabase(twentyMegabits)
			s.config.Database.Postgres.StatementTimeoutSeconds = 1
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStack(t)
			s.config.Mappings[0].Partitions = 1
			s.fillLarge(100, 200_000)
			slow(s)
			s.write()
			p := s.start()
			s.drained()
			if rows := s.db.Value(t, "SELECT count(*) FROM products WHERE length(name) = 200000"); rows != "100" {
				t.Errorf("%s rows are there", rows)
			}
			if dead := s.deadLetters(); len(dead) > 0 {
				t.Errorf("%d dead letters", len(dead))
			}
			if strings.Contains(p.Said(), "cannot be reached") {
				t.Errorf("a server counts as gone:\n%s", p.Said())
			}
		})
	}
}

// TestDeadLettersOfALargeSizeAreListedOverASlowLink: forty megabytes of payloads stay
// where they are.
func TestDeadLettersOfALargeSizeAreListedOverASlowLink(t *testing.T) {
	s := newStack(t)
	s.config.Mappings[0].Partitions = 1
	s.write()
	p := s.startReady()
	document := fmt.Sprintf(`["%s"]`, strings.Repeat("x", 8_000_000))
	for id := range 5 {
		s.set(int64(id), document)
	}
	s.eventually("all are dead letters", func() error {
		if stats := s.stats(); stats.Dead != 5 {
			return fmt.Errorf("stats are %+v", stats)
		}
		return nil
	})
	s.stop(p)
	s.config.Redis.External.Addresses[0] = slowly(t, s.redis.Addr(), 2500)
	s.write()
	for _, step := range []struct{ command, want string }{
		{"list", "product:4"},
		{"show product:3", "xxxxxxxxxx"},
		{"discard --key product:1", "1 discarded"},
		{"replay --key product:2", "1 written anew"},
		{"discard --all", "3 discarded"},
	} {
		code, out, problems := s.dlq(strings.Fields(step.command)...)
		if code != 0 || !strings.Contains(out, step.want) {
			t.Errorf("dlq %s ends with %d and says %.300q, %s", step.command, code, out, problems)
		}
	}
}

// TestALargeRowThatIsLongOnItsWayIsNotRefused: three megabytes take three seconds at 1 MB/s,
// and a statement may take one. Small rows go on beside it.
func TestALargeRowThatIsLongOnItsWayIsNotRefused(t *testing.T) {
	s := newStack(t)
	s.slowDatabase(1000)
	s.config.Database.Postgres.StatementTimeoutSeconds = 1
	s.config.Flush.MaxRetries = 0
	s.write()
	p := s.startReady()
	s.set(1, fmt.Sprintf(`{"name":%q,"price":1,"stock":1}`, strings.Repeat("x", 3_000_000)))
	for id := int64(2); ; id++ {
		s.set(id, goodRow)
		s.eventuallyRow(id, "good|1.00|1")
		if s.stats().Depth == 0 {
			break
		}
	}
	if length := s.db.Value(t, "SELECT length(name) FROM products WHERE id = 1"); length != "3000000" {
		t.Errorf("the large row has %s letters", length)
	}
	if dead := s.deadLetters(); len(dead) > 0 {
		t.Errorf("%d dead letters", len(dead))
	}
	if said := p.Said(); strings.Contains(said, "refused") || strings.Contains(said, "57014") || s.status(p).Circuit != "closed" {
		t.Errorf("a row that is on its way counts as refused:\n%s", said)
	}
}
