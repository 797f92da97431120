// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package flusher

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	cachev1alpha1 "github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/entry"
)

// The events of a passage's life, in the words of TestWhatAPassageComesTo.
func passageEvents(now time.Time) map[string]func(*passage) {
	pauses := func(needs entry.Proof, few bool) func(*passage) {
		return func(p *passage) {
			p.pauses("products", obstacle{cause: &entry.Fault{Message: "no"}, until: now.Add(time.Minute), needs: needs, few: few})
		}
	}
	return map[string]func(*passage){
		"made":              func(p *passage) { p.made = true },
		"refused":           func(p *passage) { p.refused = config.Check{Reason: cachev1alpha1.ReasonQueueConflict} },
		"accepted":          func(p *passage) { p.refused = config.Check{} },
		"fits":              func(p *passage) { p.fits(someTable{}, now) },
		"unread":            func(p *passage) { p.unread(config.Check{Reason: cachev1alpha1.ReasonConnectionFailed}) },
		"misfits":           func(p *passage) { p.misfits(config.Check{Reason: cachev1alpha1.ReasonSchemaMismatch}) },
		"unwritable":        func(p *passage) { p.unwritable(config.Check{Reason: cachev1alpha1.ReasonStatementFailed}) },
		"pauses":            pauses(entry.RowsPass, false),
		"pauses for few":    pauses(entry.RowsPass, true),
		"pauses, deletions": pauses(entry.RemovalsPass, false),
		"resumes":           func(p *passage) { p.resumes() },
	}
}

func TestWhatAPassageComesTo(t *testing.T) {
	t.Parallel()
	const ok, nobody = "OK", ""
	const paused = cachev1alpha1.ReasonMappingPaused
	now := time.Now()
	for events, want := range map[string]struct {
		ready         string
		flows, paused bool
		// known says that the rows of the mapping are known to be innocent.
		known bool
	}{
		"":                                      {nobody, false, false, false},
		"made":                                  {nobody, false, false, false},
		"fits":                                  {nobody, true, false, false},
		"made fits":                             {ok, true, false, false},
		"made unread":                           {cachev1alpha1.ReasonConnectionFailed, false, false, false},
		"made misfits":                          {cachev1alpha1.ReasonSchemaMismatch, false, false, false},
		"made misfits unread":                   {cachev1alpha1.ReasonConnectionFailed, false, false, false},
		"made misfits fits":                     {ok, true, false, false},
		"made fits unread":                      {cachev1alpha1.ReasonConnectionFailed, true, false, false},
		"made fits unread fits":                 {ok, true, false, false},
		"made fits refused":                     {cachev1alpha1.ReasonQueueConflict, true, false, false},
		"made fits refused accepted":            {ok, true, false, false},
		"refused fits accepted":                 {nobody, true, false, false},
		"made fits unwritable":                  {ok, false, false, false},
		"made fits unwritable fits":             {cachev1alpha1.ReasonStatementFailed, true, false, false},
		"made fits unwritable fits unwritable":  {cachev1alpha1.ReasonStatementFailed, false, false, false},
		"made fits unwritable misfits fits":     {ok, true, false, false},
		"made fits unwritable fits resumes":     {ok, true, false, false},
		"made unread unwritable resumes":        {cachev1alpha1.ReasonConnectionFailed, false, false, false},
		"made fits pauses":                      {paused, false, true, true},
		"made fits pauses fits":                 {paused, false, true, true},
		"made fits pauses unread":               {cachev1alpha1.ReasonConnectionFailed, false, true, true},
		"made fits pauses unread fits":          {paused, false, true, true},
		"made fits pauses misfits":              {cachev1alpha1.ReasonSchemaMismatch, false, true, true},
		"made fits pauses misfits fits":         {paused, false, true, true},
		"made fits pauses unwritable fits":      {paused, false, true, true},
		"made fits pauses resumes":              {ok, true, false, false},
		"made fits unwritable pauses resumes":   {ok, false, false, false},
		"made fits pauses,-deletions":           {paused, false, true, true},
		"made fits pauses-for-few":              {paused, false, true, false},
		"made fits pauses-for-few pauses":       {paused, false, true, true},
		"made fits pauses pauses-for-few":       {paused, false, true, true},
		"made fits pauses-for-few resumes":      {ok, true, false, false},
		"made fits pauses resumes resumes fits": {ok, true, false, false},
	} {
		p := passage{check: notChecked("the table")}
		for event := range strings.FieldsSeq(events) {
			passageEvents(now)[strings.ReplaceAll(event, "-", " ")](&p)
		}
		ready := p.ready("products")
		if told := ready.Reason; ready.OK != (want.ready == ok) || !ready.OK && told != want.ready {
			t.Errorf("%q: it is ready %+v, want %q", events, ready, want.ready)
		}
		if p.flows(now) != want.flows || p.paused() != want.paused || (p.known() != nil) != want.known {
			t.Errorf("%q: it flows %v, is paused %v, and is refused for %v", events, p.flows(now), p.paused(), p.known())
		}
		// A pause has a time.
		if want.paused && p.table != nil && !p.flows(now.Add(time.Minute)) {
			t.Errorf("%q: a pause has no end", events)
		}
	}
}

// TestThePauseOfFewSaysSo, until it is known to be the mapping's fault.
func TestThePauseOfFewSaysSo(t *testing.T) {
	t.Parallel()
	var p passage
	few := obstacle{cause: &entry.Fault{Message: "a trigger says no"}, few: true}
	if !p.pauses("products", few) || !strings.Contains(p.check.Message, "nothing shows that it takes any other row, a trigger says no;") {
		t.Errorf("it is %+v", p.check)
	}
	every := few
	every.few = false
	for _, o := range []obstacle{every, few} {
		if p.pauses("products", o) || !strings.Contains(p.check.Message, "the database refuses every row, a trigger says no;") {
			t.Errorf("it is %+v", p.check)
		}
	}
	p.resumes()
	if !p.pauses("products", few) || !p.obstacle.few {
		t.Error("a pause that has ended is remembered")
	}
}

func TestAGateLogsWhatChanges(t *testing.T) {
	t.Parallel()
	var lines bytes.Buffer
	g := gate{mapping: "products", log: slog.New(slog.NewTextHandler(&lines, nil))}
	events := passageEvents(time.Now())
	for _, c := range []struct{ event, want string }{
		{"made", ""},
		{"fits", "Mapping is ready"},
		{"fits", ""},
		{"unwritable", ""},
		{"fits", "reason=StatementFailed"},
		{"fits", ""},
		{"unwritable", ""},
		{"fits", ""},
		{"resumes", "Mapping is ready"},
		{"refused", "reason=QueueConflict"},
		{"misfits", ""},
		{"accepted", "reason=SchemaMismatch"},
		{"pauses", "reason=MappingPaused"},
		{"pauses", ""},
		{"resumes", "Mapping is ready"},
	} {
		lines.Reset()
		g.after(events[c.event])
		if got := lines.String(); (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("after %q the log says %q, want %q", c.event, got, c.want)
		}
	}
}

// TestARefusedQueueIsNotEager, although the loop has just seen entries when a worker finds it
// out: a circuit that is half open would wait for a batch of it for ever.
func TestARefusedQueueIsNotEager(t *testing.T) {
	t.Parallel()
	m := config.DefaultMapping()
	m.Name = "products"
	f := alone(&config.Config{Mappings: []config.Mapping{m}}, Options{})
	q := f.queues[0]
	now := time.Now()
	q.backoff.failed(now)
	q.meter.onlookDue(now, 0)
	q.gate.after(func(p *passage) { p.refused = config.Check{Reason: "QueueConflict"} })
	q.eager.Store(true)
	q.step(t.Context())
	if f.waits() {
		t.Error("the entries of a refused queue wait to be flushed")
	}
}
