// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"strings"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/failure"
	"github.com/writebehind/operator/internal/controller/resources"
)

// planSettings decides what the flushers are to run: the spec, with the mappings
// that were taken out and are not empty yet, and without what would leave a backlog
// behind.
func (p *planner) planSettings() error {
	if err := p.forgotten(); err != nil {
		return err
	}
	previous := p.previous
	if !p.Deleting() {
		if err := p.giveWay(); err != nil {
			return err
		}
	} else if previous != nil {
		previous = previous.without(p.Rivals)
	}
	p.carried = p.WithoutRivals()
	if previous != nil && p.keepRedis(previous) {
		p.carried = p.carried.DeepCopy()
		p.carried.Spec.Redis.External = previous.External
	}
	p.Settings = resources.FlusherConfig(p.carried)
	if previous != nil {
		p.retire(previous)
	}
	return p.planRedis()
}

// forgotten is an error while no record has the settings to flush a queue that was seen: the
// spec has it no more, and no record of the settings in force is left.
func (p *planner) forgotten() error {
	if p.previous != nil || p.Forced() {
		return nil
	}
	var names []string
	for _, m := range p.Cache.Status.Mappings {
		if m.Journal != "" && !p.InSpec(m.Name) {
			names = append(names, m.Name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	return &failure.Stalled{
		Reason: v1alpha1.ReasonQueueNotEmpty,
		Message: fmt.Sprintf("queue %s is not known to be empty, spec.mappings does not have it, and the settings to flush it with were removed from both ConfigMap %s "+
			"and Service %s; nothing is changed until it is put back into spec.mappings as it was, or given up with the annotation %s: \"true\"%s",
			strings.Join(names, ", "), resources.FlusherName(p.Cache), resources.FlusherName(p.Cache), v1alpha1.AnnotationForceDelete, p.AboutForce()),
	}
}

// giveWay leaves the queues of rivals alone. A resource that has no objects yet
// makes none. One whose own queue turns out to be another's changes nothing. A
// mapping that comes new to a resource at work waits.
func (p *planner) giveWay() error {
	for i := range p.Cache.Spec.Mappings {
		name := p.Cache.Spec.Mappings[i].Name
		rival := p.Rivals[name]
		if rival == nil {
			continue
		}
		text := rival.Conflict(&p.Cache.Spec.Mappings[i])
		if p.previous == nil || p.previous.carries(name) {
			return &failure.Stalled{Reason: v1alpha1.ReasonQueueConflict, Message: text, Retry: failure.ConflictRetry}
		}
		p.holdBack(v1alpha1.ReasonQueueConflict, text)
		p.Again = failure.Sooner(p.Again, failure.ConflictRetry)
	}
	return nil
}

// keepRedis keeps the flushers at their present Redis while entries wait in it: nobody else
// would flush them.
func (p *planner) keepRedis(previous *InForce) bool {
	wanted := p.Cache.Spec.Redis.External
	if wanted == nil || previous.External == nil || p.Forced() {
		return false
	}
	address := resources.ExternalPlace(previous.External)
	if resources.SamePlace(resources.ExternalPlace(wanted), address) {
		return false
	}
	for _, m := range previous.Mappings {
		if p.NothingLeft(m.Name, address) {
			continue
		}
		p.holdBack(v1alpha1.ReasonQueueNotEmpty, fmt.Sprintf("spec.redis names another Redis while the queue of mapping %s in %s is not known to be empty; until it is, "+
			"the flushers stay with the earlier Redis: %s. Stop the writers and wait, or put the earlier addresses back, "+
			"or give the queue up with the annotation %s: \"true\"%s",
			m.Name, address, p.StillHolds(m.Name), v1alpha1.AnnotationForceDelete, p.AboutForce()))
		return true
	}
	return false
}
