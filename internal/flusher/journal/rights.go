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

// What Redis says of a right that is missing: of a command, and inside of a function,
// where it gives no code of its own. 7.0 has other words there than all later ones and
// Valkey, and does not name the command.
var (
	refusedInside   = regexp.MustCompile(`^ERR (?:The user executing the script can't |ACL failure in script: )`)
	refusedCommand  = regexp.MustCompile(`run the '([a-z|]+)' command`)
	refusedKey      = regexp.MustCompile(`access (?:a|one of the|at least one of the) keys?\b`)
	refusedFunction = regexp.MustCompile(`script: (wb_[a-z_]+)`)
)

// grant is what a user of Redis needs, in the words of ACL SETUSER. The patterns are empty where
// they are not known.
type grant struct{ user, patterns, rights string }

// lacksRight names what was refused as far as Redis reports it, and gives the user all
// commands that flushers need and no more. Keys it gives only where one was refused: a
// right to every key of a Redis that is shared is more than anybody asked for. An error
// names neither key nor queue, so they are those of all queues of the flusher.
func lacksRight(text string, g grant) config.Check {
	what := ""
	function := refusedFunction.FindStringSubmatch(text)
	command := refusedCommand.FindStringSubmatch(text)
	key := refusedKey.MatchString(text)
	switch {
	case function != nil && key:
		what = " (a key that function " + function[1] + " works with)"
	case function != nil && command != nil:
		what = " (command " + command[1] + ", that function " + function[1] + " runs)"
	case function != nil:
		what = " (a command that function " + function[1] + " runs)"
	case command != nil:
		what = " (command " + command[1] + ")"
	case key:
		what = " (a key)"
	}
	given, doubt := g.rights, ""
	switch {
	case key && g.patterns != "":
		given = g.patterns + " " + g.rights
	case key:
		given = "~* " + g.rights
		doubt = "; if others use this Redis too, give the patterns of docs/security.md#the-flushers-user instead of ~*"
	}
	return config.Check{
		Reason:  cachev1alpha1.ReasonPrivilegeMissing,
		Message: fmt.Sprintf("Redis user %s lacks a right%s: run as an administrator: ACL SETUSER %s %s%s", g.user, what, g.user, given, doubt),
	}
}

// mostPatterns is the longest list of patterns that a message has room for beside the
// commands: a condition's may have 1024 bytes.
const mostPatterns = 450

// patternsOf are the keys that a flusher of the mappings works with, in the words of ACL
// SETUSER; empty where they are too many for a message.
func patternsOf(mappings []config.Mapping) string {
	var given []string
	for i := range mappings {
		m := &mappings[i]
		given = append(append(given, m.KeyPattern()), m.JournalPatterns()...)
	}
	text := strings.Join(append(given, "~wb:probe", "~wb:queues"), " ")
	if len(text) > mostPatterns {
		return ""
	}
	return text
}

// rights are the commands that flushers run, in the words of ACL SETUSER.
var rights = rightsFor(library)

func rightsFor(source string) string {
	given := []string{"+info", "+function|load", "+function|list", "+fcall", "+fcall_ro"}
	for _, command := range commandsOf(source) {
		given = append(given, "+"+strings.ToLower(command))
	}
	return strings.Join(given, " ")
}

// libraryCommands are the commands that functions run.
var libraryCommands = strings.Join(commandsOf(library), ", ")

// commandsOf finds them in the order of the source. It runs whenever a program starts, hence
// without a regular expression: that takes a hundred times as long.
func commandsOf(source string) []string {
	var commands []string
	runs := func(before string) bool {
		return slices.ContainsFunc([]string{"redis.call", "redis.pcall", "in_chunks"}, func(word string) bool { return strings.HasSuffix(before, word) })
	}
	parts := strings.Split(source, "('")
	for i, part := range parts[1:] {
		command, _, _ := strings.Cut(part, "'")
		isCommand := command != "" && strings.Trim(command, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
		if isCommand && runs(parts[i]) && !slices.Contains(commands, command) {
			commands = append(commands, command)
		}
	}
	return commands
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
