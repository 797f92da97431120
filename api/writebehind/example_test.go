// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package writebehind_test

import (
	"context"
	"database/sql"
	"fmt"
	"time"

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

// An order that has to be in the database before another program is told of it.
func ExampleFlushed() {
	rdb := redis.NewClient(&redis.Options{Addr: "shop-redis:6379"})
	place := func(ctx context.Context, id, order string) error {
		conn := rdb.Conn()
		defer func() { _ = conn.Close() }()
		if err := conn.Set(ctx, "order:"+id, order, 0).Err(); err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		if err := writebehind.Flushed(ctx, conn); err != nil {
			return fmt.Errorf("order %s is in Redis: %w", id, err)
		}
		return nil
	}
	_ = place
}
