// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package enginetest has what tests of the engine need instead of servers, and what proves
// that a server's package does what the engine expects.
//
// Source and Database implement the engine's ports in memory. Their clock is the process's
// own, so that a bubble of testing/synctest makes hours of an engine's life a matter of
// milliseconds. Faults stand between the engine and either of them: a call fails, hangs, or
// takes effect and loses its answer.
//
// SourceConforms and DatabaseConforms are the contract of the ports as tests, and
// OperationConforms that of what an entry does to its row. They run against the servers in
// memory here and against Redis and PostgreSQL in package service: what the engine's tests
// show with the ones then holds with the others.
package enginetest
