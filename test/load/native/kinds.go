// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package native

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// kind is what the keys of one mapping of the sample hold.
type kind struct {
	table, prefix string
	// columns give each row of the table as a text.
	columns string
	// read gives a key, behind its prefix, as the texts of the rows that it is.
	read func(ctx context.Context, rdb *redis.Client, key, name string) ([]string, error)
}

const none = "-"

var kinds = []kind{
	{"products", "product:", "id, name, price", productOf},
	{"sessions", "session:", "id, coalesce(username, '-'), coalesce(visits::text, '-')", sessionOf},
	{"views", "views:", "page, hits", viewOf},
	{"scores", "board:", "board, player, score", scoresOf},
	{"events", "events:", "source, id, kind", eventsOf},
}

// keys are all keys of the kind, as rows.
func (k *kind) keys(ctx context.Context, rdb *redis.Client) ([]string, error) {
	var rows []string
	// A walk may come across a key twice.
	seen := map[string]bool{}
	for keys := rdb.Scan(ctx, 0, k.prefix+"*", 1000).Iterator(); ; {
		if !keys.Next(ctx) {
			return rows, keys.Err()
		}
		key := keys.Val()
		if seen[key] {
			continue
		}
		seen[key] = true
		of, err := k.read(ctx, rdb, key, strings.TrimPrefix(key, k.prefix))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
		rows = append(rows, of...)
	}
}

func productOf(ctx context.Context, rdb *redis.Client, key, id string) ([]string, error) {
	document, err := rdb.Get(ctx, key).Bytes()
	if err != nil {
		return nil, err
	}
	var product struct {
		Name  string
		Price json.Number
	}
	if err := json.Unmarshal(document, &product); err != nil {
		return nil, err
	}
	return []string{strings.Join([]string{id, product.Name, product.Price.String()}, "|")}, nil
}

func sessionOf(ctx context.Context, rdb *redis.Client, key, id string) ([]string, error) {
	fields, err := rdb.HGetAll(ctx, key).Result()
	if err != nil {
		return nil, err
	}
	row := []string{id, none, none}
	for i, name := range []string{"username", "visits"} {
		if value, ok := fields[name]; ok {
			row[i+1] = value
		}
	}
	return []string{strings.Join(row, "|")}, nil
}

func viewOf(ctx context.Context, rdb *redis.Client, key, page string) ([]string, error) {
	hits, err := rdb.Get(ctx, key).Result()
	return []string{page + "|" + hits}, err
}

func scoresOf(ctx context.Context, rdb *redis.Client, key, board string) (rows []string, err error) {
	members, err := rdb.ZRangeWithScores(ctx, key, 0, -1).Result()
	for _, z := range members {
		rows = append(rows, fmt.Sprintf("%s|%v|%s", board, z.Member, strconv.FormatFloat(z.Score, 'g', -1, 64)))
	}
	return rows, err
}

func eventsOf(ctx context.Context, rdb *redis.Client, key, source string) (rows []string, err error) {
	entries, err := rdb.XRange(ctx, key, "-", "+").Result()
	for _, e := range entries {
		rows = append(rows, fmt.Sprintf("%s|%s|%v", source, e.ID, e.Values["kind"]))
	}
	return rows, err
}
