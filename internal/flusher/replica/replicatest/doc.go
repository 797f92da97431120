// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package replicatest has what tests of a source need instead of servers, and what proves
// that a database keeps of a source what the source relies on.
//
// Store keeps it in memory, by the process's own clock, so that a bubble of
// testing/synctest makes a lease run out in no time. StoreConforms is the contract of the
// port as tests: it runs against Store here and against PostgreSQL in package postgres.
package replicatest
