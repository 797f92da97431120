// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"github.com/spf13/cobra"

	"github.com/writebehind/operator/internal/command"
	"github.com/writebehind/operator/internal/flusher/acl"
)

// aclCommand prints what users of Redis need.
func aclCommand(path *string) *cobra.Command {
	var output command.Output
	var of acl.Users
	var queue string
	show := &cobra.Command{
		Use:   "acl [--queue NAME] --config FILE",
		Short: "Print the ACL of an application's user, whose rights end at its queues, and of the flushers'.",
		Long: `Print the ACL of an application's user, whose rights end at its queues, and of the
flushers', ready to be run by an administrator of Redis: put a password in place of
PASSWORD. Redis itself is not asked, and no password is printed.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := configFor(*path, output)
			if err != nil {
				return err
			}
			if err := of.Check(); err != nil {
				return err
			}
			var queues []string
			if cmd.Flags().Changed(flagQueue) {
				if queues, err = (&comparison{queue: queue}).queues(c); err != nil {
					return err
				}
			}
			rules := acl.Of(c.Capture, c.Mappings, queues, of)
			if output == command.JSON {
				return command.Encode(cmd.OutOrStdout(), rules)
			}
			return acl.Print(cmd.OutOrStdout(), rules)
		},
	}
	output.Bind(show.Flags())
	of.Bind(show.Flags())
	show.Flags().StringVar(&queue, flagQueue, "", "the application works with this queue alone (a mapping's name)")
	return show
}
