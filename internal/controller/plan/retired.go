// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/failure"
	"github.com/writebehind/operator/internal/flusher/config"
)

// LossRetry is how soon a pass checks a retired queue again after it has found another life
// of it: this pass counts the loss.
const LossRetry = time.Second

// retire puts those mappings of previous behind the wanted ones that the spec no
// longer has, and that are not known to be empty. A wanted one that cannot stand
// beside them waits.
func (p *planner) retire(previous *InForce) {
	wanted := p.Settings
	var retired, emptied []config.Mapping
	for _, old := range previous.Mappings {
		switch {
		case slices.ContainsFunc(wanted.Mappings, func(m config.Mapping) bool { return sameQueue(m, old) }):
		case old.Retired && p.emptied(old.Name):
			emptied = append(emptied, old)
		default:
			old.Retired = true
			retired = append(retired, old)
		}
	}
	if len(wanted.Mappings)+len(retired) == 0 {
		wanted.Mappings = emptied // rivals have all the others, and flushers need a mapping
	}
	if len(retired) == 0 {
		return
	}
	wanted.Mappings = append(p.withRetired(retired, wanted.Mappings, previous), retired...)
}

// withRetired returns the wanted mappings that can be served together with the retired
// ones.
func (p *planner) withRetired(retired, wanted []config.Mapping, previous *InForce) []config.Mapping {
	isNew := func(m config.Mapping) bool {
		return !slices.ContainsFunc(previous.Mappings, func(old config.Mapping) bool { return sameQueue(m, old) })
	}
	room := maxQueues - len(retired)
	for _, m := range wanted {
		if !isNew(m) {
			room--
		}
	}
	var kept []config.Mapping
	for _, m := range wanted {
		if old := inTheWay(m, retired); old != nil {
			p.holdBack(v1alpha1.ReasonQueueNotEmpty,
				fmt.Sprintf("mapping %s waits until the queue of mapping %s (keyPrefix %q), which was removed from the spec, is empty: %s",
					m.Name, old.Name, old.KeyPrefix, p.StillHolds(old.Name)))
			continue
		}
		if isNew(m) {
			if room <= 0 {
				p.holdBack(v1alpha1.ReasonQueueNotEmpty,
					fmt.Sprintf("mapping %s waits: the flushers serve at most %d queues, and queues of removed mappings are not empty (%d), such as that of %s: %s",
						m.Name, maxQueues, len(retired), retired[0].Name, p.StillHolds(retired[0].Name)))
				continue
			}
			room--
		}
		kept = append(kept, m)
	}
	return kept
}

func (p *planner) emptied(name string) bool {
	emptied, lost := p.Emptied(name)
	if lost {
		p.Again = failure.Sooner(p.Again, LossRetry)
	}
	return emptied
}

// sameQueue reports whether the mapping still carries the queue that old carried.
func sameQueue(m, old config.Mapping) bool {
	return m.Name == old.Name && m.KeyPrefix == old.KeyPrefix && m.Mode == old.Mode &&
		m.Encoding == old.Encoding && m.Partitions == old.Partitions
}

// inTheWay is the retired mapping that shares keys or the name with m.
func inTheWay(m config.Mapping, retired []config.Mapping) *config.Mapping {
	for i := range retired {
		old := &retired[i]
		if m.Name == old.Name || strings.HasPrefix(m.KeyPrefix, old.KeyPrefix) || strings.HasPrefix(old.KeyPrefix, m.KeyPrefix) {
			return old
		}
	}
	return nil
}
