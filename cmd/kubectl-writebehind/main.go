// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Command kubectl-writebehind is a plugin of kubectl: in a folder of PATH it runs as kubectl
// writebehind. It prints the status of resources for a person and the ACL of their users, and runs
// the flusher's own commands explain, verify, repair and dlq in a pod of the flushers.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr, connect)
	stop()
	os.Exit(code)
}

// Exit codes, which are those of the flusher's commands.
const (
	exitFailed   = 1
	exitUnusable = 2
)

// usage is an error of the command line.
type usage struct{ text string }

func (u *usage) Error() string { return u.text }

func unusable(format string, args ...any) error { return &usage{fmt.Sprintf(format, args...)} }

// exited is the exit code of a command that ran in a pod, and has said itself why.
type exited struct{ code int }

func (e *exited) Error() string { return fmt.Sprintf("exit code %d", e.code) }

// run returns the exit code. An error is written in one line to problems.
func run(ctx context.Context, args []string, out, problems io.Writer, dial dialer) int {
	root := rootCommand(dial)
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(problems)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	if e, ok := errors.AsType[*exited](err); ok {
		return e.code
	}
	fmt.Fprintf(problems, "kubectl writebehind: %s\n", strings.Join(strings.Fields(err.Error()), " "))
	if _, ok := errors.AsType[*failure](err); ok {
		return exitFailed
	}
	return exitUnusable
}

// failure is an error of the cluster; every other is one of the command line.
type failure struct{ error }

func (f *failure) Unwrap() error { return f.error }

// version is set by the linker.
var version = "dev"

const (
	outputTable = "table"
	outputJSON  = "json"
)

func rootCommand(dial dialer) *cobra.Command {
	var t target
	root := &cobra.Command{
		Use:               "kubectl-writebehind",
		Version:           version,
		Short:             "Looks at WriteBehindCaches, and at what becomes of their writes.",
		SilenceUsage:      true,
		SilenceErrors:     true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
		Annotations:       map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl writebehind"},
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unusable("%q is not allowed: give status, explain, verify, repair, dlq or acl", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	t.bind(root.PersistentFlags())
	root.AddCommand(statusCommand(&t, dial), aclCommand(&t, dial))
	for _, c := range forwarded {
		root.AddCommand(c.command(dial))
	}
	return root
}
