// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/writebehind/operator/internal/flusher/entry"
)

// sees notes the life of a queue, which names the history that it is of.
func (s *streamed) sees(journal string) {
	text, _, _ := strings.Cut(strings.TrimPrefix(journal, "h"), ".")
	if number, err := strconv.ParseInt(text, 10, 64); err == nil {
		s.begun(number)
	}
}

func (s *streamed) begun(history int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if history != 0 {
		s.histories[history] = true
	}
}

// breaks notes that the history of Redis may end now.
func (s *streamed) breaks() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.causes = append(s.causes, microseconds())
}

func (s *streamed) listHistories() []int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.histories))
}

// watchHistories looks which history is read until the context ends.
func (s *streamed) watchHistories(ctx context.Context) {
	every(ctx, readInterval, func() {
		asking, cancel := context.WithTimeout(ctx, serverTime)
		defer cancel()
		var history int64
		if s.db.Pool().QueryRow(asking, "SELECT history FROM writebehind.source WHERE name = $1", sourceName).Scan(&history) == nil {
			s.begun(history)
		}
	})
}

// excuseWithin is how long a write may have waited when the history ended that it was read in.
const excuseWithin = 120_000_000

// excused tells whether a history began when a write of that time may not have been carried:
// an event has told that deletions and what has vanished may be missed.
func (s *streamed) excused(sentAt int64) bool {
	return slices.ContainsFunc(s.listHistories(), func(h int64) bool { return h > sentAt-int64(time.Second/time.Microsecond) && h < sentAt+excuseWithin })
}

// letters are the causes of the dead letters of a key, by cell; of the whole key "".
type letters map[string]map[string]string

func (s *streamed) lettersOf(ctx context.Context) (map[string]letters, error) {
	rows, err := s.db.Pool().Query(ctx, "SELECT queue, convert_from(key, 'UTF8'), convert_from(member, 'UTF8'), cause FROM writebehind.dead_letter WHERE source = $1", sourceName)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all := make(map[string]letters)
	for table := range prefixes {
		all[table] = make(letters)
	}
	for rows.Next() {
		var table, key, member, cause string
		if err := rows.Scan(&table, &key, &member, &cause); err != nil {
			return nil, err
		}
		key = strings.TrimPrefix(key, prefixes[table])
		if all[table][key] == nil {
			all[table][key] = make(map[string]string)
		}
		all[table][key][member] = cause
	}
	return all, rows.Err()
}

// verdict compares what every key came to with what Redis holds, when nothing is on its way
// any more.
func (s *streamed) verdict(ctx context.Context) (dead int, err error) {
	t, err := readTruth(ctx, s.rdb)
	if err != nil {
		return 0, err
	}
	all, err := s.lettersOf(ctx)
	if err != nil {
		return 0, err
	}
	rows := make(map[string]map[string]map[string]string)
	for table := range prefixes {
		if rows[table], err = rowsOf(ctx, s.db.Pool(), table); err != nil {
			return 0, err
		}
		dead += len(all[table])
	}
	for _, k := range s.keys.list() {
		k.mu.Lock()
		s.keys.settle(k)
		s.verdictOf(k, t.cells[k.table][k.key], rows[k.table][k.key], all[k.table][k.key])
		k.mu.Unlock()
	}
	s.counted["entries that Redis had dropped unread"] += s.keys.entries.verdict(
		func(stream, id string) string { return all[events][stream][id] },
		func(a *added) bool {
			return a.lostAt != 0 || (a.trimmed || a.sentAt < s.emptied) && s.excused(a.sentAt)
		})
	return dead, nil
}

// verdictOf judges one key by what Redis holds, its row or rows, and its dead letters. The key
// is locked.
func (s *streamed) verdictOf(k *tracked, has, row, letters map[string]string) {
	cells := make(map[string]bool)
	for _, cell := range k.cellsOf() {
		cells[cell] = true
	}
	for _, of := range []map[string]string{has, row} {
		for cell := range of {
			cells[cell] = true
		}
	}
	noRowAtAll := slices.Contains(slices.Collect(maps.Values(has)), noRow)
	explained := noRowAtAll
	for _, cell := range slices.Sorted(maps.Keys(cells)) {
		is, comes, cause := orGone(has, cell), orGone(row, cell), letters[""]
		if k.table == scores && letters[cell] != "" {
			cause = letters[cell]
		}
		for _, any := range letters {
			if cell == "" {
				// A key of another type has the dead letter of whatever was named.
				cause = any
			}
		}
		if last, known := k.last[cell]; known && last != comes || !known && comes != gone {
			s.findings.add(lost, "%v cell %q came to %s, but the last that committed is %q", k, cell, comes, last)
			continue
		}
		if is == gone {
			explained = explained || cause == entry.CauseValueLost
			explained = s.vanished(k, cell, comes, cause) || explained
			continue
		}
		switch {
		case is == noRow && cause == "" && (cell != "" || len(letters) == 0):
			s.findings.add(lost, "%v cell %q holds no row, and there is no dead letter", k, cell)
		case is == noRow, comes == is, noRowAtAll && cause != "":
		default:
			last, _ := k.possible(cell)
			s.findings.add(lost, "%v cell %q is %s in Redis and %s in the table (dead letters %v); the last write is %v", k, cell, is, comes, letters, last)
		}
	}
	if len(letters) > 0 && !explained {
		s.findings.add(lost, "%v has dead letters %v, though Redis holds %v and the table %v", k, letters, has, row)
	}
}

func orGone(cells map[string]string, cell string) string {
	if content, ok := cells[cell]; ok {
		return content
	}
	return gone
}

// vanished judges a cell that Redis does not hold. It reports whether a dead letter may be
// left of it.
func (s *streamed) vanished(k *tracked, cell, comes, cause string) bool {
	last, perhaps := k.possible(cell)
	if last == nil && (comes == gone || len(perhaps) > 0) {
		return len(perhaps) > 0
	}
	for _, w := range append(perhaps, last) {
		if w != nil && s.comesTo(k, w, cell, comes, cause) {
			return w.bad || w.state != acknowledged || k.badSince(k.floor[cell])
		}
	}
	s.findings.add(lost, "%v cell %q is not in Redis and %s in the table (cause of a dead letter %q); the last is %v", k, cell, comes, cause, last)
	return true
}

// comesTo tells whether a cell may come to this when w says last what it is, and it is not in
// Redis any more.
func (s *streamed) comesTo(k *tracked, w *stroke, cell, comes, cause string) bool {
	is, _ := w.becomes(cell)
	switch {
	case w.explains(cell, comes):
		return true
	case w.bad && cause != "":
		return true
	case k.table == sessions && cause != "" && k.badSince(k.floor[cell]):
		// The whole row was refused.
		return true
	case is == gone && cause == entry.CauseValueLost:
		// It was removed, and the whole key had gone before that was read.
		s.counted["removals of members before the whole key had gone"]++
		return true
	case is == gone && w.happened:
		// Redis lost the key, and the row stays.
		s.counted["rows of keys that Redis lost"]++
		return true
	case is == gone && s.excused(w.sentAt):
		s.counted["deletions that fell into a gap"]++
		return true
	case is == gone:
		return false
	case comes == gone && !isText(k.table) && (!w.bad || k.writtenSince(w.number)):
		// What came then had no such cell, and took the place of a dead letter.
		return true
	case cause == entry.CauseValueLost:
		s.counted["values that had gone before they were read"]++
		return true
	case s.excused(w.sentAt):
		s.counted["values that had gone when a history began"]++
		return true
	case k.table == late && w.number < k.vanished:
		// Redis was emptied while nobody had the mapping.
		s.counted["values that had gone while their mapping was away"]++
		return true
	}
	return false
}

// badSince tells whether the key was no row at any time after the write.
func (k *tracked) badSince(number int64) bool {
	return slices.ContainsFunc(k.strokes, func(s stroke) bool { return s.bad && s.number > number })
}

// writtenSince tells whether the key was written after the write.
func (k *tracked) writtenSince(number int64) bool {
	return slices.ContainsFunc(k.strokes, func(s stroke) bool { return s.number > number && s.state == acknowledged })
}

// losses are the data-loss events of each queue, as the database has them.
func (s *streamed) losses(ctx context.Context) (map[string]int64, error) {
	var text string
	if err := s.db.Pool().QueryRow(ctx, "SELECT counts::text FROM writebehind.source WHERE name = $1", sourceName).Scan(&text); err != nil {
		return nil, err
	}
	var counts struct {
		Losses map[string]int64 `json:"losses"`
	}
	return counts.Losses, json.Unmarshal([]byte(text), &counts)
}

// checkLosses looks whether what may be lost was told, and nothing else.
func (s *streamed) checkLosses(ctx context.Context) (map[string]int64, error) {
	losses, err := s.losses(ctx)
	if err != nil {
		return nil, err
	}
	all := s.listHistories()
	for _, m := range s.config.Mappings {
		if told := losses[m.Name]; m.Name != late && told < int64(len(all)-1) {
			s.findings.add(unreported, "%d data-loss events of %s are reported, and %d histories were seen", told, m.Name, len(all))
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, h := range all[min(1, len(all)):] {
		before := all[i]
		if !slices.ContainsFunc(s.causes, func(at int64) bool { return at > before-excuseWithin && at < h }) {
			s.findings.add(counters, "a history began at %v, and nothing had ended the one before", time.UnixMicro(h))
		}
	}
	return losses, nil
}

func describe(counts map[string]int64) string {
	var texts []string
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		texts = append(texts, fmt.Sprintf("%s %d", name, counts[name]))
	}
	return strings.Join(texts, ", ")
}
