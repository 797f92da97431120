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
func (b *book) entryOf(q *queue, p *partition, m *mark, k *known) (e entry.Entry, ok bool) {
	upTo := k.offset
	if k.told {
		upTo = p.absorb(m, k.offset, k.Found == Gone)
	}
	key, member, one := q.keyOf(string(p.of.id(m)))
	e = entry.Entry{
		Key: key, Member: member, Operation: q.encoding.operation, Version: m.last, Upto: upTo, First: m.since,
		Attempts: p.of.attempts(m), FirstRefused: p.of.extra(m).firstRefused, Writes: int64(max(1, m.writes)), Compare: m.scanned,
	}
	switch {
	case len(key) == len(q.mapping.KeyPrefix):
		e.Unfit = &entry.Unfit{OfKey: true, Message: fmt.Sprintf("the key is the keyPrefix alone, which leaves nothing for the column %s", q.mapping.KeyColumn)}
		if ok = true; k.Found == Gone {
			e.Operation = entry.Delete
		}
	case k.Found == OfAnotherType:
		e.Unfit = b.ofAnotherType(q, m, k)
		ok = true
	case q.encoding.members && !one:
		ok = b.keyOfMembers(q, p, m, k, &e)
	case k.Found == There:
		p.valueOf(m, k, &e)
		if q.encoding.valued && m.word == Unlinked {
			// What was kept is of an earlier history, or older than what was read. It is lost if
			// nothing is there any more at the next attempt.
			p.of.dropValue(m)
		}
		ok = true
	default:
		ok = p.goneOf(m, key, &e)
	}
	return e, ok
}

func (b *book) ofAnotherType(q *queue, m *mark, k *known) *entry.Unfit {
	holds := "a value of another type"
	if k.Type != "" {
		holds = "a " + k.Type
	}
	return &entry.Unfit{Message: fmt.Sprintf("the key holds %s, which a mapping of encoding %s does not take%s", holds, q.mapping.Encoding, b.lastCommand(m))}
}

// lastCommand is what is said of the command that wrote last; nothing where the stream has not
// told it.
func (b *book) lastCommand(m *mark) string {
	if m.command == 0 {
		return ""
	}
	return " (last command: " + b.commands.names[m.command] + ")"
}

// valueOf gives the entry what was read.
func (p *partition) valueOf(m *mark, k *known, e *entry.Entry) {
	switch {
	case p.encoding.named:
		e.Value, e.Whole = hashOf(k.Pairs, k.Absent), k.Whole
	case p.encoding.kept && m.hasValue():
		e.Value = p.of.value(m)
	case p.encoding.kept:
		e.Value = documentOf(k.Pairs)
	default:
		e.Value = k.Value
	}
}

// keyOfMembers deals with a key whose members are rows: those that it has are marked, and
// rows of others are to go. Entries of a stream only come.
func (b *book) keyOfMembers(q *queue, p *partition, m *mark, k *known, e *entry.Entry) bool {
	if k.Found == There {
		b.expand(q, p, m, e.Key, k.Pairs)
	}
	gone := k.Found == Gone
	switch {
	case q.encoding.kept && k.More:
		p.of.untell(m)
		p.of.name(m, []byte("("+k.Pairs[len(k.Pairs)-1]))
		return false
	case gone && p.hasGone(e.Key, m) && (m.wrote || m.expired && m.word == Deleted):
		// Of which members or entries it was nobody knows.
		e.Lost = true
		return true
	case q.encoding.kept, gone && m.word != Deleted && !m.wrote:
		return false
	}
	stay := k.Pairs
	if gone && p.hasGone(e.Key, m) {
		stay = p.writtenSince(e.Key, m.last)
	}
	e.Operation, e.Value = entry.Clear, listOf(stay)
	return true
}

// goneOf says what becomes of the row of a name that is gone.
func (p *partition) goneOf(m *mark, key string, e *entry.Entry) bool {
	expired := p.hasGone(key, m)
	switch {
	case expired && m.wrote && m.hasValue():
		e.Value = p.of.value(m)
	case expired && m.wrote, m.wrote && p.encoding.kept:
		e.Lost = true
	case !expired && m.word != seen:
		e.Operation = entry.Delete
	default:
		return false
	}
	return true
}
