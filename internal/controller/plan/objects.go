// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/resources"
)

// Object is one that is to be there, and how it is.
type Object struct {
	Intent runtime.ApplyConfiguration
	// Live is nil when there is none.
	Live client.Object
	Kind string
	Name string
}

// IsSettings reports whether the object is the one with the flushers' config file.
func (o *Object) IsSettings(cache *v1alpha1.WriteBehindCache) bool {
	return o.Kind == "ConfigMap" && o.Name == resources.FlusherName(cache)
}

// planObjects lists the objects in the order in which they are needed.
func (p *planner) planObjects(image string) error {
	flusher, redis := resources.FlusherName(p.Cache), resources.RedisName(p.Cache)
	if p.Managed() {
		p.add(resources.RedisConfigMap(p.Cache), liveOrNil(p.Redis.ConfigMap), "ConfigMap", redis)
		p.add(resources.RedisService(p.Cache), liveOrNil(p.Redis.Service), "Service", redis)
		p.add(resources.RedisStatefulSet(p.Cache, p.Redis.StatefulSet), liveOrNil(p.Redis.StatefulSet), "StatefulSet", redis)
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
	deployment, err := resources.FlusherDeployment(p.carried, p.Flushers.Deployment, p.RestartHash, image)
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

func (p *Plan) add(intent runtime.ApplyConfiguration, live client.Object, kind, name string) {
	p.Objects = append(p.Objects, Object{Intent: intent, Live: live, Kind: kind, Name: name})
}

// liveOrNil keeps a nil pointer from becoming an interface that is not nil.
func liveOrNil[T any, P interface {
	*T
	client.Object
}](object P) client.Object {
	if object == nil {
		return nil
	}
	return object
}
