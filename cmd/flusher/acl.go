// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"github.com/writebehind/operator/internal/flusher/acl"
)

// aclCommand prints what users of Redis need.
func aclCommand(path *string) *cobra.Command {
	var output, queue, user, flusherUser string
	command := &cobra.Command{
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
			for flag, name := range map[string]string{"user": user, "flusher-user": flusherUser} {
				if !userName.MatchString(name) {
					return fmt.Errorf("--%s: %q is not allowed: give letters, digits, and any of _ . @ -", flag, name)
				}
			}
			var queues []string
			if cmd.Flags().Changed(flagQueue) {
				if queues, err = (&comparison{queue: queue}).queues(c); err != nil {
					return err
				}
			}
			rules := acl.Of(c.Capture, c.Mappings, queues, user, flusherUser)
			if output == outputJSON {
				return (&report{out: cmd.OutOrStdout()}).encode(rules)
			}
			return printRules(cmd.OutOrStdout(), rules)
		},
	}
	command.Flags().StringVarP(&output, "output", "o", outputTable, "table or json")
	command.Flags().StringVar(&queue, flagQueue, "", "the application works with this queue alone (a mapping's name)")
	command.Flags().StringVar(&user, "user", "app", "the name of the application's user")
	command.Flags().StringVar(&flusherUser, "flusher-user", "writebehind", "the name of the flushers' user")
	return command
}

// userName is a name that stands in a command as it is.
var userName = regexp.MustCompile(`^[A-Za-z0-9_.@-]+$`)

func printRules(out io.Writer, rules []acl.Rule) error {
	for i := range rules {
		r := &rules[i]
		if _, err := fmt.Fprintf(out, "# the %s of %s\n%s\n", r.For, strings.Join(r.Queues, ", "), r.Command); err != nil {
			return err
		}
	}
	return nil
}
