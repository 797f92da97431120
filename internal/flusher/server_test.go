// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package flusher

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/writebehind/operator/internal/flusher/config"
)

// TestAQueueWhoseLoopStandsStillIsNotAlive, and nothing less is a reason to restart.
func TestAQueueWhoseLoopStandsStillIsNotAlive(t *testing.T) {
	t.Parallel()
	f := New(secretless(), Options{})
	defer f.database.Close()
	defer f.rdb.Close()
	handler := Handler(f, prometheus.NewRegistry())
	for name, c := range map[string]struct {
		stepped time.Time
		want    int
	}{
		"it has just stepped":      {time.Now(), http.StatusOK},
		"it waits for an answer":   {time.Now().Add(-wedgedAfter / 2), http.StatusOK},
		"it stands still":          {time.Now().Add(-2 * wedgedAfter), http.StatusServiceUnavailable},
		"it does not run (by now)": {time.Unix(0, 0), http.StatusOK},
	} {
		f.queues[0].stepped.Store(c.stepped.UnixNano())
		response := httptest.NewRecorder()
		handler.ServeHTTP(response, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/healthz", nil))
		if response.Code != c.want {
			t.Errorf("%s: healthz answers %d: %s", name, response.Code, response.Body)
		}
	}
}

// TestAQueueThatWasNotMadeYetIsNotReady: who waits for readiness means to write.
func TestAQueueThatWasNotMadeYetIsNotReady(t *testing.T) {
	t.Parallel()
	f := New(secretless(), Options{})
	defer f.database.Close()
	defer f.rdb.Close()
	q := f.queues[0]
	q.setReady(config.Check{OK: true})
	if status, _, _ := q.status(); status.Ready.OK {
		t.Error("it is ready without a journal")
	}
	q.enter("journal")
	if status, _, _ := q.status(); !status.Ready.OK {
		t.Errorf("it is not ready: %+v", status.Ready)
	}
}
