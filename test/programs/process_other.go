// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix && !linux

package programs

import "syscall"

// attributes put a process into a group of its own. Only Linux can also end it when
// this process is killed.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
