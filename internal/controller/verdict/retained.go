// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package verdict

import (
	"fmt"
	"strings"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/failure"
	"github.com/writebehind/operator/internal/controller/resources"
	"github.com/writebehind/operator/internal/controller/snapshot"
	"github.com/writebehind/operator/internal/flusher/config"
)

func retains(s *snapshot.Snapshot) bool {
	return s.Cache.Spec.DeletionPolicy == v1alpha1.DeletionPolicyRetain
}

// retained records what stays behind, for the condition and its event.
func retained(s *snapshot.Snapshot) Drain {
	what := "Redis keeps the queued entries"
	if s.Managed() {
		what = fmt.Sprintf("StatefulSet %s with its Service, ConfigMaps and volume, and Secrets %s and %s, stay, with the queued entries",
			resources.RedisName(s.Cache), resources.ApplicationSecretName(s.Cache), resources.FlusherSecretName(s.Cache))
	}
	return Drain{Condition: abnormal(v1alpha1.ReasonRetained, "spec.deletionPolicy is Retain: "+what), Done: true}
}

// reopened lets Redis be retained once the flushers have seen every queue of the
// spec open. The deletion had begun to drain before it became one that retains: a
// queue that stays behind closed would refuse every write, and nothing would be left
// to open it.
func reopened(f *facts) Drain {
	var closed []string
	for i := range f.Cache.Spec.Mappings {
		name := f.Cache.Spec.Mappings[i].Name
		q := f.Queue(name, func(d *config.Status) bool {
			return f.Settled(d) && !d.Draining && d.Revision == f.Cache.Generation
		})
		if q == nil || q.State == config.StatePaused {
			closed = append(closed, name)
		}
	}
	if len(closed) == 0 {
		return retained(f.Snapshot)
	}
	if err := f.did.Failure; err != nil {
		return Drain{Condition: abnormal(v1alpha1.ReasonDraining, "Redis cannot be retained yet: "+err.Error()), Err: err}
	}
	what := fmt.Sprintf("queue %s to be open to writers again, before Redis is retained", strings.Join(closed, ", "))
	message := "Waiting for " + what
	if len(f.documents) == 0 {
		message += ": " + whyNoFlusherAnswers(f)
	}
	return Drain{
		Condition: abnormal(v1alpha1.ReasonDraining, fmt.Sprintf("%s. To leave it closed, set the annotation %s: \"true\"", message, v1alpha1.AnnotationForceDelete)),
		Err:       &failure.Waiting{What: what},
	}
}
