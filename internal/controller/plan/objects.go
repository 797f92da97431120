// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/resources"
)

// planObjects lists the objects in the order in which they are needed.
func (p *planner) planObjects(image string) error {
	flusher, redis := resources.FlusherName(p.Cache), resources.RedisName(p.Cache)
	if p.Managed() {
		// The rights come before all that needs them, and wait for no restart.
		users := resources.RedisUsersConfigMap(p.Cache, p.Settings.Mappings)
		p.UsersHash = resources.Hash(resources.RedisUsers(p.Cache, p.Settings.Mappings))
		p.add(users, liveOrNil(p.Redis.Users), "ConfigMap", resources.RedisUsersName(p.Cache))
		if !p.redisWaits {
			p.add(resources.RedisConfigMap(p.Cache), liveOrNil(p.Redis.ConfigMap), "ConfigMap", redis)
		}
		p.add(resources.RedisService(p.Cache), liveOrNil(p.Redis.Service), "Service", redis)
		if !p.redisWaits {
			p.add(p.redisSet, liveOrNil(p.Redis.StatefulSet), "StatefulSet", redis)
		}
	}
	configMap, err := resources.FlusherConfigMap(p.Cache, p.Settings)
	if err != nil {
		return err
	}
	if size := len(configMap.Data[resources.ConfigFile]); size > maxConfigMap {
		return tooManyColumns(size, maxConfigMap)
	}
	p.SettingsHash = resources.Hash(configMap.Data[resources.ConfigFile])
	text, err := p.nowInForce().text()
	if err != nil {
		return err
	}
	remember := map[string]string{v1alpha1.AnnotationInForce: text}
	configMap.WithAnnotations(remember)
	if p.EverStarted() {
		configMap.WithAnnotations(map[string]string{v1alpha1.AnnotationStarted: "true"})
	}
	p.add(configMap, liveOrNil(p.Flushers.ConfigMap), "ConfigMap", flusher)
	p.add(resources.FlusherService(p.Cache).WithAnnotations(remember), liveOrNil(p.Flushers.Service), "Service", flusher)
	deployment, err := resources.FlusherDeployment(p.carried, p.Flushers.Deployment, p.AsDefault, p.RestartHash, image)
	if err != nil {
		return err
	}
	p.add(deployment, liveOrNil(p.Flushers.Deployment), "Deployment", flusher)
	p.add(resources.FlusherDisruptionBudget(p.Cache), liveOrNil(p.Flushers.Budget), "PodDisruptionBudget", flusher)
	return p.planNetworkPolicies()
}

// planNetworkPolicies lists them after everything else: a rule that the API server
// refuses must not keep settings from the flushers.
func (p *planner) planNetworkPolicies() error {
	if !resources.WantsNetworkPolicies(p.Cache) {
		return nil
	}
	policy, err := resources.FlusherNetworkPolicy(p.Cache)
	if err != nil {
		return err
	}
	p.add(policy, liveOrNil(p.Flushers.Policy), "NetworkPolicy", resources.FlusherName(p.Cache))
	if !p.Managed() {
		return nil
	}
	if policy, err = resources.RedisNetworkPolicy(p.Cache); err != nil {
		return err
	}
	p.add(policy, liveOrNil(p.Redis.Policy), "NetworkPolicy", resources.RedisName(p.Cache))
	return nil
}

// nowInForce is the record of the planned settings. Its revision changes only with
// its content, so that most live settings leave the Service alone.
func (p *planner) nowInForce() *InForce {
	now := &InForce{Revision: p.Settings.Revision, External: p.carried.Spec.Redis.External, Mappings: p.Settings.Mappings}
	if p.Replicates() {
		now.Capture = p.Settings.Capture
	}
	if was := p.previous; was != nil && equality.Semantic.DeepEqual(was.External, now.External) && equality.Semantic.DeepEqual(was.Mappings, now.Mappings) {
		now.Revision = was.Revision
	}
	return now
}
