// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package acl says what users of a Redis need, and no more, in commands ready to be run: the
// application, whose rights end at its queues, and the flushers.
package acl

import (
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/journal"
	"github.com/writebehind/operator/internal/flusher/replica"
)

// Rule is the right of one user.
type Rule struct {
	// For is Application or Flushers.
	For string `json:"for"`
	// Queues are those that the user works with.
	Queues []string `json:"queues"`
	// Command makes the user, with the word PASSWORD in place of one.
	Command string `json:"command"`
}

// Users that rules are for.
const (
	Application = "application"
	Flushers    = "flushers"
)

// ofFunctions are the commands that an application runs that calls capture functions: what reads,
// what its client says on a connection, the two calls, and what the functions write, which have
// the rights of their caller.
const ofFunctions = "+@read +@connection +@transaction " + noAdministration +
	" +fcall +fcall_ro +time +set +del +hset +hdel +hincrby +rpush +rpop +zadd +zrem"

// noAdministration takes away what reaches more than keys. @dangerous has FLUSHALL, KEYS, RESTORE, and
// whatever administers, but for FUNCTION. What lists or counts the keys of others has no key itself,
// so that no pattern is in its way.
const noAdministration = "-@dangerous -@admin -function -scan -randomkey -dbsize +info"

// ofReplication are those of one that writes by Redis' own commands. Their keys are checked, those
// of a script too. WAIT is among those of the connection.
const ofReplication = "+@read +@write +@connection +@transaction +eval +evalsha +eval_ro +evalsha_ro +script|load +script|exists " + noAdministration

// Users are what the users are called.
type Users struct{ Application, Flusher string }

// Bind adds the flags.
func (u *Users) Bind(flags *pflag.FlagSet) {
	flags.StringVar(&u.Application, "user", "app", "the name of the application's user")
	flags.StringVar(&u.Flusher, "flusher-user", "writebehind", "the name of the flushers' user")
}

// name is one that stands in a command as it is.
var name = regexp.MustCompile(`^[A-Za-z0-9_.@-]+$`)

// Check refuses names that a command would not take.
func (u *Users) Check() error {
	for _, of := range [][2]string{{"user", u.Application}, {"flusher-user", u.Flusher}} {
		if !name.MatchString(of[1]) {
			return fmt.Errorf("--%s: %q is not allowed: give letters, digits, and any of _ . @ -", of[0], of[1])
		}
	}
	return nil
}

// Of are the rules of the mappings: the application's of those alone that are named as queues, or
// of all where none is, and the flushers', who work with all.
func Of(capture string, mappings []config.Mapping, queues []string, of Users) []Rule {
	var theirs, all, patterns, flusherPatterns []string
	for i := range mappings {
		m := &mappings[i]
		keys := []string{m.KeyPattern()}
		if capture != config.CaptureReplication {
			keys = append(keys, m.JournalPatterns()...)
		}
		all, flusherPatterns = append(all, m.Name), append(flusherPatterns, keys...)
		if len(queues) == 0 || slices.Contains(queues, m.Name) {
			theirs, patterns = append(theirs, m.Name), append(patterns, keys...)
		}
	}
	commands, flusherCommands := ofFunctions, journal.Rights()
	if capture == config.CaptureReplication {
		commands, flusherCommands = ofReplication, replica.Rights()
		flusherPatterns = append(flusherPatterns, "~wb:witness:*")
	} else {
		flusherPatterns = append(flusherPatterns, "~wb:probe", "~wb:queues")
	}
	return []Rule{
		{For: Application, Queues: theirs, Command: command(of.Application, patterns, commands)},
		{For: Flushers, Queues: all, Command: command(of.Flusher, flusherPatterns, flusherCommands)},
	}
}

// command takes away first what the user had before.
func command(user string, patterns []string, commands string) string {
	return "ACL SETUSER " + user + " reset on >PASSWORD " + strings.Join(patterns, " ") + " " + commands
}

// Print writes rules for a person who pastes them.
func Print(out io.Writer, rules []Rule) error {
	for i := range rules {
		r := &rules[i]
		if _, err := fmt.Fprintf(out, "# the %s of %s\n%s\n", r.For, strings.Join(r.Queues, ", "), r.Command); err != nil {
			return err
		}
	}
	return nil
}
