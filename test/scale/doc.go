// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package scale measures the operator with many resources against one API server.
//
// The API server and etcd are real, and the operator is the real program in a
// process of its own, under the rights of its manifests, so that its processor time
// and its memory are nobody else's. What a cluster has besides is played: the
// controllers of Deployments and StatefulSets, and the kubelet. Every flusher has an
// address of its own in 127.0.0.0/8 with the port that the operator asks, hence
// Linux only. A few of them are real flushers on a real Redis and a real PostgreSQL;
// the others answer as a flusher does that runs the settings in its ConfigMap.
//
// What the operator asks of the API server is taken from the API server's own audit
// log, so nothing stands between the two.
//
// `make scale RESOURCES=1000` prints the figures; `make test` runs a small world
// and asserts the same of it.
package scale
