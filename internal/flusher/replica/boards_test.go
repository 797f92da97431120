// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replica_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/writebehind/operator/internal/flusher/entry"
	"github.com/writebehind/operator/internal/flusher/replica"
	"github.com/writebehind/operator/internal/flusher/replica/replicatest"
)

func boardKey(i int) string { return fmt.Sprintf("%s:%d", boards, i%3) }

// onBoard does one thing with a sorted set. The lock is held.
func (w *world) onBoard(c *replicatest.Commands, kind, i int) {
	n, before := strconv.Itoa(w.n), c.Offset()
	key, s := boardKey(i), state{word: replica.Written, member: string(rune('a' + i/3%2))}
	switch kind {
	case 8, 9:
		c.SetScore(key, s.member, n)
	case 10:
		s.word = replica.Appended
		c.DeleteMember(key, s.member)
	case 11:
		if s = (state{word: replica.Deleted}); i/3%3 == 0 {
			s.word = replica.Unlinked
			c.Expire(key)
			break
		}
		c.Delete(key)
	case 12:
		s.has, s.member = map[string]string{s.member: n}, ""
		c.Restore(key, replicatest.Value{Board: s.has})
	case 13:
		c.Delete(key)
		w.note(c, before, state{word: replica.Deleted}, key)
		w.n++
		n, before = strconv.Itoa(w.n), c.Offset()
		c.SetScore(key, s.member, n)
	}
	w.note(c, before, s, key)
}

// otherwise makes something else of a key than its mapping takes, or overwrites it with what it
// does take, of which the stream tells no value: in the place of what is there, or once that is
// gone. The lock is held.
func (w *world) otherwise(c *replicatest.Commands, kind, i int) {
	key := []string{textKey(i / 3), hashKey(i / 3), boardKey(i / 3)}[i%3]
	s, n, before := state{word: replica.Written, bad: true}, strconv.Itoa(w.n), c.Offset()
	if kind%2 == 0 {
		values := []replicatest.Value{{Text: `{"n":` + n + `}`}, {Hash: map[string]string{"a": n}}, {Board: map[string]string{"a": n, "b": n}}}
		v := values[i/9%3]
		if s.bad = i/9%3 != i%3; !s.bad {
			s.has = v.Board
		}
		if i/27%2 == 0 && v.Text != "" && s.bad {
			c.Set(key, v.Text)
		} else {
			c.Restore(key, v)
		}
		w.note(c, before, s, key)
		return
	}
	if i/9%2 == 0 {
		c.Delete(key)
		w.note(c, before, state{word: replica.Deleted}, key)
		w.n++
		n, before = strconv.Itoa(w.n), c.Offset()
	}
	if i%3 == 1 || i%3 == 0 && i/18%2 == 0 {
		c.SetScore(key, "a", n)
	} else {
		c.SetField(key, "a", n)
	}
	w.note(c, before, s, key)
}

// areApart looks whether a claim has a board and members of it: the rows of a batch have no
// order.
func (w *world) areApart(entries []entry.Entry) {
	for i := range entries {
		e := &entries[i]
		if e.Member != "" && strings.HasPrefix(e.Key, boards) && slices.ContainsFunc(entries, func(o entry.Entry) bool { return o.Key == e.Key && o.Member == "" }) {
			w.failed("a claim has %s and its member %s", e.Key, e.Member)
		}
	}
}

// rowsOfBoard writes rows of a board, and looks whether one goes back. The lock is held.
func (w *world) rowsOfBoard(e *entry.Entry) {
	rows := w.rows[e.Key]
	if rows == nil {
		rows = make(map[string]string)
		w.rows[e.Key] = rows
	}
	switch e.Operation {
	case entry.Clear:
		var stay []string
		if err := json.Unmarshal([]byte(e.Value), &stay); err != nil {
			w.failed("%s is to keep %q: %v", e.Key, e.Value, err)
		}
		for member := range rows {
			if !slices.Contains(stay, member) {
				delete(rows, member)
			}
		}
	case entry.Delete:
		delete(rows, e.Member)
	default:
		n, err := strconv.Atoi(e.Value)
		if err != nil || e.Member == "" {
			w.failed("%s becomes %q in member %q", e.Key, e.Value, e.Member)
		}
		rows[e.Member] = e.Value
		w.forward(e.Key+"/"+e.Member, n)
	}
}

// compareBoard looks whether the rows of a board are what the key is.
func (w *world) compareBoard(key string, letters map[string]bool) {
	all, board, whole := w.states[key], w.redis.Board(key), idOf(boards, key, "")
	if kind := w.redis.Type(key); kind != "" && kind != "zset" {
		if !letters[whole] {
			w.failed("%s is a %s, and there is no dead letter", key, kind)
		}
		return
	}
	var said state
	for _, s := range all {
		if s.member == "" && s.word != replica.Unlinked {
			said = s
		}
	}
	if letters[whole] && !said.bad && said.n > max(w.letter[whole], w.broke) {
		w.failed("%s has a dead letter, and was written since", key)
	}
	for _, member := range []string{"a", "b"} {
		w.compareMember(key, member, all, board, letters)
	}
}

func (w *world) compareMember(key, member string, all []state, board map[string]string, letters map[string]bool) {
	var last, said state
	for _, s := range all {
		if s.member != "" && s.member != member {
			continue
		}
		if last = s; s.word != replica.Unlinked {
			said = s
		}
	}
	id := idOf(boards, key, member)
	letter := max(w.letter[id], w.letter[idOf(boards, key, "")])
	dead := letter > 0 && letter >= said.n
	row, there := w.rows[key][member]
	score, exists := board[member]
	// Where it was made anew since, the table may follow that.
	wrote := said.word == replica.Written && !said.bad && (said.member != "" || said.has[member] != "") && all[len(all)-1].n == last.n
	switch {
	case exists && !dead && letters[id]:
		w.failed("member %s of %s has a dead letter, and was written since", member, key)
	case dead:
	case exists && row != score:
		w.failed("member %s of %s is %s, and its row %q", member, key, score, row)
	case exists || last.n <= w.broke:
	case last.word == replica.Unlinked && wrote && said.n > w.broke && row != strconv.Itoa(said.n):
		w.failed("member %s of %s has expired with %d, and its row is %q", member, key, said.n, row)
	case last.word != replica.Unlinked && there:
		w.failed("member %s of %s was removed by %d, and its row is %s", member, key, last.n, row)
	}
}
