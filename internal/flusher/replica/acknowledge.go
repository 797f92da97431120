// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"strconv"
	"time"
)

const (
	// acknowledgeEvery is how often a server is told what it was told before: it takes a
	// replica for gone that says nothing for a minute, and does not count it among those
	// that are there after ten seconds.
	acknowledgeEvery = time.Second
	// A server begins with the stream once it has heard something after a snapshot, and
	// forgets what it hears before it has noticed the end of that itself. So the first
	// acknowledgements follow each other closely.
	acknowledgeFirst  = 100 * time.Millisecond
	acknowledgeCloses = 20
)

// Acknowledge tells the server, as soon as may be, that everything before the offset is
// committed. What was said once is not taken back: a lower offset changes nothing.
//
// Before the first call 0 is acknowledged: after a full resync writes that are in its snapshot
// wait as well, and whoever goes on with a stream goes on from what was read, which need not
// be committed.
func (s *Stream) Acknowledge(offset int64) {
	for {
		before := s.committed.Load()
		if offset <= before {
			return
		}
		if s.committed.CompareAndSwap(before, offset) {
			s.hurry()
			return
		}
	}
}

func (s *Stream) hurry() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// acknowledge tells what is committed until the stream is closed. The server answers
// nothing.
func (s *Stream) acknowledge() {
	defer close(s.acknowledged)
	for told := 0; ; told++ {
		offset := strconv.FormatInt(s.committed.Load(), 10)
		// The second number is what WAITAOF waits for. A server that does not know it looks
		// at the first one alone.
		if err := s.wire.send(replconf, "ACK", offset, "FACK", offset); err != nil {
			// Reading ends, too.
			s.wire.Close()
			return
		}
		pause := acknowledgeEvery
		if told < acknowledgeCloses {
			pause = acknowledgeFirst
		}
		select {
		case <-s.life.Done():
			return
		case <-s.wake:
		case <-time.After(pause):
		}
	}
}
