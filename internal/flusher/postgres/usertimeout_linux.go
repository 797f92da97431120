// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"syscall"
	"time"
)

// tcpUserTimeout is the socket option TCP_USER_TIMEOUT of Linux, which package
// syscall does not name.
const tcpUserTimeout = 0x12

// setUserTimeout makes the kernel give up a connection whose peer does not
// acknowledge. Where it is not possible, keep-alive and deadlines remain.
func setUserTimeout(fd uintptr) {
	_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout, int(unacknowledged/time.Millisecond))
}
