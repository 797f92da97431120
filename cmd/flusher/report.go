// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/writebehind/operator/internal/flusher/entry"
)

// Forms of output.
const (
	outputTable = "table"
	outputJSON  = "json"
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

func (r *report) encode(document any) error {
	encoder := json.NewEncoder(r.out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(document)
}

// row is the part of a dead letter that every command shows: no payload, and not PostgreSQL's
// text, which quotes row values.
type row struct {
	Key          string    `json:"key"`
	Member       string    `json:"member,omitempty"`
	Queue        string    `json:"queue"`
	Cause        string    `json:"cause"`
	SQLState     string    `json:"sqlstate,omitempty"`
	Constraint   string    `json:"constraint,omitempty"`
	Column       string    `json:"column,omitempty"`
	Operation    string    `json:"operation"`
	Version      int64     `json:"version"`
	Attempts     int       `json:"attempts"`
	FirstFailure time.Time `json:"firstFailure"`
	LastFailure  time.Time `json:"lastFailure"`
}

func rowOf(queue string, l *entry.DeadLetter) row {
	return row{
		Key: l.Key, Member: l.Member, Queue: queue, Cause: l.Cause, SQLState: l.SQLState, Constraint: l.Constraint, Column: l.Column,
		Operation: l.Operation, Version: l.Version, Attempts: l.Attempts, FirstFailure: l.FirstFailure, LastFailure: l.LastFailure,
	}
}

// rows prints the letters that a filter, if one is given, has let through.
func (r *report) rows(rows []row, filtered bool) error {
	if r.json {
		if rows == nil {
			rows = []row{}
		}
		return r.encode(rows)
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
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%d\t%s\t%s\n", brief(l.Key)+member(brief(l.Member)), l.Queue, quoted(l.Cause), quoted(l.SQLState),
			quoted(l.Constraint), quoted(l.Column), l.Attempts, second(l.FirstFailure), second(l.LastFailure))
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

// quoted makes one cell of a table of any text: a key may hold spaces, or what a
// terminal would obey.
func quoted(text string) string {
	if text == "" {
		return "-"
	}
	if !utf8.ValidString(text) || strings.ContainsFunc(text, func(c rune) bool { return c == ' ' || c == '"' || !unicode.IsPrint(c) }) {
		return strconv.Quote(text)
	}
	return text
}

// longestCell is how many bytes of a key stand in a table: one of 8 kB would push every
// other column out of sight.
const longestCell = 100

// brief is a key's cell in a table or a line. A long key is cut, and its length shown;
// show and -o json have it whole, and --key takes its beginning and a star.
func brief(key string) string {
	if len(key) <= longestCell {
		return quoted(key)
	}
	end := longestCell
	for end > longestCell-utf8.UTFMax && !utf8.RuneStart(key[end]) {
		end--
	}
	return fmt.Sprintf("%s... (%d bytes)", quoted(key[:end]), len(key))
}

// whole is a dead letter with the values in it. A payload that is not UTF-8 is
// given in base64.
type whole struct {
	row
	Message       string `json:"message"`
	Payload       string `json:"payload,omitempty"`
	PayloadBase64 string `json:"payloadBase64,omitempty"`
}

func wholeOf(queue string, l *entry.DeadLetter) whole {
	w := whole{row: rowOf(queue, l), Message: l.Message, Payload: l.Payload}
	if !utf8.ValidString(l.Payload) {
		w.Payload, w.PayloadBase64 = "", base64.StdEncoding.EncodeToString([]byte(l.Payload))
	}
	return w
}

func (r *report) whole(l whole) error {
	if r.json {
		return r.encode(l)
	}
	for _, line := range [][2]string{
		{"Key", quoted(l.Key)},
		{"Member", quoted(l.Member)},
		{"Queue", l.Queue},
		{"Cause", quoted(l.Cause)},
		{"SQLSTATE", quoted(l.SQLState)},
		{"Constraint", quoted(l.Constraint)},
		{"Column", quoted(l.Column)},
		{"Operation", quoted(l.Operation)},
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
	case l.PayloadBase64 != "":
		_, err := fmt.Fprintf(r.out, "Payload (not UTF-8, in base64):\n%s", indented(l.PayloadBase64))
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
	Key     string `json:"key"`
	Member  string `json:"member,omitempty"`
	Queue   string `json:"queue"`
	Result  string `json:"result"`
	Version int64  `json:"version,omitempty"`
	Error   string `json:"error,omitempty"`
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
	line := fmt.Sprintf("%-14s%s", said, brief(o.Key))
	if o.Member != "" {
		line += " " + brief(o.Member)
	}
	if o.Error != "" {
		line += ": " + strings.ReplaceAll(o.Error, o.Key, brief(o.Key))
	}
	_, err := fmt.Fprintln(s.report.out, line)
	return err
}

func (s *results) close() error {
	if s.report.json {
		return s.report.encode(s)
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
