// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// serverTime bounds one question to a server that should answer.
const serverTime = 5 * time.Second

// postgresDown ends PostgreSQL at once and starts it again.
func postgresDown(signal syscall.Signal) func(context.Context, *world, fault) error {
	return func(ctx context.Context, w *world, f fault) error {
		w.postgres.Kill(signal)
		hold(ctx, f.duration)
		return w.postgres.Restart(context.WithoutCancel(ctx))
	}
}

// sessionsTerminated ends the sessions of all flushers: they alone come over TCP.
func sessionsTerminated(ctx context.Context, w *world, _ fault) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), serverTime)
	defer cancel()
	_, err := w.db.Pool().Exec(ctx, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE client_port > 0")
	return err
}

// tableLocked keeps everybody else from a table.
func tableLocked(table string) func(context.Context, *world, fault) error {
	return func(ctx context.Context, w *world, f fault) error {
		server, cancel := context.WithTimeout(context.WithoutCancel(ctx), f.duration+2*serverTime)
		defer cancel()
		tx, err := w.db.Pool().Begin(server)
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback(server) }()
		if _, err := tx.Exec(server, "LOCK TABLE "+table+" IN ACCESS EXCLUSIVE MODE"); err != nil {
			return err
		}
		hold(ctx, f.duration)
		return nil
	}
}

// postgresDiskFull fills PostgreSQL's disk. A server that could not write its log of
// changes has ended itself, and does not always come back by itself.
func postgresDiskFull(ctx context.Context, w *world, f fault) error {
	ballast := filepath.Join(w.disk, "ballast")
	err := fill(ballast)
	hold(ctx, f.duration)
	if err := errors.Join(err, os.Remove(ballast)); err != nil {
		return err
	}
	ctx = context.WithoutCancel(ctx)
	if await(ctx, serverTime, w.db.Pool().Ping) == nil {
		return nil
	}
	return w.postgres.Restart(ctx)
}

// fill writes until the disk takes no more.
func fill(path string) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	for block := make([]byte, 64<<10); ; {
		_, err := file.Write(block)
		switch {
		case err == nil:
		case errors.Is(err, syscall.ENOSPC) && len(block) > 1:
			block = block[:len(block)/2]
		case errors.Is(err, syscall.ENOSPC):
			return nil
		default:
			return err
		}
	}
}

func redisKilled(ctx context.Context, w *world, f fault) error {
	if err := w.redis.Kill(); err != nil {
		return err
	}
	hold(ctx, f.duration)
	return w.redis.Restart(context.WithoutCancel(ctx))
}

func redisStopped(ctx context.Context, w *world, f fault) error {
	w.redis.Pause()
	hold(ctx, f.duration)
	w.redis.Resume()
	return nil
}

func functionsFlushed(ctx context.Context, w *world, _ fault) error {
	return w.rdb.FunctionFlush(context.WithoutCancel(ctx)).Err()
}

func clientsKilled(ctx context.Context, w *world, _ fault) error {
	return w.rdb.Do(context.WithoutCancel(ctx), "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes").Err()
}

func redisMemoryFull(ctx context.Context, w *world, f fault) error {
	server := context.WithoutCancel(ctx)
	if err := w.rdb.ConfigSet(server, "maxmemory", "1").Err(); err != nil {
		return err
	}
	hold(ctx, f.duration)
	if err := w.rdb.ConfigSet(server, "maxmemory", "0").Err(); err != nil {
		return fmt.Errorf("give Redis its memory back: %w", err)
	}
	return nil
}

func rowsPoisoned(ctx context.Context, w *world, f fault) error {
	w.crowd.poisoning.Store(true)
	hold(ctx, f.duration)
	w.crowd.poisoning.Store(false)
	return nil
}
