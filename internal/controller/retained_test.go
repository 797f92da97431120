// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/resources"
	"github.com/writebehind/operator/internal/controller/snapshot"
)

// A Redis that was left behind before there were users has the Secret of its user default alone,
// and the way to take it over names that.
func TestARetainedRedisOfBeforeThereWereUsersIsKnown(t *testing.T) {
	for value, without := range map[string]bool{"true": false, "": true} {
		set := &appsv1.StatefulSet{}
		set.Name = "shop-redis"
		set.Labels = map[string]string{
			resources.LabelManagedBy: resources.ManagedBy, resources.LabelComponent: resources.ComponentRedis, v1alpha1.LabelOwnerUID: "earlier",
		}
		set.Spec.Template.Annotations = map[string]string{v1alpha1.AnnotationRedisUsers: value}
		in := &reader{Snapshot: &snapshot.Snapshot{}}
		in.disown(set, "StatefulSet")
		if in.RetainedBy != "earlier" || in.RetainedWithoutUsers != without {
			t.Errorf("with the annotation %q it is of %q, and without users: %t", value, in.RetainedBy, in.RetainedWithoutUsers)
		}
	}
}
