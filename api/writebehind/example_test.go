// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package writebehind_test

import (
	"context"
	"database/sql"

	"github.com/redis/go-redis/v9"

	"github.com/writebehind/operator/api/writebehind"
)

// A reader that caches what it finds in the database. Should the product be written or
// deleted while the query runs, what it returns is not cached.
func ExampleQueue_Fill() {
	rdb := redis.NewClient(&redis.Options{Addr: "shop-redis:6379"})
	products := writebehind.NewQueue(rdb, "products")
	read := func(ctx context.Context, db *sql.DB, id string) (string, error) {
		key := "product:" + id
		value, token, err := products.Get(ctx, key)
		if err != nil || token == "" {
			return value, err
		}
		if err := db.QueryRowContext(ctx, "SELECT to_jsonb(p) FROM products p WHERE id = $1", id).Scan(&value); err != nil {
			return "", err
		}
		// The answer is right whether it could be cached or not.
		_, err = products.Fill(ctx, key, value, token)
		return value, err
	}
	_ = read
}
