// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package controller brings the cluster to what a WriteBehindCache asks for, and
// reports in its status whether data reaches the database.
//
// One pass reads everything, decides purely, and writes once. What it reads and what
// it decides are values:
//
//	snapshot   what was read; nothing changes it
//	plan       the objects and settings that are wanted, computed from the snapshot alone
//	verdict    status, events and the next pass, computed from the snapshot, the plan,
//	           and how far the pass got in carrying it out
//
// The packages of those names write nothing and ask nobody. This package reads,
// carries out, and stores, in this order:
//
//	finalizer  on a new resource, before anything is made
//	read       the resource, its objects and Pods from the cache, the flushers' last
//	           reports from package observe, and the queues of other resources
//	plan       the flushers' settings, with retired mappings and with what must be
//	           held back, and from them every object
//	turn       in an upgrade of the operator, change nothing before it is the resource's
//	           turn; turns.go has whose it is
//	passwords  create the Secrets of a managed Redis unless they are known to be there
//	apply      each object that differs from the plan, by one server-side apply;
//	           nothing is sent when nothing differs
//	prune      delete what the spec no longer asks for
//	nudge      annotate the flusher Pods, so that the kubelet syncs new settings
//	volume     grow the volume of a managed Redis, which nothing else waits for
//	monitor    make the Prometheus Operator's objects where it is installed
//	verdict    conditions and numbers; their policy is the table in verdict/policy.go
//	store      one patch of the status, if it changed, and then the events
//
// An error ends the pass after its step. Package failure has the kinds of errors and what
// follows each.
//
// A deletion takes the same steps up to nudge, with Draining in the settings, and lets
// none stop the others. Once the queues are empty, a pass ends with the record of that
// in the condition Draining. Only the passes after it remove the objects: the flushers
// first, then what they drained. So every pass writes the status once, also in a
// deletion, and no object is removed without a stored record of why it may be.
//
// Who owns which field:
//
//   - The field manager resources.FieldOwner owns every field that package resources
//     builds, and no other; what somebody else adds stays.
//   - The field manager resources.SettingsOwner owns one annotation on flusher Pods.
//   - spec.flusher.replicas is the user's, or the scale subresource's; the
//     Deployment follows it.
//   - The status is this package's alone. Numbers and lastObservedTime are
//     written when package observe publishes a change of them, at most every few
//     seconds; a condition at once; and nothing at all while nothing changes.
//   - Secrets are never read. One for each user of a managed Redis is created, named after
//     the UID, and deleted. A flusher reports it when its own is missing. The operator
//     creates them again at intervals, which changes nothing while they are there. So
//     passwords and rights, which are in a ConfigMap, meet in the Pod of Redis alone:
//     resources/redis_users.sh makes its aclfile, and keeps its users in step. For the same
//     reason no flag makes the operator demand a label of the Secrets that a resource names:
//     to get a Secret's metadata takes the right to get the Secret, and a Pod sees no label of
//     what is mounted into it. config/admission has a policy for it, which the API server
//     enforces when a resource or a Secret is written.
//
// The operator concludes nothing from missing reports. Until the flushers were polled once,
// existing conditions stay as they are. Ready, RedisReady and DatabaseReady refer to the
// newest generation that an answering flusher has tried. A deletion counts a queue as empty
// only when a flusher reports it empty, or if no flusher ever ran.
//
// Objects carry a label with the resource's UID and no ownerReference: a
// foreground deletion would remove what draining needs. An object of a needed
// name without that label belongs to somebody else and is never touched, unless
// the API server's own record shows that the label was removed.
//
// The ServiceMonitor and the PrometheusRule are the exception: draining does not
// need them, so they go with their owner. They are not watched, since their kinds
// may be installed and removed at any time, and checked at intervals instead.
// Their failures change no condition.
//
// Of two resources that name one queue on one Redis, or whose keyPrefixes overlap
// there, one has it and the other is Stalled; package rivals decides which. Across namespaces
// a spec alone claims nothing, and no name is told. If the one that is Stalled already had a
// queue of its own under another name, its deletion drains that queue, since the writes there
// were acknowledged.
//
// Data-loss events are counted here and not only in the journals, which are lost
// with their counts: verdict/losses.go has what counts as an event, and why none counts
// twice.
//
// Settings that the spec no longer contains (those of retired mappings, the Redis that the
// flushers must not leave yet) are recorded in one annotation in two places: see
// plan/inforce.go. A ControllerRevision would be a single object that somebody may delete. Its
// data cannot change, so each revision would be a new object to prune, and the annotation would
// still have to be read after an upgrade. The ConfigMap's text is written and never trusted. A
// record gives flushers no Secret that only the record names: plan/vouched.go has why.
//
// A thousand resources are some nine thousand objects, and memory is what they cost. The cache
// keeps what a pass reads (trim.go): specs as bytes, which fetch decodes (packed.go), since a
// decoded one takes several times as much; equal metadata once (share.go). Digests in place of
// specs would take less still, and would have to tell defaults from changes. Flushers are asked
// over a transport of package observe, since that of net/http has two goroutines and two buffers
// for each connection. make scale measures all of it.
//
// A mistake that only the API server finds is reported as the field of the spec that
// it comes from, and not as the Deployment's; origins.go has the table.
package controller
