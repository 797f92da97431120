// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replica

import "encoding/binary"

// texts keeps names and values, of which there may be millions, in blocks: the collector has
// nothing to look for in them, and none of them takes more than its bytes and a length.
type texts struct {
	// blocks are by number. There is none of number 0.
	blocks []block
	// spare are numbers of blocks that are gone, and open is that of the one which is filled.
	spare []int
	open  int
	// used are the bytes of all blocks, live those of them that are of texts.
	used, live int
}

// block has texts one behind the other, each with its length before it.
type block struct {
	bytes []byte
	live  int
}

// ref is where a text is: the number of its block, and its place there. 0 is none.
type ref uint32

const (
	placeBits  = 16
	blockBytes = 1 << placeBits
	// longText has a block of its own, so that no more than a quarter of one is left empty.
	longText = blockBytes / 4
)

// add keeps a copy of a text.
func (t *texts) add(bytes []byte) ref {
	n := len(bytes) + binary.MaxVarintLen64
	number := t.open
	switch {
	case n > longText:
		number = t.enter(n)
	case number == 0 || cap(t.blocks[number].bytes)-len(t.blocks[number].bytes) < n:
		number = t.enter(blockBytes)
		t.open = number
	}
	b := &t.blocks[number]
	at := len(b.bytes)
	b.bytes = append(binary.AppendUvarint(b.bytes, uint64(len(bytes))), bytes...)
	n = len(b.bytes) - at
	b.live += n
	t.live += n
	t.used += n
	return ref(number<<placeBits | at) //nolint:gosec // The bound on what is dirty is reached before.
}

// enter makes a block of that size.
func (t *texts) enter(size int) (number int) {
	if len(t.blocks) == 0 {
		t.blocks = make([]block, 1)
	}
	if last := len(t.spare) - 1; last >= 0 {
		number, t.spare = t.spare[last], t.spare[:last]
	} else {
		number, t.blocks = len(t.blocks), append(t.blocks, block{})
	}
	t.blocks[number].bytes = make([]byte, 0, size)
	return number
}

// of is the text, until it is dropped.
func (t *texts) of(at ref) []byte {
	rest := t.blocks[at>>placeBits].bytes[at%blockBytes:]
	length, n := binary.Uvarint(rest)
	end := n + int(length) //nolint:gosec // It is the length of a text.
	return rest[n:end:end]
}

// drop forgets a text. A block without any goes.
func (t *texts) drop(at ref) {
	number := int(at >> placeBits)
	b := &t.blocks[number]
	rest := b.bytes[at%blockBytes:]
	length, n := binary.Uvarint(rest)
	n += int(length) //nolint:gosec // It is the length of a text.
	b.live -= n
	t.live -= n
	if b.live > 0 {
		return
	}
	t.used -= len(b.bytes)
	if number == t.open {
		b.bytes = b.bytes[:0]
		return
	}
	*b = block{}
	t.spare = append(t.spare, number)
}

// untidy tells whether most of the blocks is of texts that are gone: some of those that are there
// are among many that are not.
func (t *texts) untidy() bool { return t.used > 2*t.live+16*blockBytes }

// tidy is where the text is to be from now on: where hardly any are gone.
func (t *texts) tidy(at ref) ref {
	number := int(at >> placeBits)
	if b := &t.blocks[number]; number == t.open || b.live > len(b.bytes)/4*3 {
		return at
	}
	moved := t.add(t.of(at))
	t.drop(at)
	return moved
}
