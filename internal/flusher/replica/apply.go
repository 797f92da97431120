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
	if s.stream != stream || s.ended {
		return errBroken
	}
	for i := range b.Effects {
		switch e := &b.Effects[i]; e.Word {
		case Flushed:
			s.flushed(e, now)
		case Unknown:
			s.lost("writes to unknown keys: two databases were exchanged, or a command does not tell its keys")
			s.scanAnew()
		default:
			if e.Prefix >= 0 {
				s.mark(s.queues[e.Prefix], e, now)
			}
		}
	}
	s.safe, s.read = b.Safe, max(s.read, b.Read)
	if s.dirty.marks == 0 {
		s.acknowledge()
	}
	s.wake()
	return nil
}

// mark marks the names that the effect is about.
func (s *Source) mark(q *queue, e *Effect, now int64) {
	p := q.of(e.Key)
	if q.encoding.members {
		s.markMembers(q, p, e, now)
		return
	}
	s.markOne(q, p, e.Key, e, now)
}

// markOne marks one name.
func (s *Source) markOne(q *queue, p *partition, id []byte, e *Effect, now int64) {
	m := p.marked[string(id)]
	switch {
	case m == nil && e.Word == Unlinked && len(p.out) == 0:
		return // There is nothing to write, and the row stays.
	case m == nil:
		m = &mark{id: string(id), first: e.Before.Offset, database: int16(e.Before.Database), since: now} //nolint:gosec // There are few databases.
		p.add(m)
	case e.Offset < m.last, m.saved && e.Offset == m.last:
		return // It was told before.
	case m.saved && (!m.asked || e.Word != Unlinked):
		p.renew(m, e.Before)
	}
	p.change(m, func() {
		s.write(q, m, e)
		if _, dead := p.letters[m.id]; dead && q.encoding.named {
			// The row lacks fields which the dead letter has, and that goes with the next row.
			m.wholly()
		}
	})
}

// write changes a mark by a write.
func (s *Source) write(q *queue, m *mark, e *Effect) {
	m.last = e.Offset
	if e.Word == Unlinked {
		m.unlink()
		return
	}
	m.command, m.word = s.commandOf(e.Command), e.Word
	if e.Word == Appended {
		m.word = Written
	}
	q.writes++
	m.writes++
	if m.wrote = e.Word != Deleted; !m.wrote {
		m.dropValue()
		if q.encoding.named {
			m.wholly()
		}
		return
	}
	s.keepValue(q, m, e)
	q.nameFields(m, e)
}

// keepValue keeps what SET wrote, for the case that the key is gone before it is read. Other
// writes make what was kept out of date.
func (s *Source) keepValue(q *queue, m *mark, e *Effect) {
	room := s.bounds.Values - s.dirty.values + valueBytes(m)
	switch {
	case q.encoding.valued && e.HasValue && len(e.Value) <= room:
		m.setValue(string(e.Value))
	case q.encoding.kept && e.Word == Appended && sizeOf(e.Fields) <= room:
		m.setValue(documentOf(e.Fields))
	default:
		m.dropValue()
	}
}

// nameFields has the fields read that a write named, or all of what is a hash no more, or will
// be one again.
func (q *queue) nameFields(m *mark, e *Effect) {
	if !q.encoding.named {
		return
	}
	if e.Members == nil || !e.OfHash {
		m.wholly()
		return
	}
	for _, field := range e.Members {
		m.name(string(field))
	}
}

// commandOf numbers the names of commands, of which there are a few hundred.
func (s *Source) commandOf(name string) uint16 {
	n, ok := s.commands[name]
	if !ok && len(s.commandNames) < 1<<16 {
		n = uint16(len(s.commandNames)) //nolint:gosec // It was just compared.
		s.commands[name] = n
		s.commandNames = append(s.commandNames, name)
	}
	return n
}

// flushed takes note that the whole database was emptied: no row is deleted for it, but
// what was not read before is gone.
func (s *Source) flushed(e *Effect, now int64) {
	for _, q := range s.queues {
		for _, p := range q.partitions {
			for _, m := range p.marked {
				if m.saved && !m.asked {
					p.renew(m, e.Before)
				}
				m.unlink()
				m.last = max(m.last, e.Offset)
			}
			for _, m := range p.out {
				if p.marked[m.id] == nil {
					// It may have been read before.
					gone := &mark{id: m.id, first: e.Before.Offset, last: e.Offset, database: int16(e.Before.Database), since: now} //nolint:gosec // There are few databases.
					gone.unlink()
					p.add(gone)
				}
			}
		}
	}
	s.tell("FLUSHALL or FLUSHDB has emptied the database at " + time.Now().UTC().Format(time.RFC3339) + ": no row is deleted for it, and what was not flushed by then is gone")
}

// unlink has the key gone without a word of the application.
func (m *mark) unlink() {
	m.expired = true
	if m.word != Deleted {
		m.word = Unlinked
	}
}
