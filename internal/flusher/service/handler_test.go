// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package service_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/writebehind/operator/internal/flusher"
	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/enginetest"
	"github.com/writebehind/operator/internal/flusher/service"
)

// TestAQueueWhoseLoopStandsStillIsNotAlive: a server that only is away is no reason to
// restart.
func TestAQueueWhoseLoopStandsStillIsNotAlive(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault enginetest.Fault
		want  int
	}{
		"a server that is away":    {enginetest.Fault{}, http.StatusOK},
		"a call that ends no more": {enginetest.Fault{Hangs: true}, http.StatusServiceUnavailable},
		"a server that is well":    {enginetest.Fault{Times: 1}, http.StatusOK},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				settings := config.Default()
				m := config.DefaultMapping()
				m.Name, m.KeyPrefix, m.Table, m.KeyColumn = "items", "item:", "items", "id"
				settings.Mappings = []config.Mapping{m}
				var faults enginetest.Faults
				f := flusher.New(settings, faults.Source(enginetest.NewSource()), enginetest.NewDatabase("items"), flusher.Options{})
				faults.Break(c.fault, "Beat")
				ctx, stop := context.WithCancel(t.Context())
				ended := make(chan struct{})
				go func() {
					defer close(ended)
					f.Run(ctx)
				}()
				time.Sleep(10 * time.Minute)
				response := httptest.NewRecorder()
				service.Handler(f, prometheus.NewRegistry()).ServeHTTP(response,
					httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/healthz", nil))
				if response.Code != c.want {
					t.Errorf("healthz answers %d: %s", response.Code, response.Body)
				}
				stop()
				<-ended
			})
		})
	}
}
