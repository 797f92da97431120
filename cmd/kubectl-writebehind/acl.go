// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/command"
	"github.com/writebehind/operator/internal/flusher/acl"
	"github.com/writebehind/operator/internal/flusher/config"
)

// rights is the document of the command.
type rights struct {
	// Secret is that of a managed Redis, which the operator gives its users itself.
	Secret string `json:"secret,omitempty"`
	// Rules are those of a Redis of one's own.
	Rules []acl.Rule `json:"rules,omitempty"`
}

func aclCommand(t *target, dial dialer) *cobra.Command {
	var output command.Output
	var of acl.Users
	var queue string
	show := &cobra.Command{
		Use:   "acl NAME [--queue QUEUE]",
		Short: "Print the ACL of an application's user, whose rights end at its queues, and of the flushers'.",
		Long: `Print the ACL of an application's user, whose rights end at its queues, and of the
flushers', ready to be run by an administrator of Redis: put a password in place of
PASSWORD. Of a managed Redis it names the Secret that has a user for the application.
Neither Redis nor a Secret is read.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New("acl: give the WriteBehindCache")
			}
			return oneName(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := cmp.Or(output.Check(), of.Check()); err != nil {
				return err
			}
			c, err := dial(t)
			if err != nil {
				return err
			}
			cache, err := c.resource(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			r, err := rightsOf(cache, queue, of)
			switch {
			case err != nil:
				return err
			case output == command.JSON:
				return command.Encode(cmd.OutOrStdout(), r)
			}
			return r.print(cmd.OutOrStdout(), cache)
		},
	}
	output.Bind(show.Flags())
	of.Bind(show.Flags())
	show.Flags().StringVar(&queue, "queue", "", "the application works with this queue alone (a mapping's name)")
	return show
}

func rightsOf(cache *v1alpha1.WriteBehindCache, queue string, of acl.Users) (*rights, error) {
	var names, queues []string
	var mappings []config.Mapping
	for i := range cache.Spec.Mappings {
		m := &cache.Spec.Mappings[i]
		names = append(names, m.Name)
		mappings = append(mappings, config.Mapping{Name: m.Name, KeyPrefix: m.KeyPrefix})
	}
	if queue != "" {
		if !slices.Contains(names, queue) {
			return nil, fmt.Errorf("--queue: %q is not allowed: give a mapping of %s: %s", queue, cache.Name, strings.Join(names, ", "))
		}
		queues = []string{queue}
	}
	if cache.Spec.Redis.Managed != nil {
		r := &rights{}
		if cache.Status.Redis != nil {
			r.Secret = cache.Status.Redis.SecretName
		}
		return r, nil
	}
	return &rights{Rules: acl.Of(string(cache.Spec.Capture), mappings, queues, of)}, nil
}

func (r *rights) print(out io.Writer, cache *v1alpha1.WriteBehindCache) error {
	var err error
	switch {
	case r.Secret != "":
		_, err = fmt.Fprintf(out, "# the Redis of %s is managed: the Secret %s has the user and the password of an application, "+
			"in its keys username and password\n", cache.Name, r.Secret)
	case len(r.Rules) == 0:
		_, err = fmt.Fprintf(out, "# the Redis of %s is managed, and its Secret is not made yet: status.redis.secretName will name it\n", cache.Name)
	}
	if err != nil {
		return err
	}
	return acl.Print(out, r.Rules)
}
