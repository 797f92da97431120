// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package verdict

import (
	"errors"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/failure"
	"github.com/writebehind/operator/internal/controller/resources"
	"github.com/writebehind/operator/internal/plural"
)

// needsAPerson is the cause of Stalled.
func needsAPerson(f *facts) *Condition {
	if f.stalled == nil {
		return nil
	}
	return abnormal(f.stalled.Reason, f.stalled.Message)
}

// progressing is nil for a resource that is stalled, or whose deletion Draining
// reports.
func progressing(f *facts, message string) *Condition {
	if f.stalled != nil || f.Deleting() {
		return nil
	}
	return abnormal(v1alpha1.ReasonProgressing, message)
}

func waitingFor(f *facts) *Condition {
	var waiting *failure.Waiting
	if !errors.As(f.did.Failure, &waiting) {
		return nil
	}
	return progressing(f, "Waiting for "+waiting.What)
}

func attemptFailed(f *facts) *Condition {
	if f.did.Failure == nil {
		return nil
	}
	return progressing(f, "The last attempt failed: "+f.did.Failure.Error())
}

func waitsForItsTurn(f *facts) *Condition {
	if !f.Waits {
		return nil
	}
	if f.Stopped > 0 {
		return progressing(f, fmt.Sprintf("The operator was upgraded, and the upgrade has stopped: the rollouts of %s have not come to their end in time, and fewer have. "+
			"This resource runs as before. Look at the Deployments of those, whose Reconciling says so, and mend them, or go back to the release before; "+
			"to go on all the same, raise --max-concurrent-rollouts of the operator above %d", plural.Of(int64(f.Stopped), "resource", "resources"), f.Stopped))
	}
	return progressing(f, "The operator was upgraded: this resource waits for its turn to be rolled, and runs as before meanwhile; "+
		"--max-concurrent-rollouts of the operator is how many are rolled at a time")
}

func redisUnfinished(f *facts) *Condition {
	if !f.Managed() {
		return nil
	}
	set := f.Redis.StatefulSet
	switch {
	case set == nil:
		return progressing(f, "The StatefulSet of Redis is being made"+clause(whyRedisPodWaits(f)))
	case lostRedis(f) != "", set.Status.ObservedGeneration < set.Generation || set.Status.UpdatedReplicas < 1 || set.Status.ReadyReplicas < 1:
		return progressing(f, fmt.Sprintf("StatefulSet %s is not ready%s", set.Name, clause(whyRedisPodWaits(f))))
	default:
		return nil
	}
}

func flushersUnfinished(f *facts) *Condition {
	d := f.Flushers.Deployment
	switch {
	case d == nil:
		return progressing(f, "The Deployment of the flushers is being made"+clause(whyBehind(f)))
	case !rolledOut(d, resources.FlusherReplicas(f.Cache), f.RestartHash):
		return progressing(f, fmt.Sprintf("Deployment %s is rolling out%s%s", d.Name, overdue(d), clause(whyBehind(f))))
	default:
		return nil
	}
}

// overdue says that a rollout has not come to its end in time. In an upgrade of the operator
// the next resource has its turn then.
func overdue(d *appsv1.Deployment) string {
	if resources.Overdue(d) {
		return ", and has not come to its end within progressDeadlineSeconds"
	}
	return ""
}

// rolledOut compares the templates of the Pods, not their readiness: a flusher whose
// database is down is where the spec wants it.
func rolledOut(d *appsv1.Deployment, replicas int32, restartHash string) bool {
	return d.Spec.Template.Annotations[v1alpha1.AnnotationConfigHash] == restartHash &&
		d.Status.ObservedGeneration >= d.Generation &&
		d.Status.UpdatedReplicas == replicas && d.Status.Replicas == replicas
}

func settingsRolling(f *facts) *Condition {
	if c := f.standing(v1alpha1.ConditionSettingsApplied); c.Reason == v1alpha1.ReasonRolling {
		return progressing(f, c.Message)
	}
	return nil
}
