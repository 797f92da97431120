// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"strings"
	"time"

	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/entry"
)

// queue is what a source has of one mapping. The source's lock is held by whoever uses it.
type queue struct {
	mapping    config.Mapping
	encoding   encoding
	partitions []*partition
	settings   config.QueueSettings
	// opened says that the engine works with the queue.
	opened bool
	// writes, flushed, coalesced and losses are counted over all histories.
	writes, flushed, coalesced, losses int64
	// valueBytes is about how long a value is.
	valueBytes int
	// scan is how far the keys of the mapping were read.
	scan scan
}

func newQueue(m config.Mapping, of *dirty) *queue {
	q := &queue{mapping: m, encoding: encodings[m.Encoding], valueBytes: 256}
	for range m.Partitions {
		q.partitions = append(q.partitions, newPartition(of, q.encoding))
	}
	return q
}

// anew is the queue without its marks. The engine is to find its terms as it left them until
// it is told that they are void.
func (q *queue) anew(of *dirty) *queue {
	next := newQueue(q.mapping, of)
	next.settings, next.opened = q.settings, q.opened
	for i, p := range q.partitions {
		next.partitions[i].step = p.step
	}
	return next
}

// shape names the mapping in the list of those whose keys were all read: what another
// prefix or encoding would have read differently, or another table taken.
func (q *queue) shape() string {
	m := &q.mapping
	return strings.Join([]string{m.Name, m.KeyPrefix, m.Mode, m.Encoding, m.Table}, " ")
}

// numberOf is the number of the partition that a key is in.
func (q *queue) numberOf(key []byte) int {
	const offset, prime = 2166136261, 16777619
	h := uint32(offset)
	for _, c := range key {
		h = (h ^ uint32(c)) * prime
	}
	return int(h % uint32(len(q.partitions))) //nolint:gosec // There are a few partitions.
}

func (q *queue) of(key []byte) *partition { return q.partitions[q.numberOf(key)] }

// keyOf is the key of an id, and the member if it is of one.
func (q *queue) keyOf(id string) (key, member string, one bool) {
	if q.encoding.members {
		return namesOf(id)
	}
	return id, "", false
}

// nameOf is the name of an id.
func (q *queue) nameOf(id string) Name {
	key, member, _ := q.keyOf(id)
	return Name{Queue: q.mapping.Name, Key: key, Member: member}
}

// idOf is the id of a name.
func (q *queue) idOf(n Name) string {
	switch {
	case !q.encoding.members:
		return n.Key
	case n.Member == "":
		return string(appendID(nil, []byte(n.Key)))
	}
	return string(appendMember(appendID(nil, []byte(n.Key)), []byte(n.Member)))
}

// depth counts what is dirty, dead the letters, refused what waits for another attempt.
func (q *queue) depth() (depth, dead, refused int64) {
	for _, p := range q.partitions {
		depth += int64(p.length())
		dead += p.dead()
		refused += int64(p.length() - p.countFresh())
	}
	return depth, dead, refused
}

// scanning counts the marks that a scan waits for.
func (q *queue) scanning() int {
	n := 0
	for _, p := range q.partitions {
		n += p.scanning
	}
	return n
}

// encoding is what keys of a mapping hold, as far as the source has to know it.
type encoding struct {
	// question is what is asked of a name, ofKey what is asked of a key whose members are
	// the names.
	question, ofKey Question
	// operation is what is done with the value.
	operation *entry.Operation
	// named says that writes name fields which are read alone, members that each member is a
	// row of its own, and kept that what the stream says of one is all there is to it.
	named, members, kept bool
	// valued says that what SET wrote is the value.
	valued bool
}

// encodings are those that a mapping may have.
var encodings = map[string]encoding{
	config.EncodingJSON:      {question: Text, operation: entry.Set, valued: true},
	config.EncodingNumber:    {question: Text, operation: entry.Set, valued: true},
	config.EncodingHash:      {question: Fields, operation: entry.Set, named: true},
	config.EncodingSortedSet: {question: Score, ofKey: Board, operation: entry.Set, members: true},
	config.EncodingStream:    {question: OneEntry, ofKey: Entries, operation: entry.Append, members: true, kept: true},
}

func milliseconds(since int64, now time.Time) int64 {
	if since == 0 {
		return 0
	}
	return max(0, now.UnixMicro()-since) / 1000
}
