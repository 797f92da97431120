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
func (s *Source) scans(ctx context.Context) {
	for ctx.Err() == nil {
		more, err := s.scanPage(ctx)
		s.note(&s.scanRefused, err)
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
func (s *Source) scanPage(ctx context.Context) (more bool, err error) {
	s.mu.Lock()
	var q *queue
	for _, owed := range s.queues {
		if !owed.scan.done {
			q = owed
			break
		}
	}
	if q == nil || s.stream == nil || s.history == 0 || s.dirty.bytes > s.bounds.Dirty/2 {
		s.mu.Unlock()
		return false, nil
	}
	now, number, history, id, t := q.scan.cursor, q.scan.number, s.history, s.id, s.tenure
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
	case s.tenure != t || s.history != history || q.scan.number != number:
		return true, nil
	case look.Replica || look.ID != id || s.id != id:
		// Of another server the cursor means nothing.
		q.scan.again()
		return false, ErrOtherServer
	}
	for _, key := range keys {
		if strings.HasPrefix(key, q.mapping.KeyPrefix) {
			q.of([]byte(key)).come(q.idOf(Name{Key: key}), s.safe, q.encoding.named)
		}
	}
	q.scan.keys += int64(len(keys))
	q.scan.cursor, q.scan.done, q.scan.upTo = next, next == 0, look.Offset
	return true, nil
}

// come marks a name that a scan has come across. What is known of it already says more; what
// the database has aside is read again anyway. The lock of the source is held.
func (p *partition) come(id string, at Point, named bool) {
	if m := p.marked[id]; m != nil {
		if m.saved {
			return
		}
		p.change(m, func() {
			if named {
				m.wholly()
			}
		})
		if !m.scanned {
			m.scanned = true
			p.scanning++
		}
		return
	}
	p.add(&mark{
		id: strings.Clone(id), first: at.Offset, last: at.Offset, database: int16(at.Database), //nolint:gosec // There are few databases.
		since: time.Now().UnixMicro(), word: seen, whole: named, scanned: true,
	})
}
