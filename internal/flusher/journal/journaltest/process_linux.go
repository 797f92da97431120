// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package journaltest

import "syscall"

// attributes put the server into a process group of its own, so that Ctrl-C in
// a terminal reaches only the test, which then ends it; and let the kernel kill
// it when the thread that started it is gone.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
