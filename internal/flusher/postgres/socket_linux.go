// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"syscall"
	"time"
)

// Socket options of Linux that package syscall does not name: TCP_USER_TIMEOUT and
// TCP_NOTSENT_LOWAT.
const (
	tcpUserTimeout = 0x12
	tcpNotSentLow  = 0x19
)

// setSocket makes the kernel give up a connection whose peer does not acknowledge, and
// take no more than it is about to send: what it keeps for later would count as progress
// before it is any. Where that is not possible, keep-alive and deadlines remain.
func setSocket(fd uintptr) {
	_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout, int(unacknowledged/time.Millisecond))
	_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpNotSentLow, sentAtOnce)
}
