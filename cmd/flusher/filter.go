// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/entry"
)

// filter picks dead letters. A field that is empty lets everything through, but
// only if it was not given: an unset variable of a script must not widen what is
// discarded.
type filter struct {
	queue, key, reason, member string
	// literal takes the key as it is, never as a pattern.
	literal bool
	flags   *pflag.FlagSet
}

const (
	flagQueue  = "queue"
	flagKey    = "key"
	flagReason = "reason"
	flagMember = "member"
)

func (f *filter) bind(cmd *cobra.Command) {
	f.flags = cmd.Flags()
	f.flags.StringVar(&f.queue, flagQueue, "", "only those of this queue (a mapping's name)")
	f.flags.StringVar(&f.key, flagKey, "", "only this key, or those that fit a pattern of *, ? and [a-z]; \\ takes the next character as it is")
	f.bindMember(cmd)
	f.flags.StringVar(&f.reason, flagReason, "", "only those with this cause ("+strings.Join(causes, ", ")+") or SQLSTATE")
}

// bindMember is for a command that has a key of another kind.
func (f *filter) bindMember(cmd *cobra.Command) {
	f.flags = cmd.Flags()
	f.flags.StringVar(&f.member, flagMember, "", "only that of this member of a sorted set, or entry of a stream")
}

// filterFlags are all that pick letters.
var filterFlags = []string{flagQueue, flagKey, flagReason, flagMember}

func (f *filter) given() bool { return slices.ContainsFunc(filterFlags, f.flags.Changed) }

// causes are all that a dead letter may have.
var causes = []string{entry.CauseRefused, entry.CauseNotAKey, entry.CauseNotADocument, entry.CauseValueLost, entry.CauseStale, entry.CauseForged}

var statePattern = regexp.MustCompile(`^[0-9A-Z]{5}$`)

// queues checks the filter against the config and returns the queues that it
// leaves.
func (f *filter) queues(c *config.Config) ([]string, error) {
	if f.flags != nil {
		for _, name := range filterFlags {
			if f.flags.Changed(name) && f.flags.Lookup(name).Value.String() == "" {
				return nil, fmt.Errorf("--%s: \"\" is not allowed: give a value, or leave the flag out", name)
			}
		}
	}
	if f.reason != "" && !slices.Contains(causes, f.reason) && !statePattern.MatchString(f.reason) {
		return nil, fmt.Errorf("--reason: %q is not allowed: give %s or an SQLSTATE such as 23514", f.reason, strings.Join(causes, ", "))
	}
	if f.isPattern() {
		if _, err := path.Match(f.key, ""); err != nil {
			return nil, fmt.Errorf("--key: %q is not allowed: give a key, or a pattern in which every [ has its ] and every \\ a character after it", f.key)
		}
	}
	if f.member != "" && c.Capture != config.CaptureReplication {
		return nil, fmt.Errorf("--member: %q is not allowed: capture %s has one row for a key", f.member, c.Capture)
	}
	var names, prefixes, queues []string
	for i := range c.Mappings {
		m := &c.Mappings[i]
		names = append(names, m.Name)
		if f.queue != "" && m.Name != f.queue {
			continue
		}
		prefixes = append(prefixes, m.KeyPrefix)
		// A key belongs to one queue at most.
		if f.exact() && !strings.HasPrefix(f.key, m.KeyPrefix) {
			continue
		}
		queues = append(queues, m.Name)
	}
	switch {
	case len(prefixes) == 0:
		return nil, fmt.Errorf("--queue: %q is not allowed: give a mapping of the config: %s", f.queue, strings.Join(names, ", "))
	case len(queues) == 0:
		return nil, fmt.Errorf("key %q is not allowed: give one that begins with %s", f.key, strings.Join(prefixes, ", "))
	}
	return queues, nil
}

func (f *filter) isPattern() bool { return !f.literal && strings.ContainsAny(f.key, `*?[\`) }

// exact reports whether one key alone is meant.
func (f *filter) exact() bool { return f.key != "" && !f.isPattern() }

func (f *filter) matches(letter *entry.DeadLetter) bool {
	if f.reason != "" && f.reason != letter.Cause && f.reason != letter.SQLState {
		return false
	}
	if f.member != "" && f.member != letter.Member {
		return false
	}
	if f.exact() {
		return f.key == letter.Key
	}
	return f.key == "" || glob(f.key, letter.Key)
}

// glob is path.Match for keys, in which a slash is a character like any other.
func glob(pattern, key string) bool {
	plain := strings.NewReplacer("/", "\x00")
	matches, err := path.Match(plain.Replace(pattern), plain.Replace(key))
	return err == nil && matches
}
