// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package model

// normalize makes the state that of its images which is explored. No rule and no check tells
// one flusher from the other, one key from the other, or the places of the network apart: what
// follows from a state follows from each image of it, with other numbers. An order that holds
// less than all fields would be right too, and leave more states to visit.
func (s *state) normalize() {
	if s.keyRank(0) < s.keyRank(1) {
		s.swapKeys()
	}
	if s.flushers[0].rank() < s.flushers[1].rank() {
		s.swapFlushers()
	}
	if s.network[0].rank() < s.network[1].rank() {
		swap(&s.network)
	}
}

func (s *state) swapKeys() {
	swap(&s.version)
	swap(&s.dirty)
	swap(&s.row)
	for i := range s.network {
		swap(&s.network[i].rows)
	}
	for i := range s.flushers {
		swap(&s.flushers[i].rows)
		swap(&s.flushers[i].resendRows)
	}
}

func (s *state) swapFlushers() {
	swap(&s.flushers)
	exchange(&s.owner)
	for i := range s.network {
		if s.network[i].used {
			exchange(&s.network[i].owner)
		}
	}
}

func swap[T any](pair *[2]T) { pair[0], pair[1] = pair[1], pair[0] }

// exchange gives what one flusher owns to the other.
func exchange(owner *int8) {
	if *owner >= 0 {
		*owner = 1 - *owner
	}
}

func (s *state) keyRank(k int) uint64 {
	return rank(s.version[k], flag(s.dirty[k]), s.row[k])
}

func (f *flusher) rank() uint64 {
	return rank(int8(f.at), f.epoch, f.flush, f.claim, f.rows[0], f.rows[1], flag(f.resend), f.resendClaim)
}

func (t *transaction) rank() uint64 {
	return rank(flag(t.used), t.owner, t.epoch, t.flush, t.rows[0], t.rows[1])
}

// rank makes one number of up to eight small ones, none of them less than -1.
func rank(parts ...int8) uint64 {
	var all uint64
	for _, part := range parts {
		all = all<<8 | uint64(part+1)
	}
	return all
}

func flag(b bool) int8 {
	if b {
		return 1
	}
	return 0
}
