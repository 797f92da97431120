// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"fmt"

	"github.com/writebehind/operator/internal/flusher/entry"
)

// entryOf is what the engine gets of a mark, unless there is nothing to write. The lock is
// held.
//
//	the key          the last word      what becomes of the row
//	---------------  -----------------  ----------------------------------------------------
//	is there         any                what the key is
//	holds another    any                a dead letter
//	type
//	is gone          Deleted, Written   is deleted: of what empties a key nothing else is said
//	is gone          Unlinked           what SET wrote last; without that the write is lost
//	is gone          none, a scan has   stays
//	                 come across it
func (s *Source) entryOf(q *queue, p *partition, m *mark, k *known) (e entry.Entry, ok bool) {
	upTo := k.offset
	if k.told {
		upTo = p.absorb(m, k.offset, k.Found == Gone)
	}
	key, member, one := q.keyOf(m.id)
	e = entry.Entry{
		Key: key, Member: member, Operation: q.encoding.operation, Version: m.last, Upto: upTo, First: m.since,
		Attempts: m.attempts(), Writes: int64(max(1, m.writes)), Compare: m.scanned,
	}
	if m.extra != nil {
		e.FirstRefused = m.extra.firstRefused
	}
	switch {
	case len(key) == len(q.mapping.KeyPrefix):
		e.Unfit = &entry.Unfit{OfKey: true, Message: fmt.Sprintf("the key is the keyPrefix alone, which leaves nothing for the column %s", q.mapping.KeyColumn)}
		if ok = true; k.Found == Gone {
			e.Operation = entry.Delete
		}
	case k.Found == OfAnotherType:
		e.Unfit = s.ofAnotherType(q, m, k)
		ok = true
	case q.encoding.members && !one:
		ok = s.keyOfMembers(q, p, m, k, &e)
	case k.Found == There:
		q.valueOf(m, k, &e)
		if q.encoding.valued && m.word == Unlinked {
			// What was kept is of an earlier history, or older than what was read. It is lost if
			// nothing is there any more at the next attempt.
			p.change(m, m.dropValue)
		}
		ok = true
	default:
		ok = p.goneOf(m, key, &e)
	}
	if ok {
		s.horizon = max(s.horizon, e.Version, e.Upto)
	}
	return e, ok
}

func (s *Source) ofAnotherType(q *queue, m *mark, k *known) *entry.Unfit {
	holds := "a value of another type"
	if k.Type != "" {
		holds = "a " + k.Type
	}
	return &entry.Unfit{Message: fmt.Sprintf("the key holds %s, which a mapping of encoding %s does not take%s", holds, q.mapping.Encoding, s.lastCommand(m))}
}

// lastCommand is what is said of the command that wrote last; nothing where the stream has not
// told it.
func (s *Source) lastCommand(m *mark) string {
	if m.command == 0 {
		return ""
	}
	return " (last command: " + s.commandNames[m.command] + ")"
}

// valueOf gives the entry what was read.
func (q *queue) valueOf(m *mark, k *known, e *entry.Entry) {
	kept, ok := m.value()
	switch {
	case q.encoding.named:
		e.Value, e.Whole = hashOf(k.Pairs, k.Absent), k.Whole
	case q.encoding.kept && ok:
		e.Value = kept
	case q.encoding.kept:
		e.Value = documentOf(k.Pairs)
	default:
		e.Value = k.Value
	}
}

// keyOfMembers deals with a key whose members are rows: those that it has are marked, and
// rows of others are to go. Entries of a stream only come.
func (s *Source) keyOfMembers(q *queue, p *partition, m *mark, k *known, e *entry.Entry) bool {
	if k.Found == There {
		s.expand(q, p, m, e.Key, k.Pairs)
	}
	gone := k.Found == Gone
	switch {
	case q.encoding.kept && k.More:
		p.change(m, func() { m.more().members = []string{"(" + k.Pairs[len(k.Pairs)-1]} })
		return false
	case gone && m.wrote && p.hasGone(e.Key, m):
		// Of which members or entries it was nobody knows.
		e.Lost = true
		return true
	case q.encoding.kept, gone && m.word != Deleted && !m.wrote:
		return false
	}
	e.Operation, e.Value = entry.Clear, listOf(k.Pairs)
	return true
}

// goneOf says what becomes of the row of a name that is gone.
func (p *partition) goneOf(m *mark, key string, e *entry.Entry) bool {
	value, kept := m.value()
	expired := p.hasGone(key, m)
	switch {
	case expired && m.wrote && kept:
		e.Value = value
	case expired && m.wrote, m.wrote && p.encoding.kept:
		e.Lost = true
	case !expired && m.word != seen:
		e.Operation = entry.Delete
	default:
		return false
	}
	return true
}
