// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package replica is the source of entries that changes nothing in the application: it
// attaches to Redis as a replica. The stream says which keys are dirty, their values are
// read when a batch is sent, and the database keeps how far the stream was carried.
package replica
