// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package monitoring

import "syscall"

// attributes put a process into a group of its own, so that Ctrl-C reaches only the
// test.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
