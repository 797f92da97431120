// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package replica

import "syscall"

// setLeast does nothing here: each reader is called at once.
func setLeast(syscall.RawConn, int) bool { return false }
