// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"encoding/binary"
	"slices"
)

// appendID is the id of a key in a queue of members, appendMember that of a member, which
// goes on where the key's ends. Keys and members may have any bytes.
func appendID[T ~string | ~[]byte](to []byte, key T) []byte {
	return append(binary.AppendUvarint(to, uint64(len(key))), key...)
}

func appendMember[T ~string | ~[]byte](key []byte, member T) []byte {
	return append(append(key, '/'), member...)
}

// namesOf are key and member of an id. one says that it is of a member.
func namesOf[T ~string | ~[]byte](id T) (key, member T, one bool) {
	length, n := binary.Uvarint([]byte(id[:min(len(id), binary.MaxVarintLen64)]))
	end := n + int(length) //nolint:gosec // It is the length of a key.
	key, member = id[n:end], id[end:]
	if one = len(member) > 0; one {
		member = member[len("/"):]
	}
	return key, member, one
}

// idOfKey is the id of the key that an id is of. one says that it is of a member.
func idOfKey(id []byte) (key []byte, one bool) {
	_, member, one := namesOf(id)
	if one {
		id = id[:len(id)-len(member)-len("/")]
	}
	return id, one
}

// isWrittenAgain tells whether a name that is out has a later mark, or its whole key has one:
// both would be about one row.
func (p *partition) isWrittenAgain() bool {
	return slices.ContainsFunc(p.out, func(m *mark) bool {
		if again := p.marked.like(m) != nil; again || !p.encoding.members {
			return again
		}
		key, one := idOfKey(p.of.id(m))
		return one && p.marked.find(key) != nil
	})
}

// apart has of what was just taken no board together with its members: keys that are gone are read
// again, so that both need not be as of one offset, and a batch may be written in parts whose order
// is another. A board goes before its members, also before those that were written earlier: what it
// clears away is what it does not have when it is read, and a member that was written since and has
// expired with it would be among that.
func (p *partition) apart(taken []*mark) []*mark {
	if !p.encoding.members || p.encoding.kept {
		return taken
	}
	whole := make(map[string]bool)
	for _, m := range taken {
		if key, one := idOfKey(p.of.id(m)); !one {
			whole[string(key)] = true
		}
	}
	from := len(p.out) - len(taken)
	p.out = p.out[:from]
	var back []*mark
	for _, m := range taken {
		key, one := idOfKey(p.of.id(m))
		if one && whole[string(key)] {
			back = append(back, m)
			continue
		}
		if board := p.boardOf(m); board != nil {
			back = append(back, m)
			m = board
			p.takeOut(m)
			whole[string(key)] = true
		}
		p.out = append(p.out, m)
	}
	for _, m := range slices.Backward(back) {
		p.restore(m)
	}
	return p.out[from:]
}

// boardOf is the mark of the board that a member is of, if that is to be written before the member:
// nil where there is none, or it was refused, since such a board holds up nobody, and is taken only
// where retries are asked for.
func (p *partition) boardOf(m *mark) *mark {
	if !p.encoding.members || p.encoding.kept {
		return nil
	}
	key, one := idOfKey(p.of.id(m))
	if !one {
		return nil
	}
	board := p.marked.find(key)
	if board == nil || p.of.attempts(board) > 0 {
		return nil
	}
	return board
}

// markMembers marks members of a key, or the key itself where a command names none, or fields
// of a hash, which the key is then: all that it has is to be read. Entries of a stream are only
// ever added to the table.
func (b *book) markMembers(q *queue, p *partition, e *Effect, now int64) {
	id := appendID(b.scratch[:0], e.Key)
	b.scratch = id
	switch {
	case q.encoding.kept && e.Word == Appended:
		b.markOne(q, p, appendMember(id, e.ID), e, now)
	case q.encoding.kept && e.Word == Deleted:
	case e.Word == Unlinked:
		p.unlinked(string(e.Key), e.Offset)
		p.outlived(id, e)
	case !q.encoding.kept && e.Word == Written && e.Members != nil && !e.OfHash:
		for _, member := range e.Members {
			b.markOne(q, p, appendMember(id, member), e, now)
		}
	default:
		b.markOne(q, p, id, e, now)
	}
}

// unlinked notes that a key has gone by itself, as long as any of its members may be dirty.
func (p *partition) unlinked(key string, offset int64) {
	if p.length() == 0 {
		p.gone = nil
		return
	}
	if p.gone == nil {
		p.gone = make(map[string]int64)
	}
	p.gone[key] = offset
	if len(p.gone) > max(p.mostGone, leastGone) {
		p.forgetGone()
	}
}

// outlived notes of a board whose deletion was refused that it has gone by itself since. Members may
// have been written meanwhile, whose rows stay: which ones nobody knows any more.
func (p *partition) outlived(id []byte, e *Effect) {
	m := p.marked.find(id)
	if m == nil || p.encoding.kept || m.word != Deleted || p.of.attempts(m) == 0 {
		return
	}
	if m.saved && !m.asked {
		p.renew(m, e.Before)
	}
	m.expired = true
}

// written is when a member was written last.
type written struct {
	member string
	last   int64
}

// writtenSince are the members that were written after a board was deleted which has gone by itself
// since. Where the stream is read once more their rows may be there already, and stay.
func (p *partition) writtenSince(key string, deleted int64) (members []string) {
	if p.ofGone == nil {
		p.ofGone = make(map[string][]written)
		for m := range p.marked.all() {
			of, member, one := namesOf(p.of.id(m))
			if _, gone := p.gone[string(of)]; gone && one && m.wrote {
				p.ofGone[string(of)] = append(p.ofGone[string(of)], written{string(member), m.last})
			}
		}
	}
	for _, w := range p.ofGone[key] {
		if w.last > deleted {
			members = append(members, w.member)
		}
	}
	return members
}

// leastGone is how many keys that have gone are noted before any is forgotten.
const leastGone = 1000

// forgetGone forgets the keys of which nothing is dirty: of what is written later they do not
// tell. It is called again when twice as many are noted as stay.
func (p *partition) forgetGone() {
	kept := make(map[string]int64)
	keep := func(m *mark) {
		key, _, _ := namesOf(p.of.id(m))
		if offset, ok := p.gone[string(key)]; ok {
			kept[string(key)] = offset
		}
	}
	for m := range p.marked.all() {
		keep(m)
	}
	for _, m := range p.out {
		keep(m)
	}
	p.gone, p.mostGone = kept, 2*len(kept)
}

// hasGone tells whether the key of a mark went by itself after its last write.
func (p *partition) hasGone(key string, m *mark) bool {
	offset, ok := p.gone[key]
	return m.word == Unlinked || ok && offset >= m.last
}

// expand marks the members of a key that was read. A claim that is void reads the key again,
// and so does who reads the stream again: the members hold the position where the key did.
func (b *book) expand(q *queue, p *partition, of *mark, key string, members []string) {
	id := appendID(nil, key)
	if of.saved {
		// The stream does not tell of it any more, and soon the database will not either.
		q.scan.again()
	}
	for _, member := range members {
		one := appendMember(slices.Clip(id), member)
		if p.marked.find(one) != nil {
			continue
		}
		m := p.of.add(one, mark{
			first: of.first, last: of.last, database: of.database, since: of.since, command: of.command,
			word: seen, scanned: of.scanned || of.saved,
		})
		if of.wrote {
			// It is lost if the key expires now.
			m.word, m.wrote = Written, true
		}
		if m.scanned {
			p.scanning++
		}
		p.owe(m)
	}
}

// documentOf is the text of a JSON object of fields and values in turn. The bytes are as they
// are, so that whoever reads it sees those that are no UTF-8. Of two fields of one name the
// last one is the one that a reader takes.
func documentOf[T ~string | ~[]byte](pairs []T) string {
	text := make([]byte, 0, sizeOf(pairs)+6*len(pairs)+2)
	text = append(text, '{')
	for i := 0; i+1 < len(pairs); i += 2 {
		if i > 0 {
			text = append(text, ',')
		}
		text = append(appendText(text, pairs[i]), ':')
		text = appendText(text, pairs[i+1])
	}
	return string(append(text, '}'))
}

// hashOf is documentOf with fields that are not there, which are null.
func hashOf(pairs, absent []string) string {
	text := documentOf(pairs)
	for _, field := range absent {
		separator := ","
		if len(text) == len("{}") {
			separator = ""
		}
		text = text[:len(text)-1] + separator + string(appendText(nil, field)) + ":null}"
	}
	return text
}

// listOf is the text of a JSON array of texts.
func listOf(texts []string) string {
	list := []byte{'['}
	for i, text := range texts {
		if i > 0 {
			list = append(list, ',')
		}
		list = appendText(list, text)
	}
	return string(append(list, ']'))
}

func appendText[T ~string | ~[]byte](to []byte, text T) []byte {
	const digits = "0123456789abcdef"
	to = append(to, '"')
	for i := range len(text) {
		switch c := text[i]; {
		case c == '"' || c == '\\':
			to = append(to, '\\', c)
		case c < 0x20:
			to = append(to, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
		default:
			to = append(to, c)
		}
	}
	return append(to, '"')
}

func sizeOf[T ~string | ~[]byte](texts []T) int {
	n := 0
	for _, text := range texts {
		n += len(text)
	}
	return n
}
