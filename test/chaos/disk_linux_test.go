// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package chaos

import "syscall"

// mountMemory puts a file system of so many megabytes, in memory, at a folder.
func mountMemory(folder string, megabytes string) error {
	return syscall.Mount("chaos", folder, "tmpfs", 0, "mode=0755,size="+megabytes+"m")
}

// unmount takes it away, even while files on it are still open.
func unmount(folder string) error { return syscall.Unmount(folder, syscall.MNT_DETACH) }
