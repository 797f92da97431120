// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"context"
	"fmt"
	"strconv"

	"github.com/redis/go-redis/v9"
)

// noRow is the content of what no table takes.
const noRow = "(no row)"

// poisonOf is one of how many writes makes a value that is no row.
const poisonOf = 250

func (w *appWriter) one(of []*tracked) *tracked { return of[w.random.IntN(len(of))] }

func (w *appWriter) percent(n int) bool { return w.random.IntN(100) < n }

// of makes a command that does something to one key.
func (a *application) of(k *tracked, s stroke, args ...any) *command {
	if s.number == 0 {
		s.number = a.numbers.Add(1)
	}
	all := append([]any{args[0], prefixes[k.table] + k.key}, args[1:]...)
	return &command{args: all, effects: []effect{{k, s}}}
}

// sets are the cells of a value: the one without a name.
func sets(content any) map[string]string { return map[string]string{"": fmt.Sprint(content)} }

func documentOf(number int64) string {
	return fmt.Sprintf(`{"n":%d,"name":"write %d"}`, number, number)
}

// deletes removes a key and its row.
func (a *application) deletes(k *tracked, how string) *command {
	c := a.of(k, stroke{whole: true, cells: cellsGone(k)}, how)
	c.changes = did
	return c
}

func cellsGone(k *tracked) map[string]string {
	if isText(k.table) {
		return sets(gone)
	}
	return map[string]string{}
}

// draw makes the next write, which may take several commands. whole says that they are made
// in one step.
func (w *appWriter) draw(whole bool) []*command {
	switch p := w.random.IntN(100); {
	case p < 30:
		return w.product(whole)
	case p < 37:
		n := w.numbers.Add(1)
		return []*command{w.of(w.one(w.lasting[late]), stroke{number: n, cells: sets(n)}, "SET", documentOf(n))}
	case p < 57:
		return w.session(whole)
	case p < 72:
		return w.view()
	case p < 90:
		return w.score(whole)
	}
	return w.event()
}

func (w *appWriter) product(whole bool) []*command {
	if w.percent(25) {
		return w.vanishing(w.one(w.fleeting[products]), documentOf)
	}
	k, n := w.one(w.lasting[products]), w.numbers.Add(1)
	set := w.of(k, stroke{number: n, cells: sets(n)}, "SET", documentOf(n))
	switch p := w.random.IntN(100); {
	case w.random.IntN(poisonOf) == 0:
		bad := stroke{cells: sets(noRow), bad: true}
		switch w.random.IntN(3) {
		case 0:
			return []*command{w.of(k, bad, "SET", fmt.Sprintf(`{"n":%d,"name":null}`, n))}
		case 1:
			return []*command{w.of(k, bad, "SET", fmt.Sprintf(`{"n":%d, this is no document`, n))}
		}
		return []*command{w.deletes(k, "DEL"), w.of(k, bad, "LPUSH", n)}
	case p < 8:
		return []*command{w.deletes(k, "DEL")}
	case p < 10:
		return []*command{w.deletes(k, "GETDEL")}
	case p < 14:
		set.args[0] = "GETSET"
	case p < 20 && whole:
		return w.renamed(products, k, n, set)
	case p < 25 && whole:
		from := w.aside[products]
		set.args[1], set.effects[0].key = prefixes[products]+from.key, from
		return []*command{set, {
			args:    []any{"COPY", prefixes[products] + from.key, prefixes[products] + k.key, "REPLACE"},
			effects: []effect{{k, stroke{number: w.numbers.Add(1), cells: sets(n)}}}, changes: did,
		}}
	case p < 30:
		other := w.one(w.lasting[products])
		if other != k {
			m := w.numbers.Add(1)
			set.args = []any{"MSET", set.args[1], set.args[2], prefixes[products] + other.key, documentOf(m)}
			set.effects = append(set.effects, effect{other, stroke{number: m, cells: sets(m)}})
		}
	}
	return []*command{set}
}

// renamed makes a key of another one, which is made by the commands.
func (w *appWriter) renamed(table string, to *tracked, content any, makes ...*command) []*command {
	from := w.aside[table]
	var cells map[string]string
	for _, c := range makes {
		c.args[1], c.effects[0].key = prefixes[table]+from.key, from
		cells = c.effects[0].stroke.cells
	}
	if content != nil {
		cells = sets(content)
	}
	return append(makes, &command{
		args: []any{"RENAME", prefixes[table] + from.key, prefixes[table] + to.key},
		effects: []effect{
			{to, stroke{number: w.numbers.Add(1), whole: true, cells: cells}},
			{from, stroke{number: w.numbers.Add(1), whole: true, cells: cellsGone(from)}},
		},
	})
}

// milliseconds is a time to live: some are over before anything is flushed, and some are
// there for eviction alone.
func (w *appWriter) milliseconds() int {
	switch p := w.random.IntN(10); {
	case p < 3:
		return 20 + w.random.IntN(300)
	case p < 7:
		return 300 + w.random.IntN(3000)
	}
	return 60_000
}

// vanishing writes a string that goes by itself.
func (w *appWriter) vanishing(k *tracked, value func(int64) string) []*command {
	n := w.numbers.Add(1)
	set := stroke{number: n, cells: sets(n)}
	switch p := w.random.IntN(100); {
	case p < 5:
		return []*command{w.deletes(k, "DEL")}
	case p < 8:
		return []*command{w.of(k, set, "SET", value(n)), w.unwritten(k, "UNLINK")}
	case p < 12:
		return []*command{w.of(k, set, "SET", value(n)), w.unwritten(k, "EXPIRE", -1)}
	case p < 30:
		return []*command{w.of(k, set, "SETEX", 1+w.random.IntN(3), value(n))}
	case p < 45:
		return []*command{w.of(k, set, "SET", value(n)), w.unwritten(k, "PEXPIRE", w.milliseconds())}
	}
	return []*command{w.of(k, set, "SET", value(n), "PX", w.milliseconds())}
}

// unwritten is a command that leaves the key's row alone.
func (a *application) unwritten(k *tracked, args ...any) *command {
	return &command{args: append([]any{args[0], prefixes[k.table] + k.key}, args[1:]...)}
}

// expires has a key of which the stream does not tell the whole value go by itself.
func (w *appWriter) expires(k *tracked, commands ...*command) []*command {
	if k.fleeting && w.percent(50) {
		commands = append(commands, w.unwritten(k, "PEXPIRE", w.milliseconds()))
	}
	return commands
}

func (w *appWriter) session(whole bool) []*command {
	k := w.one(w.lasting[sessions])
	if w.percent(25) {
		k = w.one(w.fleeting[sessions])
	}
	n := w.numbers.Add(1)
	content := strconv.FormatInt(n, 10)
	switch p := w.random.IntN(100); {
	case w.random.IntN(poisonOf) == 0:
		if w.percent(30) {
			return []*command{w.deletes(k, "DEL"), w.of(k, stroke{whole: true, cells: sets(noRow), bad: true}, "SADD", n)}
		}
		return []*command{w.of(k, stroke{cells: map[string]string{"a": noRow, "c": content}, bad: true}, "HSET", "a", "many", "c", content)}
	case p < 5:
		return []*command{w.deletes(k, "DEL")}
	case p < 12:
		c := w.of(k, stroke{cells: map[string]string{"b": gone}}, "HDEL", "b")
		c.changes = did
		return []*command{c}
	case p < 15:
		all := []*command{
			w.of(k, stroke{cells: map[string]string{"a": gone}}, "HDEL", "a"), w.of(k, stroke{cells: map[string]string{"b": gone}}, "HDEL", "b"),
			w.of(k, stroke{cells: map[string]string{"c": gone}}, "HDEL", "c"),
		}
		for _, c := range all {
			c.changes = did
		}
		return all
	case p < 20 && whole && !k.fleeting:
		return w.renamed(sessions, k, nil, w.deletesAside(sessions), w.of(k, stroke{cells: map[string]string{"a": content, "c": content}}, "HSET", "a", content, "c", content))
	case p < 45:
		c := w.of(k, stroke{cells: map[string]string{"a": ""}, unread: true}, "HINCRBY", "a", n)
		c.tells, c.reads = true, "a"
		return w.expires(k, c)
	case p < 60:
		return w.expires(k, w.of(k, stroke{cells: map[string]string{"a": content, "b": content, "c": content}}, "HSET", "a", content, "b", content, "c", content))
	}
	field := fields[w.random.IntN(len(fields))]
	return w.expires(k, w.of(k, stroke{cells: map[string]string{field: content}}, "HSET", field, content))
}

func (w *appWriter) deletesAside(table string) *command {
	c := w.deletes(w.aside[table], "DEL")
	return c
}

func (w *appWriter) view() []*command {
	if w.percent(20) {
		return w.vanishing(w.one(w.fleeting[views]), func(n int64) string { return strconv.FormatInt(n, 10) })
	}
	at := w.random.IntN(len(w.lasting[views]))
	k, n := w.lasting[views][at], w.numbers.Add(1)
	c := w.of(k, stroke{number: n, cells: sets(""), unread: true}, "INCRBY", n)
	c.tells = true
	switch p := w.random.IntN(100); {
	case w.random.IntN(poisonOf) == 0:
		bad := stroke{cells: sets(noRow), bad: true}
		if w.percent(30) {
			return []*command{w.deletes(k, "DEL"), w.of(k, bad, "LPUSH", n)}
		}
		return []*command{w.of(k, bad, "SET", "no number")}
	case p < 8:
		return []*command{w.deletes(k, "DEL")}
	case p < 20:
		return []*command{w.of(k, stroke{number: n, cells: sets(n)}, "SET", n)}
	case at%2 == 1:
		c.args = []any{"INCRBYFLOAT", c.args[1], fmt.Sprintf("%d.25", n)}
	case p < 40:
		c.args = []any{"INCR", c.args[1]}
	}
	return []*command{c}
}

func (w *appWriter) score(whole bool) []*command {
	k := w.one(w.lasting[scores])
	if w.percent(20) {
		k = w.one(w.fleeting[scores])
	}
	n := w.numbers.Add(1)
	content := strconv.FormatInt(n, 10)
	player := fmt.Sprintf("p%d", w.random.IntN(players))
	switch p := w.random.IntN(100); {
	case w.random.IntN(poisonOf) == 0:
		if w.percent(30) {
			return []*command{w.deletes(k, "DEL"), w.of(k, stroke{whole: true, cells: sets(noRow), bad: true}, "HSET", "a", n)}
		}
		return []*command{w.of(k, stroke{cells: map[string]string{player: noRow}, bad: true}, "ZADD", -n, player)}
	case p < 4:
		return []*command{w.deletes(k, "DEL")}
	case p < 14:
		c := w.of(k, stroke{cells: map[string]string{player: gone}}, "ZREM", player)
		c.changes = did
		return []*command{c}
	case p < 20 && whole:
		other := player + "x"
		return w.renamed(scores, k, nil, w.deletesAside(scores), w.of(k, stroke{cells: map[string]string{player: content, other: content}}, "ZADD", n, player, n, other))
	case p < 24 && whole:
		from := w.aside[scores]
		return []*command{
			w.deletesAside(scores), w.of(from, stroke{cells: map[string]string{player: content}}, "ZADD", n, player),
			{
				args:    []any{"ZUNIONSTORE", prefixes[scores] + k.key, 1, prefixes[scores] + from.key},
				effects: []effect{{k, stroke{number: w.numbers.Add(1), whole: true, cells: map[string]string{player: content}}}},
			},
		}
	case p < 45:
		c := w.of(k, stroke{cells: map[string]string{player: ""}, unread: true}, "ZINCRBY", n, player)
		c.tells, c.reads = true, player
		return w.expires(k, c)
	case p < 55:
		c := w.of(k, stroke{cells: map[string]string{player: content}}, "ZADD", "GT", "CH", n, player)
		c.changes = did
		return w.expires(k, c)
	}
	return w.expires(k, w.of(k, stroke{cells: map[string]string{player: content}}, "ZADD", n, player))
}

func (w *appWriter) event() []*command {
	n, at := w.numbers.Add(1), w.random.IntN(streams)
	a := &added{number: n, stream: fmt.Sprintf("%d-%d", w.number, at), trimmed: at == 0}
	args := []any{"XADD", prefixes[events] + a.stream}
	if a.trimmed {
		args = append(args, "MAXLEN", "~", 100)
	}
	args = append(args, "*", "n", n)
	if w.random.IntN(4*poisonOf) == 0 {
		a.bad = true
		args[len(args)-1] = "no number"
	}
	return []*command{{args: args, entry: a}}
}

// restore puts a key in place that was read with DUMP.
func (w *appWriter) restore(ctx context.Context) int {
	from, to := w.aside[products], w.one(w.lasting[products])
	n := w.numbers.Add(1)
	set := w.of(from, stroke{number: n, cells: sets(n)}, "SET", documentOf(n))
	w.sent(set)
	ctx = context.WithoutCancel(ctx)
	var made *redis.Cmd
	var dump *redis.StringCmd
	_, _ = w.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		made = p.Do(ctx, set.args...)
		dump = p.Dump(ctx, set.args[1].(string))
		return nil
	})
	text, err := textOf(made)
	w.record(set, text, err)
	if err != nil || dump.Err() != nil {
		return 1
	}
	c := &command{
		args:    []any{"RESTORE", prefixes[products] + to.key, 0, dump.Val(), "REPLACE"},
		effects: []effect{{to, stroke{number: w.numbers.Add(1), cells: sets(n)}}},
	}
	w.sent(c)
	text, err = textOf(w.client.Do(ctx, c.args...))
	w.record(c, text, err)
	return 2
}
