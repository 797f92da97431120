// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// FinalizerDrain keeps a deleted resource until its queues are empty, or until
// the policy or the force-delete annotation says otherwise.
const FinalizerDrain = "cache.writebehind.dev/drain"

// Labels and annotations.
const (
	// LabelOwnerUID carries the resource's UID on every object that the operator
	// makes for it. There is no ownerReference on what draining needs: a foreground
	// deletion would remove it before it has drained.
	LabelOwnerUID = "cache.writebehind.dev/owner-uid"

	// AnnotationForceDelete, when "true", lets a deleted resource go without
	// waiting for its queues. What they hold is lost with a managed Redis, and
	// stays unflushed in an external one.
	AnnotationForceDelete = "cache.writebehind.dev/force-delete"

	// AnnotationAcknowledgeDataLoss means that a person knows of so many of the
	// data-loss events in status.dataLossEvents, so that the condition Durable may
	// be True again. A number above those that there are acknowledges those, and
	// none that follows.
	AnnotationAcknowledgeDataLoss = "cache.writebehind.dev/acknowledge-data-loss"

	// AnnotationRedisUsers on the pod of a managed Redis is "true" where that has users
	// beside default.
	AnnotationRedisUsers = "cache.writebehind.dev/redis-users"

	// AnnotationSettingsHash on a flusher pod is the hash of the last config file, and on
	// the pod of a managed Redis that of the last rights of its users. Changing it makes the kubelet sync the mounted ConfigMap at once.
	AnnotationSettingsHash = "cache.writebehind.dev/settings-hash"

	// AnnotationInForce on the flushers' ConfigMap and on their Service is what
	// the operator must remember of the settings that it wrote last: where the
	// queues are, and how retired mappings are flushed. It is not for people.
	AnnotationInForce = "cache.writebehind.dev/in-force"

	// AnnotationStarted, when "true", on the flushers' ConfigMap says that a
	// container of a flusher ran once: from then on there may be a queue, also when
	// nobody ever saw one. It is not for people.
	AnnotationStarted = "cache.writebehind.dev/flusher-started"

	// AnnotationConfigHash on a pod template is the hash of those settings that
	// take a restart, so that they roll the pods and live ones do not.
	AnnotationConfigHash = "cache.writebehind.dev/config-hash"
)
