// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package flusher

import (
	"time"

	"github.com/writebehind/operator/internal/flusher/config"
)

// settings are what a config says of one queue. They never change: others take their
// place.
type settings struct {
	config.QueueSettings
	policy policy
	marks  config.Backpressure
	// since is when they were put in force: before that nothing counts as stuck.
	since time.Time
}

func newSettings(c *config.Config, m *config.Mapping) *settings {
	state := config.StateOpen
	if c.Draining || m.Retired {
		state = config.StatePaused
	}
	return &settings{
		QueueSettings: config.QueueSettings{
			Owner: c.Owner, Revision: c.Revision, Mapping: *m,
			MaxDepth: c.Backpressure.MaxQueueDepth, WhenFull: c.Backpressure.WhenFull, State: state,
			Alone: !watched(c.Owner),
		},
		policy: newPolicy(c, m),
		marks:  c.Backpressure,
		since:  time.Now(),
	}
}
