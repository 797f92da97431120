// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"

	cachev1alpha1 "github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/config"
)

// What Redis says of a right that is missing, of a command and inside of a function.
var (
	refusedCommand  = regexp.MustCompile(`run the '([a-z|]+)' command`)
	refusedFunction = regexp.MustCompile(`script: (wb_[a-z_]+)`)
)

// lacksRight names what was refused as far as Redis tells, and gives the user all
// that flushers need.
func lacksRight(text, user string) config.Check {
	what := ""
	function := refusedFunction.FindStringSubmatch(text)
	command := refusedCommand.FindStringSubmatch(text)
	keys := strings.Contains(text, "keys")
	switch {
	case function != nil && keys:
		what = " (a key that function " + function[1] + " works with)"
	case function != nil:
		what = " (a command that function " + function[1] + " runs)"
	case command != nil:
		what = " (command " + command[1] + ")"
	case keys:
		what = " (a key)"
	}
	return config.Check{
		Reason:  cachev1alpha1.ReasonPrivilegeMissing,
		Message: fmt.Sprintf("Redis user %s lacks a right%s: run as an administrator: ACL SETUSER %s ~* %s", user, what, user, rights),
	}
}

// rights are the commands that flushers run, in the words of ACL SETUSER.
var rights = rightsFor(library)

func rightsFor(source string) string {
	given := []string{"+info", "+function|load", "+function|list", "+fcall", "+fcall_ro"}
	for _, match := range regexp.MustCompile(`(?:redis\.p?call|in_chunks)\('([A-Z]+)'`).FindAllStringSubmatch(source, -1) {
		if right := "+" + strings.ToLower(match[1]); !slices.Contains(given, right) {
			given = append(given, right)
		}
	}
	return strings.Join(given, " ")
}

var plainUser = regexp.MustCompile(`^[A-Za-z0-9_.@-]+$`)

// user is what ACL SETUSER calls the user that the flusher logs in as.
func (j *Journal) user() string {
	client, ok := j.rdb.(interface{ Options() *redis.Options })
	if !ok {
		return "name"
	}
	name := client.Options().Username
	if provider := client.Options().CredentialsProviderContext; provider != nil {
		name, _, _ = provider(context.Background())
	}
	switch {
	case name == "":
		return "default"
	case !plainUser.MatchString(name):
		return "name"
	}
	return name
}
