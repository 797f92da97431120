// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package plan decides from a snapshot alone what is to be there. It writes nothing,
// and asks nobody.
package plan

import (
	"strings"
	"time"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/failure"
	"github.com/writebehind/operator/internal/controller/resources"
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

// Make plans what is to be there; image is the flushers' where the spec names none.
// With an error the plan is as far as it got.
func Make(s *snapshot.Snapshot, image string) (*Plan, error) {
	p := &planner{Snapshot: s, previous: recordedIn(s)}
	err := p.make(image)
	return &p.Plan, err
}

func (p *planner) make(image string) error {
	if err := p.planSettings(); err != nil {
		return err
	}
	if err := p.Settings.Validate(); err != nil {
		return &failure.Stalled{Reason: v1alpha1.ReasonInvalidSpec, Message: "spec." + err.Error()}
	}
	var err error
	if p.RestartHash, err = resources.RestartHash(p.Settings); err != nil {
		return err
	}
	// A deletion drains with what is there.
	if !p.Deleting() {
		if err := Obstacle(p.Snapshot); err != nil {
			return err
		}
	}
	return p.planObjects(image)
}

// Obstacle is an error while others hold needed names.
func Obstacle(s *snapshot.Snapshot) error {
	switch {
	case len(s.Foreign) > 0:
		return Conflict(s)
	case len(s.Going) > 0:
		return GoingAway(s)
	default:
		return nil
	}
}

// GoingAway waits for objects of needed names that are being deleted.
func GoingAway(s *snapshot.Snapshot) error {
	return &failure.Waiting{What: strings.Join(s.Going, ", ") + " of an earlier life to be gone", After: failure.GoneRetry}
}
