// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replica

const (
	// usualGarbage is how much garbage there may be where much is dirty, and about as much as
	// there is where nothing is. By itself the collector would let as much accumulate as there is
	// of marks and texts, too, with which it has hardly any work.
	usualGarbage = 16 << 20
	// paceStep is how much more or less is dirty when the collector is told.
	paceStep = 4 << 20
)

// pace tells the collector how much garbage may accumulate, as what is dirty grows and shrinks.
func (b *book) pace() {
	bytes := b.dirty.bytes()
	if change := bytes - b.paced; b.collect == nil || -paceStep < change && change < paceStep {
		return
	}
	b.paced = bytes
	b.collect(100 * usualGarbage / (usualGarbage + bytes))
}
