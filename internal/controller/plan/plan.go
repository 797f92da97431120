// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package plan computes the wanted objects and settings from a snapshot alone. It writes
// nothing, and asks nobody.
package plan

import (
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	appsv1ac "k8s.io/client-go/applyconfigurations/apps/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/failure"
	"github.com/writebehind/operator/internal/controller/resources"
	"github.com/writebehind/operator/internal/controller/snapshot"
	"github.com/writebehind/operator/internal/flusher/config"
)

// Plan is the wanted objects and settings.
type Plan struct {
	// Settings is the flushers' config file, nil when it cannot be decided.
	Settings *config.Config
	// RestartHash names the part of the settings that takes a restart, SettingsHash
	// all of them.
	RestartHash  string
	SettingsHash string
	// UsersHash names the rights of the users of a managed Redis.
	UsersHash string
	// AsDefault reports that the flushers log in to a managed Redis as default, since it has
	// no other users yet.
	AsDefault bool
	// RedisTLSSecret is the Secret with the certificate of a managed Redis, empty for one
	// without TLS.
	RedisTLSSecret string
	// Objects are the wanted objects, in the order in which they are applied.
	Objects []Object
	// Upgrades reports that the changes come of another release of the operator; Waits, that
	// the resource waits for its turn, so that the plan changes nothing; Stopped, that no turn
	// comes, since so many resources were to be rolled and were not.
	Upgrades bool
	Waits    bool
	Stopped  int
	// HeldBack is the part of the spec that is held back until a queue is empty or free;
	// nil when none is.
	HeldBack *failure.Stalled
	// Again is when another pass is due although no watch asks for one.
	Again time.Duration
}

// Object is a wanted object, with its present state.
type Object struct {
	Intent runtime.ApplyConfiguration
	// Live is the object in the cluster; nil if there is none.
	Live client.Object
	Kind string
	Name string
}

// IsSettings reports whether the object is the one with the flushers' config file.
func (o *Object) IsSettings(cache *v1alpha1.WriteBehindCache) bool {
	return o.Kind == "ConfigMap" && o.Name == resources.FlusherName(cache)
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

// planner makes a plan.
type planner struct {
	*snapshot.Snapshot
	Plan

	// site is what holds for every resource.
	site *Site
	// previous is what was in force before this pass, nil when no record of it is
	// left.
	previous *InForce
	// carried is the resource with each part that is held back as it was. The
	// flushers are made from it.
	carried *v1alpha1.WriteBehindCache
	// redisSet runs a managed Redis, and redisWaits reports that the one that is there stays as
	// it is for now.
	redisSet   *appsv1ac.StatefulSetApplyConfiguration
	redisWaits bool
}

// holdBack holds a part of the spec back. Only the first part is reported.
func (p *planner) holdBack(reason, message string) {
	if p.HeldBack == nil {
		p.HeldBack = &failure.Stalled{Reason: reason, Message: message}
	}
}
