// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/writebehind/operator/internal/command"
	"github.com/writebehind/operator/internal/flusher/audit"
	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/plural"
)

// comparison is what verify and repair are given.
type comparison struct {
	queue, prefix      string
	output             command.Output
	sample             float64
	rate, most         int
	extra, all, dryRun bool
}

const (
	// defaultRate is how many keys are compared in a second: it takes either server a few percent
	// of one processor.
	defaultRate = 1000
	// defaultMost is how many differences are listed.
	defaultMost = 1000
	// progressEvery is how often it is told how far the work has come.
	progressEvery = 5 * time.Second
)

func (c *comparison) bind(flags *pflag.FlagSet) {
	c.output.Bind(flags)
	flags.StringVar(&c.queue, flagQueue, "", "only this queue (a mapping's name)")
	flags.StringVar(&c.prefix, "prefix", "", "only keys that begin with this")
	flags.Float64Var(&c.sample, "sample", 1, "the share of the keys that is compared, picked at random, such as 0.01")
	flags.IntVar(&c.rate, "rate", defaultRate, "how many keys are compared in a second; 0 is as many as the servers answer")
	flags.IntVar(&c.most, "most", defaultMost, "how many differences are listed; all are counted")
}

const onItsWayHelp = `What is dirty, tried again or a dead letter is no difference: a key that seems to
differ is looked at again, and counts only if nothing of it waited and nothing
was written in between.`

func verifyCommand(path *string) *cobra.Command {
	var c comparison
	verify := &cobra.Command{
		Use:   "verify [KEY...] --config FILE",
		Short: "Compare Redis with the tables: keys whose row is missing or different.",
		Long: `Compare Redis with the tables: keys whose row is missing or different.

` + onItsWayHelp + `
With --extra it goes through the tables too, for rows whose key is not in Redis.
These are no fault by themselves: a clean key expires or is evicted, and its row
stays. They are told, never counted as differences, and never deleted.

Progress is told on the standard error. The exit code is 0 when nothing differs,
3 when something does, 1 when the comparison could not be ended, and 2 when the
command line or the config cannot be used.`,
		RunE: func(cmd *cobra.Command, keys []string) error { return c.run(cmd, *path, keys, false) },
	}
	c.bind(verify.Flags())
	verify.Flags().BoolVar(&c.extra, "extra", false, "go through the tables too, for rows whose key is not in Redis")
	return verify
}

func repairCommand(path *string) *cobra.Command {
	var c comparison
	repair := &cobra.Command{
		Use:   "repair (KEY... | --queue NAME | --prefix PREFIX | --all) --config FILE",
		Short: "Have keys flushed again whose row is missing or different.",
		Long: `Have keys flushed again whose row is missing or different: as verify finds them.

Redis is right, and the table becomes as Redis has it. The value is the one that
the key has when it is written, so no newer write is overtaken. A value that can be
no row is left alone, and so is a row whose key is not in Redis: no row is deleted
for that.

` + onItsWayHelp + `

The exit code is 0 when everything that differed is marked dirty, 3 when something
was left or, with --dry-run, differs, 1 when the work could not be ended, and 2
when the command line or the config cannot be used.`,
		RunE: func(cmd *cobra.Command, keys []string) error {
			scoped := c.queue != "" || c.prefix != "" || len(keys) > 0
			switch {
			case !scoped && !c.all:
				return errors.New("repair: without a scope it is not allowed: give keys, --queue or --prefix, or --all to repair every queue")
			case scoped && c.all:
				return errors.New("--all: it is not allowed together with a scope: give one of the two")
			}
			return c.run(cmd, *path, keys, !c.dryRun)
		},
	}
	c.bind(repair.Flags())
	repair.Flags().BoolVar(&c.all, "all", false, "every key of every queue in the config")
	repair.Flags().BoolVar(&c.dryRun, "dry-run", false, "tell what would be marked dirty, and mark nothing")
	return repair
}

// check refuses what cannot be meant.
func (c *comparison) check(flags *pflag.FlagSet, of *config.Config, keys []string) error {
	for _, name := range []string{flagQueue, "prefix"} {
		// An unset variable of a script must not widen what is repaired.
		if flags.Changed(name) && flags.Lookup(name).Value.String() == "" {
			return fmt.Errorf("--%s: \"\" is not allowed: give a value, or leave the flag out", name)
		}
	}
	switch {
	case !(c.sample > 0 && c.sample <= 1):
		return fmt.Errorf("--sample: \"%v\" is not allowed: give more than 0 and at most 1", c.sample)
	case c.rate < 0:
		return fmt.Errorf("--rate: \"%d\" is not allowed: give 0 or more", c.rate)
	case c.most < 0:
		return fmt.Errorf("--most: \"%d\" is not allowed: give 0 or more", c.most)
	case len(keys) > 0 && (c.queue != "" || c.prefix != "" || c.extra || c.sample < 1):
		return errors.New("--queue, --prefix, --sample and --extra: they are not allowed together with keys: give one of the two")
	}
	for _, key := range keys {
		if m := audit.MappingOf(of, key); m == nil || key == m.KeyPrefix {
			return fmt.Errorf("key %q is not allowed: give one that begins with %s, and goes on after that", key, strings.Join(prefixesOf(of.Mappings), ", "))
		}
	}
	return nil
}

func prefixesOf(mappings []config.Mapping) (prefixes []string) {
	for i := range mappings {
		prefixes = append(prefixes, mappings[i].KeyPrefix)
	}
	return prefixes
}

// queues are those that the flags leave.
func (c *comparison) queues(of *config.Config) ([]string, error) {
	var names, queues []string
	for i := range of.Mappings {
		m := &of.Mappings[i]
		names = append(names, m.Name)
		within := c.prefix == "" || strings.HasPrefix(c.prefix, m.KeyPrefix) || strings.HasPrefix(m.KeyPrefix, c.prefix)
		if (c.queue == "" || c.queue == m.Name) && within {
			queues = append(queues, m.Name)
		}
	}
	switch {
	case c.queue != "" && !slices.Contains(names, c.queue):
		return nil, fmt.Errorf("--queue: %q is not allowed: give a mapping of the config: %s", c.queue, strings.Join(names, ", "))
	case len(queues) == 0:
		return nil, fmt.Errorf("--prefix: %q is not allowed: give one that begins with %s", c.prefix, strings.Join(prefixesOf(of.Mappings), ", "))
	}
	return queues, nil
}

// compared is the document of both commands.
type compared struct {
	DryRun bool               `json:"dryRun"`
	Items  []audit.Difference `json:"items"`
	// NotListed is how many differences are beyond --most.
	NotListed int64 `json:"notListed"`
	audit.Summary
	// Ended is false where the work was interrupted, or a server failed.
	Ended bool `json:"ended"`
	// Sample is the share of the keys that was compared.
	Sample float64 `json:"sample"`
}

func (c *comparison) run(cmd *cobra.Command, path string, keys []string, repair bool) error {
	of, err := configFor(path, c.output)
	if err != nil {
		return err
	}
	if err := c.check(cmd.Flags(), of, keys); err != nil {
		return err
	}
	queues, err := c.queues(of)
	if err != nil {
		return err
	}
	a := audit.Open(of)
	defer a.Close()
	out, problems := cmd.OutOrStdout(), cmd.ErrOrStderr()
	done := compared{DryRun: c.dryRun, Items: []audit.Difference{}, Sample: c.sample}
	listed := 0
	scope := audit.Scope{
		Queues: queues, Prefix: c.prefix, Keys: keys, Sample: c.sample, Rate: c.rate, Extra: c.extra, Repair: repair,
		Found: func(d audit.Difference) error {
			if listed++; listed > c.most {
				done.NotListed++
				return nil
			}
			// A reason may quote the value, which only explain and dlq show print.
			d.Reason = ""
			if c.output == command.JSON {
				done.Items = append(done.Items, d)
				return nil
			}
			return printDifference(out, &d)
		},
		Progress: progressTo(problems),
	}
	done.Summary, err = a.Verify(cmd.Context(), scope)
	done.Ended = err == nil
	if shown := c.show(out, &done, repair); shown != nil {
		return shown
	}
	return c.verdict(&done, err, repair)
}

// verdict makes the exit code.
func (c *comparison) verdict(done *compared, err error, repair bool) error {
	switch left := done.Differences() - done.Marked; {
	case errors.Is(err, context.Canceled):
		return command.Failed("interrupted")
	case err != nil:
		return command.Failed("%s", err)
	case repair && left > 0:
		return &command.Exit{Code: command.ExitDifferent, Err: fmt.Errorf("keys that differ: %d, left: %d", done.Differences(), left)}
	case !repair && left > 0:
		return &command.Exit{Code: command.ExitDifferent, Err: fmt.Errorf("keys compared: %d, keys that differ: %d", done.Keys, left)}
	}
	return nil
}

func (c *comparison) show(out io.Writer, done *compared, repair bool) error {
	if c.output == command.JSON {
		return command.Encode(out, done)
	}
	if done.NotListed > 0 {
		fmt.Fprintf(out, "%s not listed (--most)\n", plural.Of(done.NotListed, "more difference is", "more differences are"))
	}
	s := &done.Summary
	line := fmt.Sprintf("keys compared: %d, missing: %d, different: %d, unfit: %d, on their way: %d, dead letters: %d", s.Keys, s.Missing, s.Different, s.Unfit, s.OnItsWay, s.Dead)
	if s.Unsettled > 0 {
		line += fmt.Sprintf(" (not known of %d, to which the stream was not carried)", s.Unsettled)
	}
	if s.Large > 0 {
		line += fmt.Sprintf(", too large to compare: %d", s.Large)
	}
	if s.Gone > 0 {
		line += fmt.Sprintf(", not in Redis: %d", s.Gone)
	}
	if c.sample < 1 {
		line = fmt.Sprintf("a sample of %v of the keys: ", c.sample) + line
	}
	if c.extra {
		line += fmt.Sprintf(", extra: %d", s.Extra)
	}
	if repair {
		line += fmt.Sprintf(", marked dirty: %d", s.Marked)
	}
	_, err := fmt.Fprintln(out, line)
	return err
}

func printDifference(out io.Writer, d *audit.Difference) error {
	line := fmt.Sprintf("%-11s%s", d.Kind, command.Brief(d.Key))
	if len(d.Columns) > 0 {
		line += ": " + command.Escaped(strings.Join(d.Columns, ", "))
	}
	if d.Members > 0 {
		line += fmt.Sprintf(" (members: %d)", d.Members)
	}
	if d.Marked {
		line += " (marked dirty)"
	}
	_, err := fmt.Fprintln(out, line)
	return err
}

// progressTo tells now and then how far the work has come.
func progressTo(problems io.Writer) func(string, *audit.Summary) {
	last := time.Now()
	return func(queue string, s *audit.Summary) {
		if time.Since(last) < progressEvery {
			return
		}
		last = time.Now()
		fmt.Fprintf(problems, "queue %s: keys compared: %d, differences: %d, on their way: %d\n", queue, s.Keys, s.Differences(), s.OnItsWay)
	}
}
