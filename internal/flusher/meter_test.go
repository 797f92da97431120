// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package flusher

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/entry"
)

func newTestMeter(registry *prometheus.Registry) (*meter, *bytes.Buffer) {
	var lines bytes.Buffer
	return &meter{queue: "products", log: slog.New(slog.NewTextHandler(&lines, nil)), metrics: newMetrics(registry)}, &lines
}

// TestWhatIsShownStandsForALeasesTime from when a member was last known to be one.
func TestWhatIsShownStandsForALeasesTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const lease = 4 * time.Second
		registry := prometheus.NewRegistry()
		m, _ := newTestMeter(registry)
		shows := func(want float64) {
			t.Helper()
			families, err := registry.Gather()
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range families {
				if got := f.GetMetric()[0].GetGauge().GetValue(); f.GetName() == "writebehind_queue_size" && got != want {
					t.Errorf("it shows %v entries, want %v", got, want)
				}
			}
		}
		loads := []entry.Load{{Entries: 3, Fresh: 2, HeadMilliseconds: 100}, {Entries: 1, Fresh: 1, HeadMilliseconds: 900, HeadUndated: true}}
		m.read(entry.Stats{}, time.Now())
		time.Sleep(time.Second)
		if entries, fresh := m.observe(loads); entries != 4 || fresh != 3 || m.waiting != 3 || m.age != 100*time.Millisecond {
			t.Errorf("%d entries, %d fresh; the meter has %d of an age of %v", entries, fresh, m.waiting, m.age)
		}
		time.Sleep(lease - time.Second)
		m.hide(time.Now(), lease)
		shows(4)
		time.Sleep(time.Nanosecond)
		m.hide(time.Now(), lease)
		shows(0)
		// What nobody holds is as old as the look at it.
		m.show(loads[:1], time.Now())
		m.hide(time.Now().Add(lease), lease)
		shows(3)
	})
}

func TestTheLogSaysWhichMarkTheDepthIsOver(t *testing.T) {
	t.Parallel()
	marks := config.Backpressure{WarningQueueDepth: 10, CriticalQueueDepth: 20, MaxQueueDepth: 30}
	m, lines := newTestMeter(prometheus.NewRegistry())
	for _, c := range []struct {
		depth int64
		want  string
	}{{9, ""}, {10, "mark=warning"}, {19, ""}, {30, "mark=full"}, {29, "mark=critical"}, {9, "under the marks again"}, {0, ""}} {
		lines.Reset()
		m.watchDepth(c.depth, marks)
		if got := lines.String(); (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("at a depth of %d the log says %q, want %q", c.depth, got, c.want)
		}
	}
}

// TestTheNumbersOfARefusedQueueAreNoObservation, and are read once an interval.
func TestTheNumbersOfARefusedQueueAreNoObservation(t *testing.T) {
	t.Parallel()
	m, _ := newTestMeter(prometheus.NewRegistry())
	seen := time.Now()
	m.read(entry.Stats{Incarnation: "first", Depth: 1, DataLoss: 2}, seen)
	m.read(entry.Stats{Incarnation: "second", Depth: 3, DataLoss: 4}, time.Time{})
	if status, observed := m.status(); !observed.Equal(seen) || status.Depth != 3 || status.Journal != "second" {
		t.Errorf("the status is %+v of %v", status, observed)
	}
	if before, now := m.lossesOf(entry.Seen{Incarnation: "first", Losses: 1}), m.lossesOf(entry.Seen{Incarnation: "second", Losses: 1}); before != 1 || now != 4 {
		t.Errorf("%d losses of another life, %d of this one", before, now)
	}
	for _, c := range []struct {
		after, interval time.Duration
		want            bool
	}{{0, time.Second, true}, {1, time.Second, false}, {1, 0, true}, {time.Second, time.Second, false}, {time.Second + 1, time.Second, true}} {
		if got := m.onlookDue(seen.Add(c.after), c.interval); got != c.want {
			t.Errorf("after %v it looks: %v, want %v", c.after, got, c.want)
		}
	}
}
