// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package resources

import (
	"slices"

	appsv1 "k8s.io/api/apps/v1"
)

// Reasons that the controller of Deployments gives for the progress of a rollout:
// ProgressDeadlineExceeded after progressDeadlineSeconds, 10 minutes.
const (
	RolloutComplete = "NewReplicaSetAvailable"
	RolloutOverdue  = "ProgressDeadlineExceeded"
)

// Overdue reports whether a rollout has not come to its end within its deadline.
func Overdue(d *appsv1.Deployment) bool { return RolloutIs(d, RolloutOverdue) }

// RolloutIs reports whether the progress of a Deployment has a reason.
func RolloutIs(d *appsv1.Deployment, reason string) bool {
	return slices.ContainsFunc(d.Status.Conditions, func(c appsv1.DeploymentCondition) bool {
		return c.Type == appsv1.DeploymentProgressing && c.Reason == reason
	})
}
