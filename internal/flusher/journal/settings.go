// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"encoding/binary"
	"math"
	"strconv"

	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/entry"
)

// settings are what a function of the engine is called with, by name: a map of MessagePack
// from texts to texts, which library/settings.lua unpacks. All names are in this file and
// in front of the functions there.
type settings struct {
	packed []byte
	count  uint16
}

// The marks of MessagePack that precede a map, and texts by their longest length.
const (
	map16 = 0xde
	str8  = 0xd9
	str16 = 0xda
	str32 = 0xdb
)

// headBytes are those of the mark of a map and of its size.
const headBytes = 3

// usualBytes has room for the settings of most calls.
const usualBytes = 384

// ofQueue begins the settings of a call: every one names its queue.
func ofQueue(name string) *settings {
	s := &settings{packed: make([]byte, headBytes, usualBytes)}
	return s.text("queue", name)
}

// argument is the settings as a function takes them.
func (s *settings) argument() []byte {
	s.packed[0] = map16
	binary.BigEndian.PutUint16(s.packed[1:], s.count)
	return s.packed
}

func (s *settings) text(name, value string) *settings {
	s.count++
	s.packed = appendText(appendText(s.packed, name), value)
	return s
}

func (s *settings) number(name string, value int64) *settings {
	return s.text(name, strconv.FormatInt(value, 10))
}

// flag is 1 or 0.
func (s *settings) flag(name string, value bool) *settings {
	if value {
		return s.text(name, "1")
	}
	return s.text(name, "0")
}

func appendText(to []byte, text string) []byte {
	switch n := len(text); {
	case n <= math.MaxUint8:
		to = append(to, str8, byte(n))
	case n <= math.MaxUint16:
		to = binary.BigEndian.AppendUint16(append(to, str16), uint16(n))
	default:
		to = binary.BigEndian.AppendUint32(append(to, str32), uint32(n))
	}
	return append(to, text...)
}

// What a queue that is made has before it.
const (
	noEarlierLife = iota
	knownEarlierLife
	// askLedger leaves it to the begin of the first epoch.
	askLedger
)

// openSettings are for wb_engine_open.
func (j *Journal) openSettings(q *config.QueueSettings, incarnation string, earlier int64) *settings {
	m := &q.Mapping
	return j.memberSettings(q, q.Member).
		text("owner", q.Owner).number("revision", q.Revision).text("incarnation", incarnation).number("earlier", earlier).
		number("partitions", int64(m.Partitions)).number("ttl", int64(m.TimeToLiveSeconds)*1000).
		number("max", int64(q.MaxDepth)).text("full", q.WhenFull).text("state", q.State)
}

// beatSettings are for wb_engine_beat.
func (j *Journal) beatSettings(q *config.QueueSettings, member string, ttlMilliseconds int64, seen entry.Seen) *settings {
	return j.memberSettings(q, member).number("ttl", ttlMilliseconds).
		text("seen_incarnation", seen.Incarnation).number("seen_since", seen.Since).
		number("seen_writes", seen.Writes).number("seen_losses", seen.Losses)
}

// memberSettings say who calls, and what that takes the queue to be: Redis compares.
func (j *Journal) memberSettings(q *config.QueueSettings, member string) *settings {
	m := &q.Mapping
	return ofQueue(m.Name).text("member", member).
		text("prefix", m.KeyPrefix).text("mode", m.Mode).text("encoding", m.Encoding).
		text("target", j.target(q)).text("home", homeText(q.Home))
}

// termSettings are for every function that only the owner of a partition may call.
func termSettings(t *entry.Term) *settings {
	return ofQueue(t.Queue).number("partition", int64(t.Partition)).
		text("member", t.Member).number("epoch", t.Epoch).text("incarnation", t.Incarnation)
}

// beginSettings are for wb_engine_begin. held is the term before, as far as the caller had one.
func beginSettings(t *entry.Term, floor, committed int64, held *entry.Term, earlier bool) *settings {
	return termSettings(t).number("floor", floor).number("committed", committed).
		number("held_epoch", held.Epoch).number("held_step", held.Step).flag("earlier", earlier).text("home", homeText(t.Home))
}

// claimSettings are for wb_engine_claim.
func claimSettings(t *entry.Term, prefix string, most entry.Bounds) *settings {
	return pageSettings(t, prefix, most).number("retries", int64(min(most.Retries, most.Entries))).flag("paged", true)
}

// moreSettings are for wb_engine_more.
func moreSettings(claim *entry.Claim, prefix string, most entry.Bounds) *settings {
	return pageSettings(claim.Term, prefix, most).number("claim", claim.Number).number("offset", int64(len(claim.Entries)))
}

func pageSettings(t *entry.Term, prefix string, most entry.Bounds) *settings {
	return termSettings(t).number("step", t.Step).text("prefix", prefix).
		number("entries", int64(most.Entries)).number("bytes", int64(most.Bytes))
}

// settleSettings are for wb_engine_settle. left is how much of the claim remains.
func settleSettings(claim *entry.Claim, p *part, left int) *settings {
	return termSettings(claim.Term).number("claim", claim.Number).
		number("floor", p.floor).number("top", p.top).number("coalesced", p.coalesced).number("left", int64(left))
}

// letterSettings are for wb_engine_known.
func letterSettings(queue string, partition int, cursor string, p *pieces) *settings {
	return ofQueue(queue).number("partition", int64(partition)).text("cursor", cursor).
		number("count", int64(p.letters)).number("bytes", int64(p.letterBytes))
}
