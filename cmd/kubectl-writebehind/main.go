// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Command kubectl-writebehind is a plugin of kubectl: in a folder of PATH it runs as kubectl
// writebehind. It prints the status of resources for a person and the ACL of their users, and runs
// the flusher's own commands explain, verify, repair and dlq in a pod of the flushers.
package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/writebehind/operator/internal/command"
)

func main() {
	command.Main(func(ctx context.Context, args []string, s command.Streams) int {
		return command.Run(ctx, rootCommand(connect), args, s)
	})
}

// version is set by the linker.
var version = "dev"

func rootCommand(dial dialer) *cobra.Command {
	var t target
	root := &cobra.Command{
		Use:         "kubectl-writebehind",
		Version:     version,
		Short:       "Looks at WriteBehindCaches, and at what becomes of their writes.",
		Annotations: map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl writebehind"},
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("%q is not allowed: give status, explain, verify, repair, dlq or acl", args[0])
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
