// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package programs builds this project's programs for tests, and runs programs as
// processes that say what they said when a test fails, that are missed at once when
// they end early, and that outlive neither the test nor its process.
package programs
