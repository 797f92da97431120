// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replica

import "syscall"

// setLeast has the system call a reader that waits when so many bytes have arrived.
func setLeast(socket syscall.RawConn, bytes int) bool {
	var refused error
	err := socket.Control(func(fd uintptr) {
		refused = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVLOWAT, bytes)
	})
	return err == nil && refused == nil
}
