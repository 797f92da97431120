// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Hasty is a flusher for tests, whose leases are short, so that a hundred take-overs after a
// death cost no five seconds each. Its argument is the config file.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/writebehind/operator/internal/flusher"
	"github.com/writebehind/operator/internal/flusher/journal"
	"github.com/writebehind/operator/internal/flusher/service"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: hasty CONFIG")
		os.Exit(2)
	}
	if err := run(os.Args[1]); err != nil {
		os.Exit(2)
	}
}

func run(file string) error {
	journal.Quiet()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	log := slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	err := service.Serve(ctx, file, flusher.Options{
		Log: log, LeaseTime: 800 * time.Millisecond, BeatInterval: 100 * time.Millisecond,
		PollInterval: 25 * time.Millisecond, ProbeInterval: 400 * time.Millisecond,
	})
	if err != nil {
		log.Error("Could not serve", "error", err)
	}
	return err
}
