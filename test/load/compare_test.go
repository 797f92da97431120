// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package load_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/writebehind/operator/internal/flusher/postgres/postgrestest"
	"github.com/writebehind/operator/test/load"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 123456000, time.UTC)

func chair() load.Product {
	return load.Product{Name: `A "chair"`, PriceCents: 4905, Stock: 3, UpdatedAt: noon}
}

func TestProductIsADocumentOfTheTable(t *testing.T) {
	t.Parallel()
	got, err := json.Marshal(chair())
	if err != nil {
		t.Fatal(err)
	}
	want := `{"name":"A \"chair\"","price":49.05,"stock":3,"updated_at":"2026-01-02T12:00:00.123456Z"}`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("the document differs (-want +got):\n%s", diff)
	}
}

func TestCompareFindsEveryKindOfDifference(t *testing.T) {
	t.Parallel()
	database := postgrestest.New(t)
	db, err := pgx.Connect(t.Context(), database.URL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close(t.Context()) })
	database.Exec(t, load.CreateTable)
	for id := 1; id <= 9; id++ {
		database.Exec(t, `INSERT INTO products VALUES ($1, $2, 49.05, 3, $3)`, id, chair().Name, noon)
	}
	expected := func() map[int64]load.Write {
		last := map[int64]load.Write{10: {Version: 10, Deleted: true}}
		for id := int64(1); id <= 9; id++ {
			last[id] = load.Write{Version: id, Product: chair()}
		}
		return last
	}
	change := func(id int64, how func(*load.Write)) func(map[int64]load.Write) {
		return func(last map[int64]load.Write) {
			w := last[id]
			how(&w)
			last[id] = w
		}
	}
	for name, tc := range map[string]struct {
		change func(map[int64]load.Write)
		want   []int64
	}{
		"all as acknowledged": {change: func(map[int64]load.Write) {}},
		"another name":        {change(1, func(w *load.Write) { w.Product.Name = "x" }), []int64{1}},
		"a cent":              {change(2, func(w *load.Write) { w.Product.PriceCents++ }), []int64{2}},
		"the stock":           {change(3, func(w *load.Write) { w.Product.Stock-- }), []int64{3}},
		"a microsecond":       {change(4, func(w *load.Write) { w.Product.UpdatedAt = noon.Add(time.Microsecond) }), []int64{4}},
		"a row that should be deleted": {
			change(5, func(w *load.Write) { w.Deleted = true }), []int64{5},
		},
		"a row that is missing": {
			func(last map[int64]load.Write) { last[11] = load.Write{Product: chair()} }, []int64{11},
		},
		"a row that nobody wrote": {
			func(last map[int64]load.Write) { delete(last, 9) }, []int64{9},
		},
		"several": {
			func(last map[int64]load.Write) {
				last[10], last[1] = load.Write{Product: chair()}, load.Write{Deleted: true}
			},
			[]int64{1, 10},
		},
	} {
		t.Run(name, func(t *testing.T) {
			last := expected()
			tc.change(last)
			rows, differences, err := load.Compare(t.Context(), db, last)
			if err != nil {
				t.Fatal(err)
			}
			if rows != 9 {
				t.Errorf("%d rows were read, want 9", rows)
			}
			var got []int64
			for _, d := range differences {
				got = append(got, d.ID)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("keys that differ (-want +got):\n%s\n%v", diff, differences)
			}
		})
	}
}
