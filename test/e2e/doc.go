// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package e2e tests the whole on a real cluster with real pods: the operator as
// config/default deploys it, flushers and Redis as it starts them, and a
// PostgreSQL outside of the cluster. It is built with the tag e2e; make test-e2e
// runs it on the local cluster.
package e2e
