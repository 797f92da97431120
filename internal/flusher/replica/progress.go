// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replica

// Progress is how far a source has come.
type Progress struct {
	// Reads says that this process reads the source, Attached that a stream is read.
	Reads, Attached bool
	// History is the number of the history, Read how far the stream was read, Carried the
	// offset from which the next reader would read.
	History, Read, Carried int64
	// End is how far the server's stream has come, and Backlog how many bytes of it the
	// server keeps, as was seen within the last beat; 0 until then.
	End, Backlog int64
	// Marks counts what is dirty, Bytes what it takes. Held says that the stream waits in
	// the server's backlog for want of room.
	Marks, Bytes int
	Held         bool
	// Scanned says that no key is owed any more that was there before the stream, and Keys
	// counts those that were come across.
	Scanned bool
	Keys    int64
	// Told is what the stream told last that a person should know.
	Told string
}

// Progress tells how far the source has come.
func (s *Source) Progress() Progress {
	s.mu.Lock()
	defer s.mu.Unlock()
	carried := s.carriedTo()
	p := Progress{
		Reads: s.reads(), Attached: s.head.isAttached(), History: s.history.number, Read: s.head.read, Carried: carried,
		End: s.head.end, Backlog: s.head.backlog,
		Marks: s.book.dirty.count, Bytes: s.book.dirty.bytes(), Held: s.head.held, Scanned: s.book.scanned(carried), Told: s.told,
	}
	for _, q := range s.book.queues {
		p.Keys += q.scan.keys
	}
	return p
}
