// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package monitoring tests what people watch: every alert against series that fire it
// and series that must not, by promtool; and every query of the dashboard and of the
// alerts against a real Prometheus that scrapes a real flusher.
package monitoring
