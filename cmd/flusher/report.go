// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/base64"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/writebehind/operator/internal/command"
	"github.com/writebehind/operator/internal/flusher/audit"
	"github.com/writebehind/operator/internal/flusher/entry"
)

// Results of an action besides its own.
const (
	resultSuperseded = "superseded"
	resultGone       = "gone"
	resultFailed     = "failed"
	resultForged     = "forged"
)

// report prints for a person or for a script.
type report struct {
	out, problems io.Writer
	json          bool
}

// row is the part of a dead letter that every command shows.
type row struct {
	Key       string `json:"key"`
	KeyBase64 []byte `json:"keyBase64,omitempty"`
	Queue     string `json:"queue"`
	audit.Letter
}

func rowOf(queue string, l *entry.DeadLetter) row {
	return row{Key: l.Key, KeyBase64: audit.Bytes(l.Key), Queue: queue, Letter: audit.LetterOf(l)}
}

// rows prints the letters that a filter, if one is given, has let through.
func (r *report) rows(rows []row, filtered bool) error {
	if r.json {
		if rows == nil {
			rows = []row{}
		}
		return command.Encode(r.out, rows)
	}
	if len(rows) == 0 {
		text := "There are no dead letters."
		if filtered {
			text = "There are no such dead letters."
		}
		fmt.Fprintln(r.problems, text)
		return nil
	}
	// Most letters are of keys that are a row each.
	member := func(string) string { return "" }
	if slices.ContainsFunc(rows, func(l row) bool { return l.Member != "" }) {
		member = func(text string) string { return "\t" + text }
	}
	table := tabwriter.NewWriter(r.out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "KEY"+member("MEMBER")+"\tQUEUE\tCAUSE\tSQLSTATE\tCONSTRAINT\tCOLUMN\tATTEMPTS\tFIRST\tLAST")
	for _, l := range rows {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%d\t%s\t%s\n", command.Brief(l.Key)+member(command.Brief(l.Member)), l.Queue, command.Quoted(l.Cause), command.Quoted(l.SQLState),
			command.Quoted(l.Constraint), command.Quoted(l.Column), l.Attempts, second(l.FirstFailure), second(l.LastFailure))
	}
	return table.Flush()
}

// second is a time, which a letter that somebody has planted may lack.
func second(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format(time.RFC3339)
}

// whole is a dead letter with the values in it. A payload that is not UTF-8 is
// given in base64.
type whole struct {
	row
	Message       string `json:"message"`
	Payload       string `json:"payload,omitempty"`
	PayloadBase64 []byte `json:"payloadBase64,omitempty"`
}

func wholeOf(queue string, l *entry.DeadLetter) whole {
	w := whole{row: rowOf(queue, l), Message: l.Message, Payload: l.Payload, PayloadBase64: audit.Bytes(l.Payload)}
	if w.PayloadBase64 != nil {
		w.Payload = ""
	}
	return w
}

func (r *report) whole(l whole) error {
	if r.json {
		return command.Encode(r.out, l)
	}
	for _, line := range [][2]string{
		{"Key", command.Quoted(l.Key)},
		{"Member", command.Quoted(l.Member)},
		{"Queue", l.Queue},
		{"Cause", command.Quoted(l.Cause)},
		{"SQLSTATE", command.Quoted(l.SQLState)},
		{"Constraint", command.Quoted(l.Constraint)},
		{"Column", command.Quoted(l.Column)},
		{"Operation", command.Quoted(l.Operation)},
		{"Version", strconv.FormatInt(l.Version, 10)},
		{"Attempts", strconv.Itoa(l.Attempts)},
		{"First", second(l.FirstFailure)},
		{"Last", second(l.LastFailure)},
	} {
		if line[0] == "Member" && l.Member == "" {
			continue
		}
		fmt.Fprintf(r.out, "%-12s%s\n", line[0]+":", line[1])
	}
	fmt.Fprintf(r.out, "Message:\n%s", indented(l.Message))
	switch {
	case l.PayloadBase64 != nil:
		_, err := fmt.Fprintf(r.out, "Payload (not UTF-8, in base64):\n%s", indented(base64.StdEncoding.EncodeToString(l.PayloadBase64)))
		return err
	case l.Payload == "":
		_, err := fmt.Fprintln(r.out, "Payload:    -")
		return err
	default:
		_, err := fmt.Fprintf(r.out, "Payload:\n%s", indented(l.Payload))
		return err
	}
}

// indented shows text line by line; what a terminal would obey is escaped.
func indented(text string) string {
	var lines strings.Builder
	for line := range strings.Lines(text) {
		lines.WriteString("  ")
		for _, c := range strings.TrimRight(line, "\n") {
			if c == '\t' || unicode.IsPrint(c) {
				lines.WriteRune(c)
				continue
			}
			lines.WriteString(strings.Trim(strconv.QuoteRune(c), "'"))
		}
		lines.WriteString("\n")
	}
	return lines.String()
}

// outcome is what became of one letter.
type result struct {
	Key          string `json:"key"`
	KeyBase64    []byte `json:"keyBase64,omitempty"`
	Member       string `json:"member,omitempty"`
	MemberBase64 []byte `json:"memberBase64,omitempty"`
	Queue        string `json:"queue"`
	Result       string `json:"result"`
	Version      int64  `json:"version,omitempty"`
	Error        string `json:"error,omitempty"`
}

// outcomes counts them, and prints each at once for a person.
type results struct {
	report *report
	action *action
	count  int

	DryRun     bool     `json:"dryRun"`
	Items      []result `json:"items"`
	Done       int      `json:"done"`
	Superseded int      `json:"superseded"`
	Gone       int      `json:"gone"`
	Failed     int      `json:"failed"`
}

func (s *results) add(o result) error {
	s.count++
	switch o.Result {
	case resultSuperseded:
		s.Superseded++
	case resultGone:
		s.Gone++
	case resultFailed, resultForged:
		s.Failed++
	case s.action.done:
		s.Done++
	}
	if s.report.json {
		s.Items = append(s.Items, o)
		return nil
	}
	said := o.Result
	if said == s.action.done {
		said = s.action.participle
	}
	line := fmt.Sprintf("%-14s%s", said, command.Brief(o.Key))
	if o.Member != "" {
		line += " " + command.Brief(o.Member)
	}
	if o.Error != "" {
		text := o.Error
		if o.Key != "" {
			text = strings.ReplaceAll(text, o.Key, command.Brief(o.Key))
		}
		line += ": " + command.Escaped(text)
	}
	_, err := fmt.Fprintln(s.report.out, line)
	return err
}

func (s *results) close() error {
	if s.report.json {
		return command.Encode(s.report.out, s)
	}
	line := fmt.Sprintf("%d %s, %d superseded, %d gone, %d failed", s.Done, s.action.participle, s.Superseded, s.Gone, s.Failed)
	if s.Done > 0 && s.action.after != "" {
		line += ": " + s.action.after
	}
	if s.DryRun {
		line = fmt.Sprintf("%d would be %s", s.count-s.Failed, s.action.done)
	}
	_, err := fmt.Fprintln(s.report.out, line)
	return err
}
