// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/writebehind/operator/internal/flusher/entry"
)

type unlimited struct{}

func (unlimited) Take(context.Context, int) error { return nil }
func (unlimited) TryTake(int) bool                { return true }
func (unlimited) Settle(int)                      {}

// pieces are how much is done in one call, so that none holds Redis for long: that is for
// a few milliseconds.
type pieces struct {
	// pageEntries and pageBytes bound what a claim fetches, but for a single larger
	// value. The library takes no more entries whatever it is asked for.
	pageEntries, pageBytes int
	// partEntries and partBytes bound what is acknowledged. The bytes are those of dead
	// letters' payloads, which Redis copies.
	partEntries, partBytes int
	// letters and letterBytes bound the dead letters that are looked at.
	letters, letterBytes int
}

var usualPieces = pieces{
	pageEntries: 500, pageBytes: entry.PageBytes,
	partEntries: 250, partBytes: 1 << 20,
	letters: 100, letterBytes: 1 << 20,
}

// entryBytes is about what an entry takes beside its value: its key, its version and
// its place in the batch.
const entryBytes = 256

// Claim takes the first entries of the partition within the bounds; the ones to be
// tried again come first. It fetches them page by page, so that no call holds Redis for
// long: each page is as new as the moment of its call. prefix is what the caller takes the keys
// to begin with; a queue with another one counts as lost. It answers an empty claim when nothing
// waits. A new claim makes the one before it void. After an error it is not known
// whether the claim was made: a new epoch has to begin. The claim tells then what is Gone
// and Rebuilt as far as the pages before have told it, which Redis tells once.
func (j *Journal) Claim(ctx context.Context, term *entry.Term, prefix string, most entry.Bounds) (*entry.Claim, error) {
	claim := &entry.Claim{Term: term}
	room := most.Room
	if room == nil {
		room = unlimited{}
	}
	pageBytes := min(j.pieces.pageBytes, most.Bytes)
	left, wanted := most.Bytes, pageBytes
	for {
		entries := min(j.pieces.pageEntries, most.Entries-len(claim.Entries))
		if len(claim.Entries) == 0 {
			if err := room.Take(ctx, wanted+entries*entryBytes); err != nil {
				return claim, fmt.Errorf("claim partition %d: %w", term.Partition, err)
			}
		} else if !room.TryTake(wanted + entries*entryBytes) {
			return claim, nil
		}
		p, err := j.page(ctx, claim, prefix, entry.Bounds{Entries: entries, Retries: most.Retries, Bytes: wanted})
		room.Settle(p.bytes + p.entries*entryBytes)
		if err != nil {
			return claim, fmt.Errorf("claim partition %d: %w", term.Partition, err)
		}
		left -= p.bytes
		switch {
		case p.mending:
			// The order is being made anew, a part in each call.
			wanted = pageBytes
		case len(claim.Entries) >= most.Entries:
			return claim, nil
		case p.leftOut > 0 && len(claim.Entries) == 0:
			wanted = p.leftOut
		case p.leftOut > 0 && p.leftOut <= left:
			wanted = max(p.leftOut, min(pageBytes, left))
		case p.more && left > 0:
			wanted = min(pageBytes, left)
		default:
			return claim, nil
		}
	}
}

// page is what one call has added to a claim.
type page struct {
	entries, bytes int
	// leftOut is the length of the next value where it alone had no room.
	leftOut int
	// more says that other entries may follow, mending that the order is being made anew
	// and the call is to be made again.
	more, mending bool
}

// page fetches the next entries of the claim.
func (j *Journal) page(ctx context.Context, claim *entry.Claim, prefix string, most entry.Bounds) (page, error) {
	term := claim.Term
	function, s := "wb_engine_claim", claimSettings(term, prefix, most)
	if len(claim.Entries) > 0 {
		function, s = "wb_engine_more", moreSettings(claim, prefix, most)
	}
	reply, err := j.call(ctx, function, s.argument()).Slice()
	if err != nil {
		return page{}, err
	}
	r := reader{values: reply}
	number, count, rebuilt := r.number(), int(r.number()), r.number()
	keys, packed, groups := r.list(), r.list(), r.list()
	p := page{leftOut: int(r.number()), more: r.number() == 1, mending: rebuilt == mendingNow}
	if r.err != nil {
		return page{}, fmt.Errorf("%w: %w", errOtherRelease, r.err)
	}
	claim.Rebuilt = claim.Rebuilt || rebuilt > 0
	if r.more() {
		claim.Gone += r.number()
	}
	if count == 0 {
		return p, nil
	}
	term.Step++
	claim.Number = number
	values := make([]any, 0, len(keys))
	for _, group := range groups {
		list, _ := group.([]any)
		values = append(values, list...)
	}
	if len(keys) < count || len(packed) < count || len(values) < count {
		return page{}, fmt.Errorf("the answer has fewer entries than the %d announced", count)
	}
	p.entries = count
	for i := range count {
		e := read(keys[i], packed[i], values[i])
		p.bytes += len(e.Value)
		claim.Entries = append(claim.Entries, e)
	}
	return p, nil
}

// mendingNow is what a claim answers while the order is being made anew.
const mendingNow = 2

func read(key, packed, value any) entry.Entry {
	var e entry.Entry
	e.Key, _ = key.(string)
	text, ok := packed.(string)
	if !ok {
		// The key stands twice in the queue, or without an entry: there is
		// nothing to write, and the acknowledgement drops it.
		e.Operation, e.Lost = entry.Set, true
		return e
	}
	e.Garbled = !unpack(&e, text)
	if e.Garbled {
		return e
	}
	e.Value, ok = value.(string)
	e.Lost = !ok && e.Operation.Valued
	return e
}

// mostNumber is the highest that Lua counts exactly.
const mostNumber = 1 << 53

// unpack reads an entry's fields as library/entries.lua writes them, and reports
// whether the text is in that.
func unpack(e *entry.Entry, text string) bool {
	e.Raw = text
	if text == "" {
		return false
	}
	if e.Operation = entry.OperationOf(text[0]); e.Operation == nil {
		return false
	}
	rest := text[1:]
	numbers := [5]int64{}
	for i := range numbers {
		part, after, _ := strings.Cut(rest, ":")
		if i == 4 && rest == "" {
			break
		}
		n, err := strconv.ParseInt(part, 10, 64)
		if err != nil || n < 0 || n > mostNumber {
			return false
		}
		numbers[i], rest = n, after
	}
	e.Attempts, e.Version, e.First, e.Writes = int(numbers[0]), numbers[1], numbers[2], numbers[3]
	e.FirstRefused = numbers[4]
	return true
}

// Acknowledge tells the outcome of every entry of the claim, in its order. An entry
// that was written again meanwhile stays dirty whatever its outcome. It does so in parts,
// each of which is whole: after an error some may have been applied, and the rest belongs
// to the next epoch.
func (j *Journal) Acknowledge(ctx context.Context, claim *entry.Claim, settlements []entry.Settlement) (entry.Receipt, error) {
	action := "acknowledge partition " + strconv.Itoa(claim.Term.Partition)
	if len(settlements) != len(claim.Entries) {
		return entry.Receipt{}, fmt.Errorf("%s: settlements: %d, entries: %d", action, len(settlements), len(claim.Entries))
	}
	var parts []part
	for at := 0; at < len(settlements); {
		p, err := j.nextPart(claim, settlements, at)
		if err != nil {
			return entry.Receipt{}, fmt.Errorf("%s: %w", action, err)
		}
		parts = append(parts, p)
		at += len(p.packed)
	}
	var receipt entry.Receipt
	term, left := claim.Term, len(settlements)
	for _, p := range parts {
		left -= len(p.packed)
		args := append([]any{settleSettings(claim, &p, left).argument()}, p.packed...)
		reply, err := j.call(ctx, "wb_engine_settle", args...).Int64()
		if err != nil {
			return entry.Receipt{}, fmt.Errorf("%s: %w", action, err)
		}
		if reply > 0 {
			term.Step++
			receipt.Applied = true
			receipt.Superseded += reply - 1
		}
	}
	return receipt, nil
}

// part is a piece of an acknowledgement.
type part struct {
	packed                []any
	floor, top, coalesced int64
}

// nextPart collects the outcomes from the entry at on.
func (j *Journal) nextPart(claim *entry.Claim, settlements []entry.Settlement, at int) (part, error) {
	var p part
	for i, bytes := at, 0; i < len(settlements) && i-at < j.pieces.partEntries && bytes < j.pieces.partBytes; i++ {
		e := &claim.Entries[i]
		arg := string(settlements[i].Outcome) + e.Raw
		switch settlements[i].Outcome {
		default:
			return p, fmt.Errorf("entry %s has no outcome", e.Key)
		case entry.Done:
			p.floor, p.top = max(p.floor, e.Version), max(p.top, e.Version)
			p.coalesced += e.Writes - 1
		case entry.Dead, entry.Lost:
			p.floor = max(p.floor, e.Version)
			known, err := marshal(settlements[i].Letter, e)
			if err != nil {
				return p, fmt.Errorf("dead letter of %s: %w", e.Key, err)
			}
			arg += "\n" + known
			bytes += len(e.Value)
		case entry.Forged:
		case entry.Refused, entry.Kept:
			if wait := settlements[i].Wait; wait > 0 {
				arg += "\n" + strconv.FormatInt(wait.Milliseconds(), 10)
			}
		}
		p.packed = append(p.packed, arg)
	}
	return p, nil
}
