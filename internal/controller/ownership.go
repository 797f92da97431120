// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/resources"
)

// owns says whether an object of a needed name was made for this resource. The
// label says so; where somebody took it away, the API server's own record does,
// and the next apply puts the label back.
func (s *scope) owns(object client.Object) bool {
	if owner := object.GetLabels()[v1alpha1.LabelOwnerUID]; owner != "" {
		return owner == string(s.cache.UID)
	}
	// What is as young as this resource cannot be of an earlier one.
	created := object.GetCreationTimestamp()
	if created.Before(&s.cache.CreationTimestamp) {
		return false
	}
	if _, isClaim := object.(*corev1.PersistentVolumeClaim); isClaim {
		// The controller of StatefulSets makes it, and uses whichever has the name.
		return s.redis != nil && !created.Before(&s.redis.CreationTimestamp)
	}
	for _, entry := range object.GetManagedFields() {
		if entry.Manager == string(FieldOwner) && entry.Operation == metav1.ManagedFieldsOperationApply {
			return true
		}
	}
	return false
}

// disown notes an object that belongs to somebody else.
func (s *scope) disown(object client.Object, kind string) {
	s.foreign = append(s.foreign, kind+" "+object.GetName())
	labels := object.GetLabels()
	if labels[resources.LabelManagedBy] == resources.ManagedBy && labels[resources.LabelComponent] == resources.ComponentRedis {
		s.retainedBy = labels[v1alpha1.LabelOwnerUID]
	}
}

// conflict says what to do about the objects of others. What an earlier resource
// of this name retained holds a queue, so it must not be deleted lightly.
func (s *scope) conflict() error {
	message := fmt.Sprintf("%s of that name belongs to somebody else and is left alone; delete it, or give this resource another name",
		strings.Join(s.foreign, ", "))
	if s.retainedBy != "" {
		message = fmt.Sprintf("%s of an earlier WriteBehindCache %s, which retained its Redis with what is queued. To flush that and go on with it, "+
			"delete this resource and apply it with spec.redis.external in place of managed: addresses [%q], credentialsSecretRef {name: %s}. "+
			"To give it up, delete those objects; to leave it, give this resource another name",
			strings.Join(s.foreign, ", "), s.cache.Name, resources.RedisAddress(s.cache), resources.RetainedSecretName(s.cache, s.retainedBy))
	}
	return &stalledError{reason: v1alpha1.ReasonObjectConflict, message: message, retry: conflictRetry}
}
