// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/base64"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/writebehind/operator/internal/command"
	"github.com/writebehind/operator/internal/flusher/audit"
	"github.com/writebehind/operator/internal/flusher/config"
)

// explainCommand answers a person whose write did not arrive.
func explainCommand(path *string) *cobra.Command {
	var output command.Output
	var whole bool
	explain := &cobra.Command{
		Use:   "explain KEY --config FILE",
		Short: "Tell all of one key: what waits of it, Redis and its row side by side, and what happens next.",
		Long: `Tell all of one key: its queue and partition and who holds that, whether it is
clean, dirty, tried again or a dead letter, the value in Redis and the row in
PostgreSQL side by side, and what happens next.

It prints values, and changes nothing but, with capture Replication, a count in
a key of the flushers' own, which moves the stream on.
The exit code is 0 when all was told, and 1 when no mapping takes the key or a
server could not be asked: what the other one knows is told all the same.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 || args[0] == "" {
				return fmt.Errorf("explain: %q is not allowed: give one key", strings.Join(args, " "))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := configFor(*path, output)
			if err != nil {
				return err
			}
			a := audit.Open(c)
			defer a.Close()
			e := a.Explain(cmd.Context(), args[0], whole)
			if output == command.JSON {
				err = command.Encode(cmd.OutOrStdout(), e)
			} else {
				err = printExplanation(cmd.OutOrStdout(), e, whole)
			}
			switch {
			case err != nil:
				return err
			case e.State == audit.StateNoMapping:
				return command.Failed("no mapping takes %s", command.Brief(e.Key))
			case len(e.Problems) > 0:
				return command.Failed("not all could be told of %s: see the problems", command.Brief(e.Key))
			}
			return nil
		},
	}
	output.Bind(explain.Flags())
	explain.Flags().BoolVar(&whole, "whole", false, "print values and lists of members in full, however long")
	return explain
}

// configFor reads the config of a command that prints in a form.
func configFor(path string, output command.Output) (*config.Config, error) {
	path, err := chosen(path)
	if err != nil {
		return nil, err
	}
	if err := output.Check(); err != nil {
		return nil, err
	}
	return config.Read(path)
}

// longestValue is how many bytes of a value stand in the table, unless it is asked for whole.
const longestValue = 120

func printExplanation(out io.Writer, e *audit.Explanation, whole bool) error {
	// Much of it is from the servers, whose users may have written anything there.
	line := func(name, text string) { fmt.Fprintf(out, "%-13s%s\n", name+":", command.Escaped(text)) }
	line("Key", command.Quoted(e.Key))
	if e.Queue != "" {
		line("Queue", fmt.Sprintf("%s (prefix %s, table %s, encoding %s, capture %s)", e.Queue, command.Quoted(e.KeyPrefix), e.Table, e.Encoding, e.Capture))
	}
	if e.Partition != nil {
		line("Partition", strconv.Itoa(*e.Partition)+heldBy(e.Holder))
	}
	line("State", stateText(e))
	if e.Refuses != "" {
		line("Writes", "refused with "+e.Refuses)
	}
	if v := e.Versions; v != nil {
		text := fmt.Sprintf("committed in the partition up to %d", v.Committed)
		if v.Pending > 0 {
			text = fmt.Sprintf("pending %d, first that may be missing %d, ", v.Pending, v.First) + text
		}
		line("Versions", text)
	}
	if s := e.Stream; s != nil {
		text := fmt.Sprintf("carried to offset %d, the key was read at %d", s.Carried, s.Redis)
		if !s.SameHistory {
			text += " of another history: the keys are read again"
		}
		line("Stream", text)
	}
	for i := range e.Letters {
		line("Dead letter", letterText(&e.Letters[i]))
	}
	if e.State != audit.StateNoMapping { // then it was not looked at
		line("Redis", heldText(&e.Redis, whole))
	}
	if err := printRows(out, e, whole); err != nil {
		return err
	}
	for _, problem := range e.Problems {
		line("Problem", problem)
	}
	line("Next", e.Next)
	return nil
}

func heldBy(h *audit.Holder) string {
	switch {
	case h == nil:
		return ", held by no flusher"
	case !h.Runs:
		return fmt.Sprintf(", held by no flusher: the lease of %s ran out at %s", command.Quoted(h.Flusher), second(h.Until))
	}
	return fmt.Sprintf(", held by flusher %s (epoch %d)", command.Quoted(h.Flusher), h.Epoch)
}

func stateText(e *audit.Explanation) string {
	text := map[string]string{
		audit.StateNoMapping: "no mapping takes it",
		audit.StateClean:     "clean: nothing of it waits",
		audit.StateDirty:     "dirty: it waits to be flushed",
		audit.StateWaiting:   "waiting: the database refused it, and it is tried again",
		audit.StateDead:      "dead: it is set aside as a dead letter",
		audit.StateOnItsWay:  "on its way: the stream was not carried to it yet",
		audit.StateUnknown:   "not known: see the problems",
	}[e.State]
	if e.DirtySince != nil {
		text += fmt.Sprintf(", since %s (%s)", second(*e.DirtySince), ago(*e.DirtySince))
	}
	if e.Writes > 1 {
		text += fmt.Sprintf(", writes: %d", e.Writes)
	}
	if e.Attempts > 0 && e.Refused != nil {
		text += fmt.Sprintf(", attempts: %d, first refused %s", e.Attempts, second(*e.Refused))
	}
	if e.State != audit.StateDead && len(e.Letters) > 0 {
		text += "; an earlier write of it is a dead letter"
	}
	return text
}

func ago(t time.Time) string { return time.Since(t).Round(time.Second).String() + " ago" }

func letterText(l *audit.Letter) string {
	parts := []string{command.Quoted(l.Cause)}
	for _, part := range [][2]string{{"member", l.Member}, {"SQLSTATE", l.SQLState}, {"constraint", l.Constraint}, {"column", l.Column}} {
		if part[1] != "" {
			parts = append(parts, part[0]+" "+command.Brief(part[1]))
		}
	}
	return strings.Join(parts, ", ") + fmt.Sprintf(", attempts: %d, last %s", l.Attempts, second(l.LastFailure))
}

func heldText(h *audit.Held, whole bool) string {
	switch {
	case !h.Asked:
		return "not known: see the problems"
	case !h.There:
		return "the key is not there"
	}
	text := h.Type
	if h.Members != nil {
		text += fmt.Sprintf(", members: %d", *h.Members)
	}
	if h.ExpiresInSeconds != nil {
		text += fmt.Sprintf(", expires in %v", (time.Duration(*h.ExpiresInSeconds) * time.Second).String())
	}
	switch {
	case h.Value != nil:
		text += ": " + valueText(h.Value, whole)
	case h.ValueBase64 != nil:
		encoded := base64.StdEncoding.EncodeToString(h.ValueBase64)
		text += " (not UTF-8, in base64): " + valueText(&encoded, whole)
	}
	return text
}

// What stands for NULL, and for what is not there. A value that has such a text is quoted.
const (
	textNull = "NULL"
	textNone = "-"
)

// valueText is a value in one line, and in one cell. A long one is cut, and its length shown.
func valueText(value *string, whole bool) string {
	switch {
	case value == nil:
		return textNull
	case *value == "", *value == textNull, *value == textNone:
		return strconv.Quote(*value)
	case whole || len(*value) <= longestValue:
		return command.Escaped(*value)
	}
	return command.Escaped(strings.ToValidUTF8((*value)[:longestValue], "")) + fmt.Sprintf("... (%d bytes: --whole)", len(*value))
}

func printRows(out io.Writer, e *audit.Explanation, whole bool) error {
	for i := range e.Rows {
		r := &e.Rows[i]
		fmt.Fprintf(out, "%-13s%s\n", "Row:", rowText(r))
		if r.Unfit != "" {
			fmt.Fprintf(out, "  the value can be no row: %s\n", valueText(&r.Unfit, whole))
		}
		if !r.There && !r.InRedis || len(r.Columns) == 0 {
			continue
		}
		table := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
		fmt.Fprintln(table, "  COLUMN\tREDIS\tPOSTGRESQL\t")
		for j := range r.Columns {
			c := &r.Columns[j]
			redis, row, mark := textNone, textNone, ""
			if c.Given {
				redis = valueText(c.Redis, whole)
			}
			if r.There {
				row = valueText(c.Row, whole)
			}
			if c.Given && !c.Same && r.InRedis {
				mark = "differs"
			}
			fmt.Fprintf(table, "  %s\t%s\t%s\t%s\n", command.Quoted(c.Name), redis, row, mark)
		}
		if err := table.Flush(); err != nil {
			return err
		}
	}
	if e.Beyond > 0 {
		fmt.Fprintf(out, "%-13s%d more (--whole)\n", "Rows:", e.Beyond)
	}
	return nil
}

func rowText(r *audit.Row) string {
	text := "is there"
	switch {
	case !r.There && r.InRedis:
		text = "is missing"
	case !r.There:
		text = "is not there"
	case !r.InRedis && r.Differs:
		text = "is there, and Redis does not have it"
	case r.Differs:
		text = "differs"
	case r.InRedis:
		text = "is as Redis has it"
	}
	if r.Member != "" {
		text = "of " + command.Brief(r.Member) + " " + text
	}
	if r.Version != nil {
		text += fmt.Sprintf(" (version %d)", *r.Version)
	}
	return text
}
