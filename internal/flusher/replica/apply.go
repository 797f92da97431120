// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replica

import "time"

// apply marks what the effects of a batch are about. It fails when the stream is not the
// one that is read any more.
func (s *Source) apply(stream Replication, b Batch) error {
	now := time.Now().UnixMicro()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.head.stream != stream || s.head.ended {
		return errBroken
	}
	for i := range b.Effects {
		switch e := &b.Effects[i]; e.Word {
		case Flushed:
			s.book.emptied(e, now)
			s.tell("FLUSHALL or FLUSHDB has emptied the database at " + time.Now().UTC().Format(time.RFC3339) + ": no row is deleted for it, and what was not flushed by then is gone")
		case Unknown:
			s.lost("writes to unknown keys: two databases were exchanged, or a command does not tell its keys")
			s.scanAnew()
		default:
			if e.Prefix >= 0 {
				s.book.mark(s.book.queues[e.Prefix], e, now)
			}
		}
	}
	s.head.safe, s.head.read = b.Safe, max(s.head.read, b.Read)
	if s.book.dirty.count == 0 {
		s.acknowledge()
	}
	s.book.pace()
	s.head.wake()
	return nil
}

// mark marks the names that the effect is about.
func (b *book) mark(q *queue, e *Effect, now int64) {
	p := q.of(e.Key)
	if q.encoding.members {
		b.markMembers(q, p, e, now)
		return
	}
	b.markOne(q, p, e.Key, e, now)
}

// markOne marks one name.
func (b *book) markOne(q *queue, p *partition, id []byte, e *Effect, now int64) {
	m := p.marked.find(id)
	switch {
	case m == nil && e.Word == Unlinked && len(p.out) == 0:
		return // There is nothing to write, and the row stays.
	case m == nil:
		m = p.add(id, mark{first: e.Before.Offset, database: int16(e.Before.Database), since: now}) //nolint:gosec // There are few databases.
	case e.Offset < m.last, m.saved && e.Offset == m.last:
		return // It was told before.
	case m.saved && (!m.asked || e.Word != Unlinked):
		p.renew(m, e.Before)
	}
	b.write(q, m, e)
	if _, dead := p.letters[string(id)]; dead && q.encoding.named {
		// The row lacks fields which the dead letter has, and that goes with the next row.
		b.dirty.wholly(m)
	}
}

// write changes a mark by a write.
func (b *book) write(q *queue, m *mark, e *Effect) {
	m.last = e.Offset
	if e.Word == Unlinked {
		m.unlink()
		return
	}
	m.command, m.word = b.commands.number(e.Command), e.Word
	if e.Word == Appended {
		m.word = Written
	}
	q.writes++
	m.writes++
	if m.wrote = e.Word != Deleted; !m.wrote {
		b.dirty.dropValue(m)
		if q.encoding.named {
			b.dirty.wholly(m)
		}
		return
	}
	b.keepValue(q, m, e)
	b.nameFields(q, m, e)
}

// keepValue keeps what SET wrote, for the case that the key is gone before it is read. Other
// writes make what was kept out of date.
func (b *book) keepValue(q *queue, m *mark, e *Effect) {
	room := b.bounds.Values - b.dirty.values + b.dirty.valueBytes(m)
	switch {
	case q.encoding.valued && e.HasValue && len(e.Value) <= room:
		b.dirty.setValue(m, e.Value)
	case q.encoding.kept && e.Word == Appended && sizeOf(e.Fields) <= room:
		b.dirty.setValue(m, []byte(documentOf(e.Fields)))
	default:
		b.dirty.dropValue(m)
	}
}

// nameFields has the fields read that a write named, or all of what is a hash no more, or will
// be one again.
func (b *book) nameFields(q *queue, m *mark, e *Effect) {
	if !q.encoding.named {
		return
	}
	if e.Members == nil || !e.OfHash {
		b.dirty.wholly(m)
		return
	}
	for _, field := range e.Members {
		b.dirty.name(m, field)
	}
}

// emptied takes note that the whole database was emptied: no row is deleted for it, but
// what was not read before is gone.
func (b *book) emptied(e *Effect, now int64) {
	for _, p := range b.partitions() {
		for m := range p.marked.all() {
			if m.saved && !m.asked {
				p.renew(m, e.Before)
			}
			m.unlink()
			m.last = max(m.last, e.Offset)
		}
		for _, m := range p.out {
			if p.marked.like(m) == nil {
				// It may have been read before.
				gone := mark{first: e.Before.Offset, last: e.Offset, database: int16(e.Before.Database), since: now} //nolint:gosec // There are few databases.
				gone.unlink()
				p.add(p.of.id(m), gone)
			}
		}
	}
}

// unlink has the key gone without a word of the application.
func (m *mark) unlink() {
	m.expired = true
	if m.word != Deleted {
		m.word = Unlinked
	}
}
