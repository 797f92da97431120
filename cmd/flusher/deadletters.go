// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/writebehind/operator/internal/command"
	"github.com/writebehind/operator/internal/flusher/audit"
	"github.com/writebehind/operator/internal/flusher/entry"
)

// deadLettersCommand is dlq with its subcommands. They talk to the one server that
// keeps the letters of the config, and run beside the flushers.
func deadLettersCommand(path *string) *cobra.Command {
	var output command.Output
	dlq := &cobra.Command{
		Use:   "dlq",
		Short: "Show, replay or discard dead letters: entries that could not be flushed.",
		Long: `Show, replay or discard dead letters: entries that could not be flushed.

list, replay and discard print keys, reasons and the names of constraints and
columns; only show prints a payload and PostgreSQL's full text.`,
		RunE: func(_ *cobra.Command, args []string) error {
			return fmt.Errorf("dlq: %q is not allowed: give list, show, replay or discard", strings.Join(args, " "))
		},
	}
	output.Bind(dlq.PersistentFlags())
	prepare := func(cmd *cobra.Command, f filter) (*desk, error) {
		return newDesk(cmd, *path, output, f)
	}
	dlq.AddCommand(
		listCommand(prepare), showCommand(prepare),
		actCommand(prepare, &replaying, "Write the payloads of dead letters again, unless the key has a newer write."),
		actCommand(prepare, &discarding, "Remove dead letters without writing them."),
	)
	return dlq
}

type preparation func(*cobra.Command, filter) (*desk, error)

func listCommand(prepare preparation) *cobra.Command {
	var f filter
	list := &cobra.Command{
		Use:   "list --config FILE",
		Short: "List dead letters, without any value.",
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			d, err := prepare(cmd, f)
			if err != nil {
				return err
			}
			defer d.close()
			return d.list(cmd.Context())
		},
	}
	f.bind(list)
	return list
}

func showCommand(prepare preparation) *cobra.Command {
	var f filter
	show := &cobra.Command{
		Use:   "show KEY [--member MEMBER] --config FILE",
		Short: "Print one dead letter in full, with its payload and PostgreSQL's full text.",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 || args[0] == "" {
				return fmt.Errorf("show: %q is not allowed: give one key", strings.Join(args, " "))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			f.key, f.literal = args[0], true
			d, err := prepare(cmd, f)
			if err != nil {
				return err
			}
			defer d.close()
			return d.show(cmd.Context())
		},
	}
	f.bindMember(show)
	return show
}

func actCommand(prepare preparation, a *action, short string) *cobra.Command {
	var f filter
	var all, dryRun bool
	act := &cobra.Command{
		Use:   a.name + " (--queue NAME | --key KEY | --reason REASON | --all)... --config FILE",
		Short: short,
		Long: short + `

A letter that is superseded (its key has a newer write) or gone (replayed,
discarded or replaced meanwhile) is not changed. It is reported as such, and the
command does not fail.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case !f.given() && !all:
				return fmt.Errorf("%s: without a filter it is not allowed: give --queue, --key or --reason, or --all to %s every dead letter", a.name, a.name)
			case f.given() && all:
				return errors.New("--all: it is not allowed together with a filter: give one of the two")
			}
			d, err := prepare(cmd, f)
			if err != nil {
				return err
			}
			defer d.close()
			return d.act(cmd.Context(), a, dryRun)
		},
	}
	f.bind(act)
	act.Flags().BoolVar(&all, "all", false, "every dead letter of every queue in the config")
	act.Flags().BoolVar(&dryRun, "dry-run", false, "report what would be done, and do nothing")
	return act
}

func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("%q is not allowed: %s takes no arguments, only flags", args[0], cmd.Name())
	}
	return nil
}

// desk is where one subcommand works: where the letters are, and what it is to deal with.
type desk struct {
	shelf  shelf
	queues []string
	filter filter
	report report
}

func newDesk(cmd *cobra.Command, path string, output command.Output, f filter) (*desk, error) {
	c, err := configFor(path, output)
	if err != nil {
		return nil, err
	}
	queues, err := f.queues(c)
	if err != nil {
		return nil, err
	}
	d := &desk{shelf: shelfOf(c), queues: queues, filter: f}
	d.report = report{out: cmd.OutOrStdout(), problems: cmd.ErrOrStderr(), json: output == command.JSON}
	return d, nil
}

func (d *desk) close() { d.shelf.close() }

// each calls with for every letter that the filter lets through. A queue that is
// not there, or whose letters cannot be read, is told at the end, after all others.
func (d *desk) each(ctx context.Context, with func(queue string, letter *entry.DeadLetter) error) error {
	var missing, broken []string
	for _, queue := range d.queues {
		err := d.eachOf(ctx, queue, with)
		if errors.Is(err, entry.ErrNoQueue) {
			missing = append(missing, queue)
			continue
		}
		if b, ok := errors.AsType[*brokenQueue](err); ok {
			broken = append(broken, b.text)
			continue
		}
		if err != nil {
			return err
		}
	}
	if len(missing) > 0 {
		broken = append(broken, fmt.Sprintf("queue %s is not in this %s: no flusher has opened it here yet", strings.Join(missing, ", "), d.shelf.server()))
	}
	if len(broken) > 0 {
		return command.Failed("%s", strings.Join(broken, "; "))
	}
	return nil
}

// brokenQueue says that the letters of one queue cannot be read, and perhaps those of the others.
type brokenQueue struct{ text string }

func (b *brokenQueue) Error() string { return b.text }

func (d *desk) eachOf(ctx context.Context, queue string, with func(string, *entry.DeadLetter) error) error {
	for letter, err := range d.shelf.letters(ctx, queue, &d.filter) {
		if errors.Is(err, entry.ErrNoQueue) {
			return err
		}
		if err != nil && !lasting(d.shelf, err) {
			return &brokenQueue{explain(d.shelf, err)}
		}
		if err != nil {
			return command.Failed("%s", explain(d.shelf, err))
		}
		if !d.filter.matches(letter) {
			continue
		}
		if err := with(queue, letter); err != nil {
			return err
		}
	}
	return nil
}

func (d *desk) list(ctx context.Context) error {
	var rows []row
	err := d.each(ctx, func(queue string, letter *entry.DeadLetter) error {
		rows = append(rows, rowOf(queue, letter))
		return nil
	})
	if _, interrupted := errors.AsType[*command.Exit](err); interrupted && len(rows) == 0 {
		return err
	}
	slices.SortFunc(rows, func(a, b row) int {
		if a.Queue != b.Queue {
			return slices.Index(d.queues, a.Queue) - slices.Index(d.queues, b.Queue)
		}
		return cmp.Or(strings.Compare(a.Key, b.Key), strings.Compare(a.Member, b.Member))
	})
	if shown := d.report.rows(rows, d.filter.given()); shown != nil {
		return shown
	}
	return err
}

func (d *desk) show(ctx context.Context) error {
	var found *entry.DeadLetter
	var of string
	members := 0
	if err := d.each(ctx, func(queue string, letter *entry.DeadLetter) error {
		if letter.Member != "" {
			members++
		}
		// That of the key itself is the one that is meant where no member is named.
		if found == nil || letter.Member == "" {
			found, of = letter, queue
		}
		return nil
	}); err != nil {
		return err
	}
	switch {
	case found == nil:
		return d.noLetter()
	case found.Member != "" && members > 1:
		return command.Failed("key %q of queue %s has dead letters of %d members: give --member, such as %q", d.filter.key, of, members, found.Member)
	}
	return d.report.whole(wholeOf(of, found))
}

func (d *desk) noLetter() error {
	what := fmt.Sprintf("key %q", d.filter.key)
	if d.filter.member != "" {
		what = fmt.Sprintf("member %q of ", d.filter.member) + what
	}
	return command.Failed("%s of queue %s has no dead letter", what, strings.Join(d.queues, ", "))
}

// action is what is done to one letter after the other.
type action struct {
	// name and done are its words, participle is what became of a letter for a person.
	name, done, participle string
	// after is what a person has to know when it was done.
	after string
	// do returns the new version, where there is one.
	do func(ctx context.Context, s shelf, queue string, letter *entry.DeadLetter) (int64, error)
}

// refuses reports whether it is known before that the letter cannot be replayed.
func (a *action) refuses(letter *entry.DeadLetter) bool {
	return a.name == replaying.name && letter.Cause == entry.CauseForged
}

// forgedRemedy is said of a letter that no function of the journal has written.
const forgedRemedy = "cannot be replayed, discard it"

var replaying = action{
	name: "replay", done: "replayed", participle: "written anew",
	after: "dlq list shows shortly which rows are refused again",
	do: func(ctx context.Context, s shelf, queue string, letter *entry.DeadLetter) (int64, error) {
		return s.replay(ctx, queue, letter)
	},
}

var discarding = action{
	name: "discard", done: "discarded", participle: "discarded",
	do: func(ctx context.Context, s shelf, queue string, letter *entry.DeadLetter) (int64, error) {
		return 0, s.discard(ctx, queue, letter)
	},
}

func (d *desk) act(ctx context.Context, a *action, dryRun bool) error {
	done := &results{report: &d.report, action: a, DryRun: dryRun, Items: []result{}}
	err := d.each(ctx, func(queue string, letter *entry.DeadLetter) error {
		o := result{
			Key: letter.Key, KeyBase64: audit.Bytes(letter.Key), Member: letter.Member, MemberBase64: audit.Bytes(letter.Member),
			Queue: queue, Result: "would-" + a.name,
		}
		if dryRun {
			if a.refuses(letter) {
				o.Result, o.Error = resultForged, forgedRemedy
			}
			return done.add(o)
		}
		version, err := a.do(ctx, d.shelf, queue, letter)
		switch {
		case err == nil:
			o.Result, o.Version = a.done, version
		case errors.Is(err, entry.ErrSuperseded):
			o.Result = resultSuperseded
		case errors.Is(err, entry.ErrForged):
			o.Result, o.Error = resultForged, forgedRemedy
		case errors.Is(err, entry.ErrNoLetter):
			o.Result = resultGone
		case lasting(d.shelf, err):
			return command.Failed("%s %s: %s", a.name, command.Quoted(letter.Key), explain(d.shelf, err))
		default:
			o.Result, o.Error = resultFailed, explain(d.shelf, err)
		}
		return done.add(o)
	})
	if shown := done.close(); shown != nil {
		return shown
	}
	switch {
	case err != nil:
		return err
	case done.Failed > 0:
		return command.Failed("%d of %d could not be %s", done.Failed, done.count, a.done)
	case done.count == 0 && d.filter.exact():
		return d.noLetter()
	}
	return nil
}
