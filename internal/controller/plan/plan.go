// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package plan decides from a snapshot alone what is to be there. It writes nothing,
// and asks nobody.
package plan

import (
	"time"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/failure"
	"github.com/writebehind/operator/internal/controller/snapshot"
	"github.com/writebehind/operator/internal/flusher/config"
)

// Plan is what is to be there.
type Plan struct {
	// Settings is the flushers' config file, nil when it cannot be decided.
	Settings *config.Config
	// RestartHash names the part of the settings that takes a restart, SettingsHash
	// all of them.
	RestartHash  string
	SettingsHash string
	// Objects are what is to be there, in the order of applying.
	Objects []Object
	// Held is the part of the spec that is held back until a queue is empty or free;
	// nil when none is.
	Held *failure.Stalled
	// Again is when another pass is due although no watch asks for one.
	Again time.Duration
}

// planner makes a plan.
type planner struct {
	*snapshot.Snapshot
	Plan

	// previous is what was in force before this pass, nil when no record of it is
	// left.
	previous *InForce
	// carried is the resource with each part that is held back as it was. The
	// flushers are made from it.
	carried *v1alpha1.WriteBehindCache
}

// hold holds a part of the spec back. The first one is the one that is reported.
func (p *planner) hold(reason, message string) {
	if p.Held == nil {
		p.Held = &failure.Stalled{Reason: reason, Message: message}
	}
}
