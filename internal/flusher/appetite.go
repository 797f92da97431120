// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package flusher

import (
	"context"
	"errors"
	"net"
	"os"
)

// maxClaimBytes bounds the values of one claim, so that a batch of large
// documents does not fill the memory of either side: 16 MiB.
const maxClaimBytes = 16 << 20

// leastClaimBytes is what a claim may take whatever has happened: less would not help a
// link that cannot carry so much.
const leastClaimBytes = 64 << 10

// appetite is how many bytes of values a claim of one partition may take: half of what it
// was after every time-out, since the same claim would time out again, and a quarter more
// after every success. The zero value is ready.
type appetite struct{ bytes int }

func (a *appetite) bound() int {
	if a.bytes == 0 {
		return maxClaimBytes
	}
	return a.bytes
}

// failed records that a step failed which carried so many bytes.
func (a *appetite) failed(err error, carried int) {
	var network net.Error
	late := errors.As(err, &network) && network.Timeout() || errors.Is(err, os.ErrDeadlineExceeded) ||
		errors.Is(err, context.DeadlineExceeded)
	if !late {
		return
	}
	a.bytes = max(min(a.bound(), carried)/2, leastClaimBytes)
}

func (a *appetite) passed() {
	if a.bytes += a.bytes / 4; a.bytes >= maxClaimBytes {
		a.bytes = 0
	}
}
