// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/resources"
	"github.com/writebehind/operator/internal/controller/snapshot"
	"github.com/writebehind/operator/internal/flusher/config"
)

// AsBefore plans to drain with the settings that are in force. The spec's own cannot
// be used, and the queues are those of earlier settings. Nothing changes but that
// the flushers drain.
func (p *Plan) AsBefore(s *snapshot.Snapshot) (*Plan, error) {
	next := *p
	next.Settings, next.Objects = nil, nil
	if s.Flushers.ConfigMap == nil {
		return &next, nil
	}
	settings, err := config.Parse([]byte(s.Flushers.ConfigMap.Data[resources.ConfigFile]))
	if err != nil || settings.Owner != string(s.Cache.UID) {
		return &next, nil //nolint:nilerr // the error of the plan is the one that a person needs
	}
	settings.Draining, settings.Revision = true, s.Cache.Generation
	configMap, err := resources.FlusherConfigMap(s.Cache, settings)
	if err != nil {
		return &next, err
	}
	for _, name := range []string{v1alpha1.AnnotationInForce, v1alpha1.AnnotationStarted} {
		if text, ok := s.Flushers.ConfigMap.Annotations[name]; ok {
			configMap.WithAnnotations(map[string]string{name: text})
		}
	}
	next.Settings = settings
	next.SettingsHash = resources.Hash(configMap.Data[resources.ConfigFile])
	next.add(configMap, liveOrNil(s.Flushers.ConfigMap), "ConfigMap", resources.FlusherName(s.Cache))
	next.RestartHash, err = resources.RestartHash(settings)
	return &next, err
}

// OnlyRivals reports whether other resources have every queue of this one, so that nothing
// of its own remains to be drained.
func OnlyRivals(s *snapshot.Snapshot) bool {
	if previous := recordedIn(s); previous != nil && len(previous.without(s.Rivals).Mappings) > 0 {
		return false
	}
	return len(s.WithoutRivals().Spec.Mappings) == 0
}
