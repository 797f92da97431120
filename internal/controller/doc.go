// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package controller brings the cluster to what a WriteBehindCache asks for and
// says in its status whether data reaches the database.
//
// One pass reads everything, decides purely, and writes once:
//
//	read      the resource, its objects and Pods from the cache, and what the
//	          flushers said last from package observe
//	plan      the flushers' settings (with retired mappings, and with what must be
//	          held back), and from them every object, as a pure function
//	apply     the objects that differ from the plan, each by one server-side
//	          apply; nothing is sent when nothing differs
//	prune     delete what the spec no longer asks for
//	nudge     annotate the flusher Pods, so that the kubelet syncs new settings
//	volume    grow the claim of a managed Redis, which nothing else waits for
//	monitor   make the Prometheus Operator's objects where it is installed
//	status    conditions and numbers from what was read; one patch, if any
//
// A deletion runs the same pass with Draining in the settings until the queues
// are empty, records in the condition Draining that it is done, and only then
// takes the objects down: the flushers first, then what they drained.
//
// Who owns which field:
//
//   - The field manager FieldOwner owns every field that package resources
//     builds, and no other; what somebody else adds beside them stays.
//   - The field manager SettingsOwner owns one annotation on flusher Pods.
//   - spec.flusher.replicas is the user's, or the scale subresource's; the
//     Deployment follows it.
//   - The status is this package's alone. Numbers and lastObservedTime are
//     written when package observe publishes a change of them, at most every few
//     seconds; a condition at once; and nothing at all while nothing changes.
//   - Secrets are never read. One is created, named after the UID, and deleted. A
//     flusher that misses it says so; where none answers, whether it is still there
//     is found out by creating it again, which changes nothing when it is.
//
// Nothing known is not nothing there. Until the flushers were looked at once,
// conditions that are there stay as they are; Ready, RedisReady and DatabaseReady
// are of the newest generation that a flusher which answers has tried; and a
// deletion takes a queue for empty only when a flusher says so, or none ever ran.
//
// Objects carry a label with the resource's UID and no ownerReference: a
// foreground deletion would remove what draining needs. An object of a needed
// name without that label belongs to somebody else and is never touched, unless
// the API server's own record says that the label was taken away.
//
// The ServiceMonitor and the PrometheusRule are the exception: draining does not
// need them, so they go with their owner. They are not watched, since their kinds
// may be installed and removed at any time, and looked at now and then instead.
// What goes wrong with them changes no condition.
//
// Of two resources that name one queue on one Redis, or whose keyPrefixes overlap
// there, one has it and the other is Stalled: the one whose own Redis it is, against
// another namespace's that names it from outside (anybody could stop a resource by
// naming its Redis first); or else the one whose flushers were seen at it; or else the
// older. One that already held a queue of its own, under another name, drains that
// when it is deleted, since what was written there was acknowledged.
//
// Data-loss events are counted here and not only in the journals, which are lost
// with their counts: losses.go says what counts as one, and that none counts twice.
//
// What the spec does not tell any more (the settings of retired mappings, a Redis
// that is held) is remembered in an annotation in two places; inforce.go. The
// text of the ConfigMap is written and never believed.
package controller
