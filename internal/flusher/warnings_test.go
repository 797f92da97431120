// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package flusher

import (
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/writebehind/operator/internal/flusher/config"
)

// warning is a Redis that works and warns.
type warning struct {
	answering
	words []string
}

func (w *warning) Warnings() []string { return w.words }

// Who runs a flusher alone has the log and /status, and is told once.
func TestAWarningIsLoggedOnce(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	redis := &warning{answering: answering{check: config.Check{OK: true}}}
	f := New(config.Default(), redis, awayDatabase{}, Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
	for _, step := range []struct {
		words []string
		lines int
	}{
		{nil, 0},
		{[]string{config.WarningUnencrypted}, 1},
		{[]string{config.WarningUnencrypted}, 1},
		{[]string{config.WarningUnencrypted, config.WarningAdministrator}, 2},
		{nil, 2},
		{[]string{config.WarningAdministrator}, 3},
	} {
		redis.words = step.words
		f.probeRedis(t.Context())
		status := f.Status()
		if !slices.Equal(status.Warnings.Redis, step.words) || status.Warnings.Database != nil || !status.Redis.OK {
			t.Errorf("with %v the status says %+v, %+v", step.words, status.Warnings, status.Redis)
		}
		if lines := strings.Count(log.String(), "less safe than it could be"); lines != step.lines {
			t.Errorf("with %v the log has %d lines, want %d: %s", step.words, lines, step.lines, log.String())
		}
	}
}
