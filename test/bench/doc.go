// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package bench measures the flusher against the limits of what it stands on: the
// drain of a full queue beside the same statements fed from memory, on the same
// database in the same run.
package bench
