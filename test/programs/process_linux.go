// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package programs

import "syscall"

// attributes put a process into a group of its own, so that Ctrl-C in a terminal
// reaches only the test, which then ends it; and let the kernel end it with the thread
// that started it.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
