// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package acl says what users of a Redis need, and no more, in commands ready to be run: the
// application, whose rights end at its queues, and the flushers.
package acl

import (
	"slices"
	"strings"

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

// ofFunctions are the commands that an application runs that calls capture functions: the two
// calls, GET, and what the functions run, which have the rights of their caller.
const ofFunctions = "+fcall +fcall_ro +get +set +del +type +time +hget +hset +hexists +hmget +hdel +hincrby +hlen +llen +lindex +rpush +rpop " +
	"+zadd +zrem +zcard +zrange +zscore"

// ofReplication are those of one that writes by Redis' own commands. Their keys are checked, those
// of a script too. What lists or counts the keys of others has none, and is left out; @dangerous
// has FLUSHALL, KEYS, RESTORE, and whatever administers, but for FUNCTION. WAIT is among those of the connection.
const ofReplication = "+@read +@write +@connection +@transaction +eval +evalsha +eval_ro +evalsha_ro +script|load +script|exists " +
	"-@dangerous -@admin -function -scan -randomkey -dbsize +info"

// Of are the rules of the mappings: the application's of those alone that are named as queues, or
// of all where none is, and the flushers', who work with all.
func Of(capture string, mappings []config.Mapping, queues []string, application, flusher string) []Rule {
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
		{For: Application, Queues: theirs, Command: command(application, patterns, commands)},
		{For: Flushers, Queues: all, Command: command(flusher, flusherPatterns, flusherCommands)},
	}
}

// command takes away first what the user had before.
func command(user string, patterns []string, commands string) string {
	return "ACL SETUSER " + user + " reset on >PASSWORD " + strings.Join(patterns, " ") + " " + commands
}
