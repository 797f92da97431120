// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"context"
	"slices"
	"strings"

	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/postgres"
)

// compare holds keys against their rows: nil for those that are the same.
func (a *Audit) compare(ctx context.Context, m *config.Mapping, t *postgres.Table, looks []known) ([]*Difference, error) {
	var wanted []postgres.Wanted
	var of []int
	for i := range looks {
		rows := wantedOf(m, looks[i].key, looks[i].entries)
		wanted = append(wanted, rows...)
		of = append(of, slices.Repeat([]int{i}, len(rows))...)
	}
	found := make([]postgres.Compared, 0, len(wanted))
	for page := range slices.Chunk(wanted, pageOfKeys) {
		some, err := a.rows(ctx, t, page, false)
		if err != nil {
			return nil, databaseError{err}
		}
		found = append(found, some...)
	}
	verdicts := make([]*Difference, len(looks))
	at := 0
	for i := range looks {
		from := at
		for at < len(of) && of[at] == i {
			at++
		}
		d, err := a.difference(ctx, m, t, &looks[i], found[from:at])
		if err != nil {
			return nil, err
		}
		verdicts[i] = d
	}
	return verdicts, nil
}

func (a *Audit) difference(ctx context.Context, m *config.Mapping, t *postgres.Table, k *known, rows []postgres.Compared) (*Difference, error) {
	d := &Difference{Key: k.key, KeyBase64: Bytes(k.key), Queue: m.Name}
	if k.found == ofAnotherType {
		d.Kind, d.Reason = Unfit, otherType(m, k.kind)
		return d, nil
	}
	there := 0
	for i := range rows {
		c := &rows[i]
		if c.Found {
			there++
		}
		if c.Same() {
			continue
		}
		d.Members++
		if c.Unfit != nil {
			d.Kind, d.Reason = Unfit, c.Unfit.Message
		}
		for _, column := range c.Differing() {
			if !slices.Contains(d.Columns, column) {
				d.Columns = append(d.Columns, column)
			}
		}
	}
	if m.Encoding == config.EncodingSortedSet && !t.Refuses(rowKey(m, k.key)) {
		others, err := a.others(ctx, m, t, k.key, k.entries)
		if err != nil {
			return nil, databaseError{err}
		}
		d.Members += len(others)
		there += len(others)
	}
	switch {
	case d.Members == 0:
		return nil, nil
	case d.Kind == Unfit:
	case there == 0:
		d.Kind = Missing
	default:
		d.Kind = Different
	}
	if !hasMembers(m) {
		d.Members = 0
	}
	return d, nil
}

// pageOfRows is how many rows are listed at once.
const pageOfRows = 1000

// rows goes through a table and tells rows whose keys are not in Redis, and of which nothing
// waits: a key that was deleted just now has its row still.
func (v *verification) allRows(ctx context.Context, m *config.Mapping, prefix string) error {
	t, err := v.table(ctx, m)
	if err != nil {
		return v.failed(m, databaseError{err})
	}
	last := ""
	for first, after := true, [2]string{}; ; first = false {
		page, err := patiently(ctx, func() ([][2]string, error) { return v.database.Keys(ctx, t, first, after, pageOfRows) })
		if err != nil {
			return v.failed(m, databaseError{err})
		}
		var keys []string
		for _, ids := range page {
			key := m.KeyPrefix + ids[0]
			if key == last {
				continue
			}
			last = key
			if strings.HasPrefix(key, prefix) && v.picked() {
				keys = append(keys, key)
			}
		}
		for some := range slices.Chunk(keys, pageOfKeys) {
			if err := v.extra(ctx, m, some); err != nil {
				return v.failed(m, err)
			}
			v.scope.Progress(m.Name, &v.summary)
			if err := v.pace(ctx, len(some)); err != nil {
				return err
			}
		}
		if err := v.pace(ctx, stepOfScan); err != nil {
			return err
		}
		if len(page) < pageOfRows {
			return nil
		}
		after = page[len(page)-1]
	}
}

func (v *verification) extra(ctx context.Context, m *config.Mapping, keys []string) error {
	looks, err := v.look(ctx, m, keys)
	if err != nil {
		return err
	}
	gone := func(k known) bool { return k.found != absent || k.waits || k.dead }
	looks = slices.DeleteFunc(looks, gone)
	if len(looks) == 0 {
		return nil
	}
	// With capture Replication a deletion may be dirty.
	if settled, err := v.source.settled(ctx, looks); err != nil || !settled {
		return err
	}
	keys = keys[:0]
	for i := range looks {
		keys = append(keys, looks[i].key)
	}
	if looks, err = v.look(ctx, m, keys); err != nil {
		return err
	}
	looks = slices.DeleteFunc(looks, gone)
	t, err := v.table(ctx, m)
	if err != nil {
		return databaseError{err}
	}
	there, err := v.haveRows(ctx, m, t, looks)
	if err != nil {
		return databaseError{err}
	}
	for i := range looks {
		if !there[i] {
			continue
		}
		v.summary.Extra++
		if err := v.scope.Found(Difference{Key: looks[i].key, KeyBase64: Bytes(looks[i].key), Queue: m.Name, Kind: Extra}); err != nil {
			return err
		}
	}
	return nil
}

// haveRows tells of each key whether any row of it is there still.
func (v *verification) haveRows(ctx context.Context, m *config.Mapping, t *postgres.Table, looks []known) ([]bool, error) {
	there := make([]bool, len(looks))
	if hasMembers(m) {
		for i := range looks {
			members, err := v.members(ctx, m, t, looks[i].key, 1)
			if err != nil {
				return nil, err
			}
			there[i] = len(members) > 0
		}
		return there, nil
	}
	wanted := make([]postgres.Wanted, len(looks))
	for i := range looks {
		wanted[i] = postgres.Wanted{RowKey: rowKey(m, looks[i].key)}
	}
	found, err := v.rows(ctx, t, wanted, false)
	for i := range found {
		there[i] = found[i].Found
	}
	return there, err
}
