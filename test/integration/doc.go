// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package integration tests the flusher as a user runs it: the real program, a
// real redis-server and a real PostgreSQL, with nothing in between.
package integration
