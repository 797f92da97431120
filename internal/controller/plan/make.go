// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/failure"
	"github.com/writebehind/operator/internal/controller/resources"
	"github.com/writebehind/operator/internal/controller/snapshot"
)

// Make computes the plan. Next to an error the plan is incomplete.
func Make(s *snapshot.Snapshot, site *Site) (*Plan, error) {
	p := &planner{Snapshot: s, site: site, previous: recordedIn(s)}
	err := p.make()
	return &p.Plan, err
}

func (p *planner) make() error {
	if err := p.checkImages(); err != nil {
		return err
	}
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
	switch {
	case p.Deleting(): // draining goes on with what is there
	case len(p.Foreign) > 0:
		return Conflict(p.Snapshot)
	case len(p.Going) > 0:
		return GoingAway(p.Snapshot)
	}
	p.Upgrades = upgrades(p.Snapshot)
	return p.planObjects()
}
