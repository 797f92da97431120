// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Command flusher carries the write-behind queues of one Redis to one PostgreSQL
// database. Several may run with the same config; they share the work. Its
// subcommand dlq lists, replays and discards dead letters,
// explain tells all of one key, verify and repair compare Redis with the tables, and acl
// prints what users of Redis need.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	runtimedebug "runtime/debug"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/writebehind/operator/internal/command"
	"github.com/writebehind/operator/internal/flusher"
	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/journal"
	"github.com/writebehind/operator/internal/flusher/service"
)

func main() { command.Main(run) }

// run returns the exit code.
func run(ctx context.Context, args []string, s command.Streams) int {
	journal.Quiet()
	return command.Run(ctx, rootCommand(), args, s)
}

// version is set by the linker.
var version = "dev"

// mountedConfig is where a Pod of the operator has the config file.
var mountedConfig = "/etc/writebehind/config/config.yaml"

// chosen is the config file: the one that is given, or else the one that is mounted.
func chosen(path string) (string, error) {
	if path != "" {
		return path, nil
	}
	if _, err := os.Stat(mountedConfig); err != nil {
		return "", errNoConfig
	}
	return mountedConfig, nil
}

func rootCommand() *cobra.Command {
	var path, format string
	var grace time.Duration
	var debug, untilStdinEnds bool
	root := &cobra.Command{
		Use:     "flusher --config FILE",
		Version: version,
		Short:   "Carries write-behind queues from Redis to PostgreSQL.",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("%q is not allowed: give dlq, explain, verify, repair or acl, or only flags to run the flusher", args[0])
			}
			return nil
		},
		PersistentPreRun: func(cmd *cobra.Command, _ []string) {
			if untilStdinEnds {
				cmd.SetContext(whileOpen(cmd.Context(), cmd.InOrStdin()))
			}
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			path, err := chosen(path)
			if err != nil {
				return err
			}
			if grace < time.Second {
				return fmt.Errorf("--grace-period: %q is not allowed: give 1s or more", grace.String())
			}
			log, err := logger(cmd.ErrOrStderr(), format, debug)
			if err != nil {
				return err
			}
			revision, err := urlRevision()
			if err != nil {
				return err
			}
			return service.Serve(cmd.Context(), path, flusher.Options{
				Log: log, Grace: grace, URLRevision: revision, LimitMemory: limitMemory, Collect: collect,
			})
		},
	}
	root.PersistentFlags().StringVar(&path, "config", "", "the config file (YAML); required where there is no "+mountedConfig)
	root.PersistentFlags().BoolVar(&untilStdinEnds, "until-stdin-ends", false,
		"stop when the standard input ends, as kubectl writebehind ends it when somebody interrupts that")
	root.Flags().DurationVar(&grace, "grace-period", flusher.Options{}.WithDefaults().Grace, "how long to go on flushing after SIGTERM")
	root.Flags().StringVar(&format, "log-format", "json", "json or text")
	root.Flags().BoolVar(&debug, "debug", false, "log every take-over of a partition too")
	root.AddCommand(deadLettersCommand(&path), explainCommand(&path), verifyCommand(&path), repairCommand(&path), aclCommand(&path))
	return root
}

// whileOpen ends with the input, as at SIGTERM: a command that kubectl runs in a pod gets no
// signal when kubectl ends, and would go on alone.
func whileOpen(ctx context.Context, in io.Reader) context.Context {
	ctx, stop := context.WithCancel(ctx)
	go func() {
		defer stop()
		_, _ = io.Copy(io.Discard, in)
	}()
	return ctx
}

var errNoConfig = errors.New("--config: \"\" is not allowed: give the path of the config file")

func logger(to io.Writer, format string, debug bool) (*slog.Logger, error) {
	options := &slog.HandlerOptions{}
	if debug {
		options.Level = slog.LevelDebug
	}
	switch format {
	case "json":
		return slog.New(slog.NewJSONHandler(to, options)), nil
	case "text":
		return slog.New(slog.NewTextHandler(to, options)), nil
	default:
		return nil, fmt.Errorf("--log-format: %q is not allowed: give json or text", format)
	}
}

// urlRevision is the revision that the operator gave this Pod for the Secret that it mounts; 0 where
// there is no operator.
func urlRevision() (int64, error) {
	text := os.Getenv(config.URLRevisionVariable)
	if text == "" {
		return 0, nil
	}
	revision, err := strconv.ParseInt(text, 10, 64)
	if err != nil || revision < 0 {
		return 0, fmt.Errorf("%s: %q is not allowed: give a revision of the settings, 0 or more, or unset it", config.URLRevisionVariable, text)
	}
	return revision, nil
}

// collect says how much garbage may accumulate. What the environment sets goes before.
func collect(percent int) {
	if os.Getenv("GOGC") == "" {
		runtimedebug.SetGCPercent(percent)
	}
}

// limitMemory is a soft limit: the collector works harder near it. One that the
// environment sets goes before.
func limitMemory(bytes int64) {
	if os.Getenv("GOMEMLIMIT") == "" {
		runtimedebug.SetMemoryLimit(bytes)
	}
}
