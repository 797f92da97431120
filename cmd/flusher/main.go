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
	"os/signal"
	runtimedebug "runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/writebehind/operator/internal/flusher"
	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/journal"
	"github.com/writebehind/operator/internal/flusher/service"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// exitFailed is the exit code of a subcommand that could not do all of what it was
// asked for, though there was nothing wrong with how it was asked.
const exitFailed = 1

// failure is an error that ends in exitFailed; every other says that the command
// line or the config cannot be used.
type failure struct{ text string }

func (f *failure) Error() string { return f.text }

func failed(format string, args ...any) error {
	return &failure{text: fmt.Sprintf(format, args...)}
}

// run returns the exit code. An error is written in one line to problems.
func run(ctx context.Context, args []string, out, problems io.Writer) int {
	journal.Quiet()
	root := rootCommand()
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(problems)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	fmt.Fprintf(problems, "flusher: %s\n", strings.Join(strings.Fields(err.Error()), " "))
	if _, ok := errors.AsType[*failure](err); ok {
		return exitFailed
	}
	if _, ok := errors.AsType[*different](err); ok {
		return exitDifferent
	}
	return config.ExitUnusable
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
	var debug bool
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
		SilenceUsage:      true,
		SilenceErrors:     true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
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
	root.Flags().DurationVar(&grace, "grace-period", flusher.Options{}.WithDefaults().Grace, "how long to go on flushing after SIGTERM")
	root.Flags().StringVar(&format, "log-format", "json", "json or text")
	root.Flags().BoolVar(&debug, "debug", false, "log every take-over of a partition too")
	root.AddCommand(deadLettersCommand(&path), explainCommand(&path), verifyCommand(&path), repairCommand(&path), aclCommand(&path))
	return root
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
