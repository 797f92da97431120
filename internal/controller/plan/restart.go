// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	appsv1ac "k8s.io/client-go/applyconfigurations/apps/v1"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/resources"
)

// planRedis decides whether a managed Redis may restart with what the spec asks for. While it
// may not, flushers go on reaching it as it is, with TLS or without.
func (p *planner) planRedis() error {
	if !p.Managed() {
		return nil
	}
	var err error
	if p.redisSet, err = resources.RedisStatefulSet(p.Cache, p.Redis.StatefulSet); err != nil {
		return err
	}
	if p.redisWaits = p.restartWaits(p.redisSet); p.redisWaits {
		p.carried = p.carried.DeepCopy()
		p.carried.Spec.Redis.Managed.TLS = resources.MountedRedisTLS(&p.Redis.StatefulSet.Spec.Template.Spec)
		p.Settings.Redis = resources.FlusherConfig(p.carried).Redis
	}
	if p.AsDefault = p.hasNoUsers(); p.AsDefault {
		resources.AsDefault(p.Cache, p.Settings)
	}
	p.RedisTLSSecret = resources.RedisTLSSecret(p.carried)
	return nil
}

// hasNoUsers reports whether a managed Redis from before it had users is not known to serve
// them yet. Its flushers stay at the user default until a Pod with users is ready, which has
// the user default too: so a change of users never meets a Redis that does not know them. A
// flusher that logs in as its own user stays there.
func (p *planner) hasNoUsers() bool {
	set, flushers := p.Redis.StatefulSet, p.Flushers.Deployment
	switch {
	case set == nil, flushers != nil && !resources.LogsInAsDefault(p.Cache, flushers):
		return false
	case flushers == nil:
		return !resources.ServesUsers(set.Spec.Template.Annotations)
	}
	return !slices.ContainsFunc(p.Redis.Pods, func(pod corev1.Pod) bool {
		return resources.ServesUsers(pod.Annotations) && ready(&pod)
	})
}

func ready(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// restartWaits reports whether a managed Redis stays as it is for now, since the StatefulSet
// would restart it while something waits to be flushed. A restart ends the history of the
// replication stream: every key is read again, and what was deleted before and not flushed
// stays in the table. A Redis that does not run has no history to lose.
func (p *planner) restartWaits(set *appsv1ac.StatefulSetApplyConfiguration) bool {
	live := p.Redis.StatefulSet
	if !p.Replicates() || live == nil || live.Status.ReadyReplicas == 0 || p.Forced() ||
		live.Spec.Template.Annotations[v1alpha1.AnnotationConfigHash] == set.Spec.Template.Annotations[v1alpha1.AnnotationConfigHash] {
		return false
	}
	for _, m := range p.Settings.Mappings {
		if left := p.unflushed(m.Name); left != "" {
			p.holdBack(v1alpha1.ReasonQueueNotEmpty, fmt.Sprintf("a restart of Redis, for a change of spec.redis.managed or by another release of the operator, "+
				"waits until nothing waits to be flushed of mapping %s: %s. "+
				"If it never comes to that, stop the applications that write for a moment, or give up what was deleted and is not flushed "+
				"with the annotation %s: \"true\", and take that away afterwards%s",
				m.Name, left, v1alpha1.AnnotationForceDelete, p.AboutForce()))
			return true
		}
	}
	return false
}

// unflushed is what a restart of Redis would lose of a queue, empty for nothing. Dead letters
// are in the database.
func (p *planner) unflushed(name string) string {
	q := p.Queue(name, p.Settled)
	switch {
	case q == nil:
		return "no flusher has reported it yet"
	case q.Depth > 0:
		return p.Contents(q)
	}
	return p.Unread()
}
