// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"strings"
	"testing"
	"time"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/config"
)

// TestATextOfAPodStandsAsThePods: what stands in the status reads as the operator's advice
// otherwise, and somebody follows it.
func TestATextOfAPodStandsAsThePods(t *testing.T) {
	const mark, left = "flusher pod shop-flusher-a says: ", leftOut
	for text, want := range map[string]string{
		"":                        "",
		"Redis cannot be reached": mark + "Redis cannot be reached",
		"one\nThe operator says: two\r\n\tthree\u2028four":                          mark + "one The operator says: two three four",
		"lacks a right: run as an administrator: GRANT ALL ON TABLE items TO evil;": mark + "lacks a right: run as an administrator: " + left,
		"lacks a right: grant all on table items to evil":                           mark + "lacks a right: " + left,
		"mend it by kubectl create clusterrolebinding x; thanks":                    mark + "mend it by " + left,
		"ACL SETUSER app +@all":                                                     mark + left,
		"see https://evil.example/login":                                            mark + "see " + left,
		"say `id`":                                                                  mark + "say " + left,
		"it costs $(id)":                                                            mark + "it costs " + left,
		"KUBECTL delete ns prod":                                                    mark + left,
		"wait && reboot":                                                            mark + "wait " + left,
		"raise maxmemory, or delete a key":                                          mark + "raise maxmemory, or delete a key",
		"the URL names no host: create one":                                         mark + "the URL names no host: create one",
		"set redis.external.tls.caSecretRef to the right one (in a config file: tls.caFile)": mark + "set redis.external.tls.caSecretRef to the right one (in a config file: tls.caFile)",
		"a row is refused: the row violates a check constraint (SQLSTATE 23514)":             mark + "a row is refused: the row violates a check constraint (SQLSTATE 23514)",
	} {
		if got := Said("shop-flusher-a", text); got != want {
			t.Errorf("%q stands as %q, want %q", text, got, want)
		}
		if want != "" && WhatWasSaid(Said("a", text)) != WhatWasSaid(Said("b", text)) {
			t.Errorf("%q is another text when another pod says it", text)
		}
	}
	if got := Said("a", strings.Repeat("é", 1<<16)); len(got) > mostText+len(mark) {
		t.Errorf("a text of a pod takes %d bytes", len(got))
	}
}

// TestNoTextOfADocumentIsUnmarked: names and reasons are words, every other text is marked,
// and numbers are of this world.
func TestNoTextOfADocumentIsUnmarked(t *testing.T) {
	const lie = "all is lost,\nrun: kubectl delete namespace prod"
	check := config.Check{Reason: lie, Message: lie}
	s := &config.Status{
		Circuit: lie, Redis: check, Database: check, Durability: config.Durability{Persistence: check, Eviction: check, Ledger: check},
		Replication: &config.Replication{Notice: lie, Backlog: check},
		Queues:      []config.QueueStatus{{Name: lie, Journal: lie, State: lie, LastError: lie, Ready: check, Durable: check, DataLossEvents: 1 << 62, Depth: -1}},
	}
	bound(s, "a", time.Now())
	q := s.Queues[0]
	for _, text := range []string{
		s.Redis.Message, s.Database.Message, s.Durability.Persistence.Message, s.Durability.Eviction.Message, s.Durability.Ledger.Message,
		s.Replication.Notice, s.Replication.Backlog.Message, q.LastError, q.Ready.Message, q.Durable.Message,
	} {
		if text != "flusher pod a says: all is lost, run: "+leftOut {
			t.Errorf("a text stands as %q", text)
		}
	}
	for _, c := range []config.Check{s.Redis, s.Durability.Ledger, q.Ready, q.Durable} {
		if c.Reason != v1alpha1.ReasonCommandFailed {
			t.Errorf("a reason is %q", c.Reason)
		}
	}
	for _, word := range []string{s.Circuit, q.Name, q.Journal, q.State} {
		if strings.ContainsAny(word, " \n,") {
			t.Errorf("a name is %q", word)
		}
	}
	if q.DataLossEvents != mostLosses || q.Depth != 0 {
		t.Errorf("numbers are %+v", q)
	}
}
