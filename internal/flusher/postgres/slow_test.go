// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"bytes"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
)

// slowly gives the URL by way of a link that carries so many kB a second.
func slowly(t *testing.T, to string, kilobytes int) string {
	t.Helper()
	u, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	link := toxiproxy.NewProxy(toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop()), "slow", "127.0.0.1:0", u.Host)
	if err := link.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(link.Stop)
	toxic := fmt.Sprintf(`{"type":"bandwidth","stream":"upstream","attributes":{"rate":%d}}`, kilobytes)
	if _, err := link.Toxics.AddToxicJson(bytes.NewReader([]byte(toxic))); err != nil {
		t.Fatal(err)
	}
	u.Host = link.Listen
	return u.String()
}

// A batch may be on its way for longer than a statement may take, and for longer than a
// server may be silent: neither is counted while it moves.
func TestABatchMayBeLongOnItsWay(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		sizes []int
		rate  int
		mode  string
	}{
		"one large row":                         {[]int{2_000_000}, 500, ""},
		"two large rows and small ones":         {[]int{10, 1_000_000, 10, 1_000_000, 10}, 500, ""},
		"one that is longer than any patience":  {[]int{4_000_000}, 300, ""},
		"one behind a pooler":                   {[]int{2_000_000}, 500, "transaction"},
		"one behind a pooler with its sessions": {[]int{2_000_000}, 500, "session"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, direct := open(t, itemSchema)
			ready(t, direct)
			url := server.URL()
			if test.mode != "" {
				url = server.NewPooler(t, test.mode).URL()
			}
			d := openURL(t, slowly(t, url, test.rate), func(s *Settings) { s.StatementTimeout, s.MaxConnections = time.Second, 1 })
			o := own(t, d, readTable(t, d, mapping("items")), 0)
			const settings = "SELECT coalesce(string_agg(concat(name, '=', setting), ' ' ORDER BY name), '') FROM pg_settings WHERE source = 'session' AND name <> 'application_name'"
			seen := func() (set string) {
				if err := d.pool.QueryRow(t.Context(), settings).Scan(&set); err != nil {
					t.Fatal(err)
				}
				return set
			}
			before := seen()
			var pairs []string
			for i, size := range test.sizes {
				pairs = append(pairs, fmt.Sprint(i), fmt.Sprintf(`{"a":%q}`, strings.Repeat("x", size)))
			}
			o.write(t, pairs...)
			equal(t, server, "SELECT count(*), max(length(a)) FROM items", fmt.Sprintf("%d|%d", len(test.sizes), slices.Max(test.sizes)))
			if after := seen(); after != before {
				t.Errorf("the connection is left with %q; it had %q", after, before)
			}
		})
	}
}
