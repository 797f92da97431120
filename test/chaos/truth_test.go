// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// truth is what Redis holds: cells by table and key. A key of another type has noRow.
type truth struct {
	cells map[string]map[string]map[string]string
	// entries are the ids of each stream.
	entries map[string]map[string]bool
}

// readTruth reads every key.
func readTruth(ctx context.Context, rdb *redis.Client) (*truth, error) {
	t := &truth{cells: make(map[string]map[string]map[string]string), entries: make(map[string]map[string]bool)}
	for table, prefix := range prefixes {
		t.cells[table] = make(map[string]map[string]string)
		var cursor uint64
		for {
			names, next, err := rdb.Scan(ctx, cursor, prefix+"*", 1000).Result()
			if err != nil {
				return nil, err
			}
			if err := t.read(ctx, rdb, table, names); err != nil {
				return nil, err
			}
			if cursor = next; cursor == 0 {
				break
			}
		}
	}
	return t, nil
}

func (t *truth) read(ctx context.Context, rdb *redis.Client, table string, names []string) error {
	if len(names) == 0 {
		return nil
	}
	pipe := rdb.Pipeline()
	answers := make([]redis.Cmder, len(names))
	for i, name := range names {
		switch table {
		case sessions:
			answers[i] = pipe.HGetAll(ctx, name)
		case scores:
			answers[i] = pipe.ZRangeWithScores(ctx, name, 0, -1)
		case events:
			answers[i] = pipe.XRange(ctx, name, "-", "+")
		default:
			answers[i] = pipe.Get(ctx, name)
		}
	}
	_, err := pipe.Exec(ctx)
	for i, name := range names {
		key := strings.TrimPrefix(name, prefixes[table])
		if said := answers[i].Err(); said != nil {
			switch {
			case strings.HasPrefix(said.Error(), "WRONGTYPE"):
				t.cells[table][key] = sets(noRow)
			case said == redis.Nil: //nolint:errorlint // It is told as it is.
			default:
				return fmt.Errorf("read %s: %w", name, err)
			}
			continue
		}
		t.take(table, key, answers[i])
	}
	return nil
}

func (t *truth) take(table, key string, answer redis.Cmder) {
	cells := make(map[string]string)
	switch a := answer.(type) {
	case *redis.MapStringStringCmd:
		maps.Copy(cells, a.Val())
		for _, number := range []string{"a", "b"} {
			if _, err := strconv.ParseInt(cells[number], 10, 64); err != nil && cells[number] != "" {
				cells[number] = noRow
			}
		}
	case *redis.ZSliceCmd:
		for _, z := range a.Val() {
			member, _ := z.Member.(string)
			if cells[member] = strconv.FormatFloat(z.Score, 'f', -1, 64); z.Score < 0 {
				cells[member] = noRow
			}
		}
	case *redis.XMessageSliceCmd:
		t.entries[key] = make(map[string]bool)
		for _, message := range a.Val() {
			t.entries[key][message.ID] = true
		}
		return
	case *redis.StringCmd:
		cells[""] = contentOf(table, a.Val())
	}
	if len(cells) > 0 {
		t.cells[table][key] = cells
	}
}

// contentOf is what the cell of a string has.
func contentOf(table, text string) string {
	if table == views {
		if number, err := strconv.ParseFloat(text, 64); err != nil || math.IsNaN(number) {
			return noRow
		}
		return text
	}
	number := firstNumber.FindString(text)
	if text != documentOfText(number) {
		return noRow
	}
	return number
}

func documentOfText(number string) string {
	n, _ := strconv.ParseInt(number, 10, 64)
	return documentOf(n)
}

// lostWithin is how far before a crash a write may have been made that Redis has lost.
const lostWithin = 30_000_000

// settles is how much later a row may commit that was read before it was known what Redis has: a
// batch waits for others, and for the database.
const settles = int64(15 * time.Second / time.Microsecond)

// reconcile takes note of what Redis has after it came back: of what it had confirmed, and
// has not any more, it is not known which writes of fleeting keys they were. The gate is
// closed. It returns how many keys are not what was confirmed.
func (s *streamed) reconcile(t *truth) (differ int) {
	now, since := microseconds(), s.keys.heldSince.Load()
	if since == 0 {
		since = now
	}
	for _, k := range s.keys.list() {
		has, there := t.cells[k.table][k.key]
		k.mu.Lock()
		fits := k.fits(has)
		switch {
		case (there || !k.fleeting) && (!fits || k.isWrittenAfter(now-lostWithin)):
			// What is lost may have been carried, also a write without an answer, and one behind
			// which a cell became again, by another write that is lost, what Redis has.
			if !fits {
				differ++
			}
			cells := maps.Clone(has)
			if cells == nil {
				cells = cellsGone(k)
			}
			k.happens(stroke{number: s.app.numbers.Add(1), whole: true, cells: cells}, since)
		case !there && k.fleeting:
			if k.backTo < since {
				k.backFrom = since
			}
			k.backTo = now + settles
			for i := range k.strokes {
				if w := &k.strokes[i]; w.sentAt > now-lostWithin && w.state == acknowledged {
					w.state = unknown
				}
			}
		}
		k.mu.Unlock()
	}
	es := s.keys.entries
	es.mu.Lock()
	defer es.mu.Unlock()
	for _, a := range es.all {
		if a.state == acknowledged && a.sentAt > max(now-lostWithin, s.emptied) && t.lacks(a) && a.lostAt == 0 {
			a.lostAt = now
			differ++
		}
	}
	return differ
}

// isWrittenAfter tells whether any write was made after that time. The key is locked.
func (k *tracked) isWrittenAfter(since int64) bool {
	return slices.ContainsFunc(k.strokes, func(s stroke) bool { return s.sentAt > since })
}

// lacks tells whether Redis has lost an entry. Of a stream that is kept short it may have
// dropped one, but none behind the last.
func (t *truth) lacks(a *added) bool {
	has := t.entries[a.stream]
	if !a.trimmed {
		return !has[a.id]
	}
	for id := range has {
		if !isBefore(id, a.id) {
			return false
		}
	}
	return true
}

// isBefore tells whether an entry's id, milliseconds and a number, comes before another.
func isBefore(id, other string) bool {
	var a, b [2]uint64
	for text, parts := range map[string]*[2]uint64{id: &a, other: &b} {
		if _, err := fmt.Sscanf(text, "%d-%d", &parts[0], &parts[1]); err != nil {
			panic(fmt.Sprintf("an entry has the id %q: %v", text, err))
		}
	}
	return slices.Compare(a[:], b[:]) < 0
}

// fits tells whether the key may have these cells by what was answered. It is locked.
func (k *tracked) fits(has map[string]string) bool {
	cells := k.cellsOf()
	for cell := range has {
		cells = append(cells, cell)
	}
	for _, cell := range cells {
		is, there := has[cell]
		if !there {
			is = gone
		}
		last, perhaps := k.possible(cell)
		ok := last == nil && is == gone || last != nil && (last.explains(cell, is) || is == gone && k.mayVanish(last.number))
		for _, s := range perhaps {
			ok = ok || s.explains(cell, is)
		}
		if !ok {
			return false
		}
	}
	return true
}
