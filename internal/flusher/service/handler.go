// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/writebehind/operator/internal/flusher"
)

// Handler serves /metrics, /healthz, /readyz and /status of a flusher.
func Handler(f *flusher.Flusher, gatherer prometheus.Gatherer) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(gatherer, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		if queue := f.Wedged(time.Now()); queue != "" {
			answer(w, http.StatusServiceUnavailable, map[string]string{"status": "queue " + queue + " has not been polled for too long"})
			return
		}
		answer(w, http.StatusOK, map[string]string{"status": "alive"})
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		check := f.Ready()
		code := http.StatusOK
		if !check.OK {
			code = http.StatusServiceUnavailable
		}
		answer(w, code, check)
	})
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, f.Status())
	})
	return mux
}

func answer(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	// The reader has gone when this fails, so nobody needs the error.
	_ = encoder.Encode(body)
}
