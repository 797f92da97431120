// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replica

import "time"

// head is where the stream is read. The source's lock is held by whoever uses it.
type head struct {
	// id is the server's name of the history, safe and read are as in the batch read last.
	id     string
	safe   Point
	read   int64
	stream Replication
	// ended says that the stream is to be attached to anew.
	ended bool
	// held says that the stream is not read on for want of room, needed up to where it is
	// read all the same.
	held   bool
	needed int64
	// end is how far the server's stream has come, backlog how many bytes of it the server
	// keeps, as seen last.
	end, backlog int64
	// seen is when the server has answered last.
	seen time.Time
	// changed is closed when the stream was read on, or there is room again, or another
	// tenure begins; watched says that somebody waits for that.
	changed chan struct{}
	watched bool
}

// begin forgets what was read, and is where the database says that reading has to begin.
func (h *head) begin(at Position) {
	*h = head{
		id: at.ReplicationID, safe: Point{Offset: at.Offset, Database: at.Database}, read: at.Offset,
		seen: time.Now(), changed: h.changed, watched: h.watched,
	}
}

// isAttached tells whether a stream is read.
func (h *head) isAttached() bool { return h.stream != nil && !h.ended }

// goOn reads from the stream.
func (h *head) goOn(stream Replication) {
	start := stream.Start()
	h.stream, h.ended, h.id = stream, false, stream.ID()
	h.safe, h.read = start, max(h.read, start.Offset)
}

// detach has the stream attached to anew, also where it is held and nobody reads it.
func (h *head) detach() {
	if h.isAttached() {
		h.ended = true
		_ = h.stream.Close()
		h.wake()
	}
}

// wake wakes whoever waits for the stream or for room.
func (h *head) wake() {
	if h.watched {
		close(h.changed)
		h.changed, h.watched = make(chan struct{}), false
	}
}

// watch is closed at the next change.
func (h *head) watch() <-chan struct{} {
	h.watched = true
	return h.changed
}
