// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package command is what the commands of the flusher and of the plugin of kubectl have in common,
// of which one runs the other: exit codes, forms of output, and how a text is shown that may be
// anybody's.
package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/writebehind/operator/internal/flusher/config"
)

// Exit codes.
const (
	// ExitFailed means that not all could be done that was asked for, though there was nothing
	// wrong with how it was asked.
	ExitFailed = 1
	// ExitUnusable means that the command line, or the config, cannot be used.
	ExitUnusable = config.ExitUnusable
	// ExitDifferent means that a comparison has found differences, or that a repair has left some.
	ExitDifferent = 3
)

// Exit is an error that ends in an exit code. Every other one ends in ExitUnusable. Without an
// error in it nothing is written: what has ended so has said itself why.
type Exit struct {
	Code int
	Err  error
}

func (e *Exit) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("exit code %d", e.Code)
	}
	return e.Err.Error()
}

func (e *Exit) Unwrap() error { return e.Err }

// Failed is an error that ends in ExitFailed.
func Failed(format string, args ...any) error {
	return &Exit{ExitFailed, fmt.Errorf(format, args...)}
}

// Streams are what a command reads and writes.
type Streams struct {
	In            io.Reader
	Out, Problems io.Writer
}

// Main runs a program, which an interruption ends, and exits with its code.
func Main(run func(ctx context.Context, args []string, s Streams) int) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	code := run(ctx, os.Args[1:], Streams{os.Stdin, os.Stdout, os.Stderr})
	stop()
	os.Exit(code)
}

// Run runs a command line, and returns the exit code. An error is written in one line, of which a
// terminal obeys nothing.
func Run(ctx context.Context, root *cobra.Command, args []string, s Streams) int {
	root.SilenceUsage, root.SilenceErrors = true, true
	root.CompletionOptions = cobra.CompletionOptions{DisableDefaultCmd: true}
	// Without any, nil would stand for those of the process.
	root.SetArgs(append([]string{}, args...))
	root.SetIn(s.In)
	root.SetOut(s.Out)
	root.SetErr(s.Problems)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	exit, ok := errors.AsType[*Exit](err)
	if !ok {
		exit = &Exit{ExitUnusable, err}
	}
	if exit.Err != nil {
		fmt.Fprintf(s.Problems, "%s: %s\n", root.DisplayName(), Escaped(strings.Join(strings.Fields(err.Error()), " ")))
	}
	return exit.Code
}

// Forms of output.
const (
	Table = "table"
	JSON  = "json"
)

// Output is the form that somebody has chosen.
type Output string

// Bind adds the flag.
func (o *Output) Bind(flags *pflag.FlagSet) {
	flags.StringVarP((*string)(o), "output", "o", Table, "table or json")
}

// Check refuses a form that there is not.
func (o *Output) Check() error {
	if *o != Table && *o != JSON {
		return fmt.Errorf("--output: %q is not allowed: give table or json", string(*o))
	}
	return nil
}

// Encode writes a document for a script.
func Encode(out io.Writer, document any) error {
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(document)
}
