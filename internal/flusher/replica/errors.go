// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replica

import "errors"

var (
	// ErrOtherServer means that stream and keys are not of one server: a fail-over is under
	// way, or the address leads to several.
	ErrOtherServer = errors.New("the keys are not of the server whose stream is read")
	// errReadAgain means that Redis has lost what was read, and perhaps nothing that was
	// flushed. A tenure that begins at the position in the database finds that out from the
	// ledger.
	errReadAgain = errors.New("a fail-over of Redis has lost what was read: the stream is read again from the position in the database")
	// errBroken means that the history has ended.
	errBroken = errors.New("the history has ended")
)
