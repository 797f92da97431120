// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
)

// newProxy listens until the test ends and passes everything on to upstream.
func newProxy(t *testing.T, name, upstream string) *toxiproxy.Proxy {
	t.Helper()
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	p := toxiproxy.NewProxy(server, name, "127.0.0.1:0", upstream)
	if err := p.Start(); err != nil {
		t.Fatalf("Start a proxy: %v", err)
	}
	t.Cleanup(p.Stop)
	return p
}

// toxic is something that a proxy does to what it passes on, in milliseconds.
type toxic struct {
	Name       string           `json:"name"`
	Type       string           `json:"type"`
	Stream     string           `json:"stream"`
	Toxicity   float32          `json:"toxicity"`
	Attributes map[string]int64 `json:"attributes"`
}

const (
	upstream   = "upstream"
	downstream = "downstream"
)

func cut() []toxic {
	return []toxic{
		{Type: "reset_peer", Stream: upstream, Attributes: map[string]int64{"timeout": 0}},
		{Type: "reset_peer", Stream: downstream, Attributes: map[string]int64{"timeout": 0}},
	}
}

// delayed holds everything up on one way; the jitter lets later data wait less.
func delayed(way string, milliseconds, jitter int64) toxic {
	return toxic{Type: "latency", Stream: way, Attributes: map[string]int64{"latency": milliseconds, "jitter": jitter}}
}

// swallowed takes everything on one way and passes nothing on; when it is taken away
// the connection ends.
func swallowed(way string) toxic {
	return toxic{Type: "timeout", Stream: way, Attributes: map[string]int64{"timeout": 0}}
}

// toxicNumbers tell the toxics of overlapping faults apart.
var toxicNumbers atomic.Int64

// poisonProxy puts toxics in place and returns what takes them away again.
func poisonProxy(p *toxiproxy.Proxy, toxics []toxic) (func() error, error) {
	var names []string
	heal := func() error {
		for _, name := range names {
			if err := p.Toxics.RemoveToxic(context.Background(), name); err != nil {
				return fmt.Errorf("heal proxy %s: %w", p.Name, err)
			}
		}
		return nil
	}
	for _, t := range toxics {
		t.Name, t.Toxicity = fmt.Sprint("toxic-", toxicNumbers.Add(1)), 1
		text, err := json.Marshal(t)
		if err != nil {
			return heal, err
		}
		if _, err := p.Toxics.AddToxicJson(strings.NewReader(string(text))); err != nil {
			return heal, fmt.Errorf("poison proxy %s: %w", p.Name, err)
		}
		names = append(names, t.Name)
	}
	return heal, nil
}
