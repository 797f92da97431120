// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replica_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/writebehind/operator/internal/flusher/entry"
	"github.com/writebehind/operator/internal/flusher/replica"
	"github.com/writebehind/operator/internal/flusher/replica/replicatest"
)

func streamKey(i int) string { return fmt.Sprintf("%s:%d", streams, i%2) }

// entryID is the id of an entry that a command with the number adds.
func entryID(n int) string { return fmt.Sprintf("%06d-0", n) }

// onStream does one thing with a stream. The lock is held.
func (w *world) onStream(c *replicatest.Commands, kind, i int) {
	n, before := strconv.Itoa(w.n), c.Offset()
	key, s := streamKey(i), state{word: replica.Appended, member: entryID(w.n)}
	switch {
	case kind < 18:
		c.Append(key, s.member, n)
	case kind == 18 && i/2%3 == 0:
		s = state{word: replica.Deleted}
		c.Delete(key)
	case kind == 18 && i/2%3 == 1:
		s = state{word: replica.Unlinked}
		c.Expire(key)
	case kind == 18:
		c.Trim(key)
		w.trimmed[key] = w.n
		return
	case i/2%3 == 0:
		s = state{word: replica.Written, has: map[string]string{entryID(w.n): n, entryID(w.n) + "0": n, entryID(w.n) + "1": n}}
		c.Restore(key, replicatest.Value{Stream: s.has})
	case i/2%3 == 1:
		s = state{word: replica.Written, bad: true}
		c.Restore(key, replicatest.Value{Board: map[string]string{"a": n}})
	default:
		c.Delete(key)
		w.note(c, before, state{word: replica.Deleted}, key)
		w.n++
		s, before = state{word: replica.Written, bad: true}, c.Offset()
		c.SetScore(key, "a", strconv.Itoa(w.n))
	}
	w.note(c, before, s, key)
}

// rowOfStream inserts the row of an entry, unless it is there. The lock is held.
func (w *world) rowOfStream(e *entry.Entry) {
	var document map[string]string
	if err := json.Unmarshal([]byte(e.Value), &document); err != nil || e.Operation != entry.Append || e.Member == "" {
		w.failed("%s becomes %q in entry %q by %v: %v", e.Key, e.Value, e.Member, e.Operation, err)
		return
	}
	if w.rows[e.Key] == nil {
		w.rows[e.Key] = make(map[string]string)
	}
	if row, there := w.rows[e.Key][e.Member]; there && row != document["n"] {
		w.failed("entry %s of %s is %s, and becomes %s", e.Member, e.Key, row, document["n"])
	}
	w.rows[e.Key][e.Member] = document["n"]
}

// isCarried tells whether an entry is a row, or was one that is a dead letter.
func (w *world) isCarried(key, id string) bool {
	_, there := w.rows[key][id]
	return there || w.letter[idOf(streams, key, id)] > 0
}

// acknowledgedStream looks whether all entries that were added up to the offset are carried. The
// lock is held.
func (w *world) acknowledgedStream(key string, all []state, offset int64) {
	for _, s := range all {
		if s.word == replica.Appended && s.queue == streams && s.offset <= offset && s.n > w.broke && !w.isCarried(key, s.member) {
			w.failed("offset %d is acknowledged, and entry %s of %s is not carried", offset, s.member, key)
		}
	}
}

// compareStream looks whether every entry that was added is a row.
func (w *world) compareStream(key string, letters map[string]bool) {
	whole := idOf(streams, key, "")
	if kind := w.redis.Type(key); kind != "" && kind != "stream" && !letters[whole] {
		w.failed("%s is a %s, and there is no dead letter", key, kind)
	}
	stream := w.redis.Stream(key)
	for _, id := range slices.Sorted(maps.Keys(stream)) {
		if row := w.rows[key][id]; row != stream[id] && !w.isCarried(key, id) {
			w.failed("entry %s of %s is %s, and its row %q", id, key, stream[id], row)
		}
	}
	for i, s := range w.states[key] {
		if s.n <= w.broke {
			continue
		}
		if s.word == replica.Appended && !w.isCarried(key, s.member) {
			w.failed("entry %s of %s is neither a row nor a dead letter", s.member, key)
		}
		// Of one that came as a whole the stream has told no entry: what was deleted, overwritten or
		// trimmed by the time that it was read is not missed.
		last := i == len(w.states[key])-2 && w.states[key][i+1].word == replica.Unlinked
		for id := range s.has {
			if last && !w.isCarried(key, id) && w.letter[whole] < s.n && w.trimmed[key] < s.n {
				w.failed("entry %s of %s has expired, and is neither a row nor a dead letter", id, key)
			}
		}
	}
}
