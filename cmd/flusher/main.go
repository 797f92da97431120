// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Command flusher carries the write-behind queues of one Redis to one PostgreSQL
// database. Several may run with the same config; they share the work.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/pflag"

	"github.com/writebehind/operator/internal/flusher"
	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/journal"
)

func main() {
	os.Exit(run(os.Args[1:]))
}

func run(args []string) int {
	flags := pflag.NewFlagSet("flusher", pflag.ContinueOnError)
	flags.Usage = func() {
		fmt.Fprintf(os.Stderr, "Usage: flusher --config FILE\n\nCarries write-behind queues from Redis to PostgreSQL.\n\n%s", flags.FlagUsages())
	}
	path := flags.String("config", "", "the config file (YAML), required")
	grace := flags.Duration("grace-period", 20*time.Second, "how long to go on flushing after SIGTERM")
	format := flags.String("log-format", "json", "json or text")
	debug := flags.Bool("debug", false, "log every take-over of a partition too")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, pflag.ErrHelp) {
			return 0
		}
		return unusable(err)
	}
	switch {
	case len(flags.Args()) > 0:
		return unusable(fmt.Errorf("%q is not allowed: flusher takes no arguments, only flags", flags.Arg(0)))
	case *path == "":
		return unusable(errors.New("--config: \"\" is not allowed: give the path of the config file"))
	case *grace < time.Second:
		return unusable(fmt.Errorf("--grace-period: %q is not allowed: give 1s or more", grace.String()))
	}
	log, err := logger(*format, *debug)
	if err != nil {
		return unusable(err)
	}
	journal.Quiet()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := flusher.Serve(ctx, *path, flusher.Options{Log: log, Grace: *grace}); err != nil {
		return unusable(err)
	}
	return 0
}

func unusable(err error) int {
	fmt.Fprintf(os.Stderr, "flusher: %v\n", err)
	return config.ExitUnusable
}

func logger(format string, debug bool) (*slog.Logger, error) {
	options := &slog.HandlerOptions{}
	if debug {
		options.Level = slog.LevelDebug
	}
	switch format {
	case "json":
		return slog.New(slog.NewJSONHandler(os.Stderr, options)), nil
	case "text":
		return slog.New(slog.NewTextHandler(os.Stderr, options)), nil
	default:
		return nil, fmt.Errorf("--log-format: %q is not allowed: give json or text", format)
	}
}
