// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"context"
	"strings"
	"time"
)

// scan is how far the keys of a mapping were read that were there before its stream.
type scan struct {
	cursor uint64
	// done says that all keys are marked, and number which scan it is: what was marked by
	// one that began anew does not count.
	done   bool
	number int
	keys   int64
	// upTo is how far the stream had come when the last keys were read.
	upTo int64
}

// again begins the scan anew.
func (c *scan) again() { *c = scan{number: c.number + 1} }

// finished tells whether all keys that were there are flushed or aside, where the stream is
// carried up to an offset. A key that the scan has not come across may have been deleted
// before it came there, so that the stream has to tell of that first. The lock is held.
func (c *scan) finished(q *queue, carried int64) bool {
	return c.done && carried >= c.upTo && q.scanning() == 0
}

// scanPause is how long a scan rests after an error, or while there is nothing to scan.
const scanPause = time.Second

// scans reads the keys of mappings that are owed, as long as the tenure lasts.
func (t *tenure) scans(ctx context.Context) {
	s := t.of
	for ctx.Err() == nil {
		more, err := t.scanPage(ctx)
		s.faults.note(&s.faults.scan, err)
		if err != nil {
			s.log.Debug("Could not scan", "error", err)
		}
		if more && err == nil {
			continue
		}
		select {
		case <-ctx.Done():
		case <-s.owed:
		case <-time.After(scanPause):
		}
	}
}

// scanPage marks some keys. It reports whether there are more to be marked at once: a scan
// waits while the marks take half of what they may.
func (t *tenure) scanPage(ctx context.Context) (more bool, err error) {
	s := t.of
	s.mu.Lock()
	var q *queue
	for _, owed := range s.book.queues {
		if !owed.scan.done {
			q = owed
			break
		}
	}
	if q == nil || s.head.stream == nil || s.history.number == 0 || s.tenure != t || !s.book.hasRoom() {
		s.mu.Unlock()
		return false, nil
	}
	now, number, history, id := q.scan.cursor, q.scan.number, s.history.number, s.head.id
	s.mu.Unlock()
	keys, next, err := s.server.Scan(ctx, q.mapping.KeyPrefix, now)
	if err != nil {
		return false, err
	}
	look, err := s.server.Look(ctx)
	if err != nil {
		return false, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.tenure != t || s.history.number != history || q.scan.number != number:
		return true, nil
	case look.Replica || look.ID != id || s.head.id != id:
		// Of another server the cursor means nothing.
		q.scan.again()
		return false, ErrOtherServer
	}
	for _, key := range keys {
		if strings.HasPrefix(key, q.mapping.KeyPrefix) {
			q.of([]byte(key)).come([]byte(q.idOf(Name{Key: key})), s.head.safe, q.encoding.named)
		}
	}
	s.book.pace()
	q.scan.keys += int64(len(keys))
	q.scan.cursor, q.scan.done, q.scan.upTo = next, next == 0, look.Offset
	return true, nil
}

// come marks a name that a scan has come across. What is known of it already says more; what
// the database has aside is read again anyway. The lock of the source is held.
func (p *partition) come(id []byte, at Point, named bool) {
	if m := p.marked.find(id); m != nil {
		if m.saved {
			return
		}
		if named {
			p.of.wholly(m)
		}
		if !m.scanned {
			m.scanned = true
			p.scanning++
		}
		return
	}
	p.add(id, mark{
		first: at.Offset, last: at.Offset, database: int16(at.Database), //nolint:gosec // There are few databases.
		since: time.Now().UnixMicro(), word: seen, whole: named, scanned: true,
	})
}
