// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/entry"
	"github.com/writebehind/operator/internal/flusher/postgres"
	"github.com/writebehind/operator/internal/flusher/replica"
	"github.com/writebehind/operator/internal/plural"
)

// mostRows is how many rows of a key of members are shown, unless all are asked for.
const mostRows = 20

// mostMembers is how many members of one key are listed of the table.
const mostMembers = replica.MostSurveyed

// Explain tells all that there is to say of one key. What a server does not answer is among the
// problems, and the rest is told all the same. all asks for every row of a key of members.
func (a *Audit) Explain(ctx context.Context, key string, all bool) *Explanation {
	e := &Explanation{Key: key, KeyBase64: Bytes(key), Capture: a.config.Capture, State: StateNoMapping, Rows: []Row{}}
	m := MappingOf(a.config, key)
	if m == nil {
		e.Next = "nothing: no mapping takes this key, so that nothing of it goes to a table; the prefixes are " + prefixes(a.config)
		return e
	}
	e.Queue, e.KeyPrefix, e.Table, e.Encoding = m.Name, m.KeyPrefix, m.Table, m.Encoding
	if key == m.KeyPrefix {
		e.State = StateNoMapping
		e.Next = fmt.Sprintf("nothing: the key is the keyPrefix alone, which leaves nothing for the column %s: write keys that go on after it", m.KeyColumn)
		return e
	}
	entries := a.source.tell(ctx, m, key, e)
	if err := a.explainRows(ctx, m, e, entries, all); err != nil {
		e.problem("PostgreSQL: " + ofDatabase(err))
	}
	e.Next = a.next(m, e)
	return e
}

func prefixes(c *config.Config) string {
	all := make([]string, len(c.Mappings))
	for i := range c.Mappings {
		all[i] = fmt.Sprintf("%q (queue %s)", c.Mappings[i].KeyPrefix, c.Mappings[i].Name)
	}
	return strings.Join(all, ", ")
}

// explainRows looks at the rows of what Redis has and, of a key that has several, at those that
// only the table has.
func (a *Audit) explainRows(ctx context.Context, m *config.Mapping, e *Explanation, entries []entry.Entry, all bool) error {
	t, err := a.table(ctx, m)
	if err != nil {
		return err
	}
	wanted, beyond, err := a.wanted(ctx, m, t, e, entries)
	if err != nil {
		return err
	}
	inRedis := len(entries)
	differs := false
	for from := 0; from < len(wanted); from += pageOfKeys {
		to := min(from+pageOfKeys, len(wanted))
		found, err := a.rows(ctx, t, wanted[from:to], true)
		if err != nil {
			return err
		}
		for i := range found {
			row := rowOf(wanted[from+i].Member, from+i < inRedis, &found[i])
			row.Differs = row.Differs || hasMembers(m) && m.Mode != config.ModeAppend && !row.InRedis && row.There && e.Redis.There
			differs = differs || row.Differs
			e.Rows = append(e.Rows, row)
		}
	}
	if e.Redis.Asked && e.Redis.There {
		e.Differs = &differs
	}
	if !all && len(e.Rows) > mostRows {
		e.shorten()
	}
	e.Beyond += beyond
	return nil
}

// wanted are the rows of what Redis has, and behind them those that only the table may have. beyond
// is how many members are not among them.
func (a *Audit) wanted(ctx context.Context, m *config.Mapping, t *postgres.Table, e *Explanation, entries []entry.Entry) (all []postgres.Wanted, beyond int, err error) {
	all = wantedOf(m, e.Key, entries)
	if e.Redis.Members != nil {
		beyond = *e.Redis.Members - len(entries)
	}
	switch {
	case beyond > 0:
		// Of rows beside those that are compared nobody knows whether Redis has them.
		e.problem(fmt.Sprintf("the key has %s or more: compared are %d", plural.Of(*e.Redis.Members, "member", "members"), len(entries)))
	case hasMembers(m):
		others, err := a.others(ctx, m, t, e.Key, entries)
		if err != nil {
			return nil, 0, err
		}
		for _, member := range others {
			all = append(all, postgres.Wanted{RowKey: rowKey(m, e.Key), Member: member})
		}
	case len(all) == 0:
		all = append(all, postgres.Wanted{RowKey: rowKey(m, e.Key)})
	}
	return all, beyond, nil
}

// shorten leaves rows out. Those that differ are what somebody looks for.
func (e *Explanation) shorten() {
	slices.SortStableFunc(e.Rows, func(x, y Row) int {
		switch {
		case x.Differs == y.Differs:
			return 0
		case x.Differs:
			return -1
		}
		return 1
	})
	e.Beyond = len(e.Rows) - mostRows
	e.Rows = e.Rows[:mostRows]
}

// others are the members of a key that have a row and are not in Redis. Rows of entries that a
// stream was trimmed of stay, and are none of them.
func (a *Audit) others(ctx context.Context, m *config.Mapping, t *postgres.Table, key string, entries []entry.Entry) ([]string, error) {
	if m.Mode == config.ModeAppend && len(entries) > 0 || t.Refuses(rowKey(m, key)) {
		return nil, nil
	}
	members, err := a.members(ctx, m, t, key, mostMembers)
	if err != nil {
		return nil, err
	}
	there := make(map[string]bool, len(entries))
	for i := range entries {
		there[entries[i].Member] = true
	}
	return slices.DeleteFunc(members, func(member string) bool { return there[member] }), nil
}
