// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/entry"
)

func TestEverySQLSTATEHasItsKind(t *testing.T) {
	t.Parallel()
	for kind, states := range map[entry.Kind][]string{
		entry.Transient:  {"08000", "08006", "53100", "53200", "53300", "57P01", "57P02", "57P03", "57P05", "25006", "25P02", "25P03", "25P04", "28000", "28P01", "3D000", "40003", "58030", "F0000"},
		entry.Contention: {"40001", "40P01", "55006", "42P05", "26000", "34000"},
		entry.Locked:     {"55P03"},
		entry.TooHeavy:   {"57014", "54001"},
		entry.Order:      {"23503", "23001"},
		entry.Row:        {"22001", "22P02", "22021", "23502", "23505", "23514", "23P01", "21000", "P0001", "44000", "54000", "XX000", "99999", "", "HV000"},
		entry.Mapping:    {"42P01", "42703", "42804", "42501", "42P10", "42601", "3F000", "0A000", "428C9", "55000"},
	} {
		for _, state := range states {
			e := failure("do", &pgconn.PgError{Code: state}, stageNone)
			if e.Kind != kind {
				t.Errorf("SQLSTATE %s is %v; want %v", state, e.Kind, kind)
			}
			if e.Reason() == "" || e.Message() == "" {
				t.Errorf("SQLSTATE %s has no reason or no message", state)
			}
		}
	}
}

func TestTheStageCorrectsTheKind(t *testing.T) {
	t.Parallel()
	const function = "PL/pgSQL function f() line 1 at RAISE"
	for name, test := range map[string]struct {
		err  pgconn.PgError
		at   stage
		want entry.Kind
	}{
		"a table that is gone":                        {pgconn.PgError{Code: "42P01"}, preparing, entry.Mapping},
		"an index that is gone":                       {pgconn.PgError{Code: "42P10"}, stageNone, entry.Mapping},
		"a value of a type that names tables":         {pgconn.PgError{Code: "42P01"}, executing, entry.Row},
		"a function that may not be called":           {pgconn.PgError{Code: "42501"}, preparing, entry.Mapping},
		"a table that may not be written":             {pgconn.PgError{Code: "42501", Routine: "aclcheck_error"}, executing, entry.Mapping},
		"a trigger that may not read a table":         {pgconn.PgError{Code: "42501", Routine: "aclcheck_error", Where: function}, executing, entry.Row},
		"a trigger's own 42501":                       {pgconn.PgError{Code: "42501", Routine: "exec_stmt_raise", Where: function}, executing, entry.Row},
		"a policy":                                    {pgconn.PgError{Code: "42501", Routine: rowSecurity}, executing, entry.Row},
		"a trigger's own 28000":                       {pgconn.PgError{Code: "28000", Where: function}, executing, entry.Row},
		"a trigger's own 3D000":                       {pgconn.PgError{Code: "3D000", Where: function}, executing, entry.Row},
		"a password that is refused":                  {pgconn.PgError{Code: "28P01"}, stageNone, entry.Transient},
		"a row's fault before there are rows":         {pgconn.PgError{Code: "22P02"}, preparing, entry.Mapping},
		"a trigger's statement that runs out of disk": {pgconn.PgError{Code: "53100", Where: function}, executing, entry.Transient},
	} {
		if e := failure("do", &test.err, test.at); e.Kind != test.want || e.SQLSTATE != test.err.Code {
			t.Errorf("%s is %v, SQLSTATE %s; want %v", name, e.Kind, e.SQLSTATE, test.want)
		}
	}
}

// A type with a parser of its own refuses a text with an SQLSTATE that it shares with
// the statement.
func TestAValueThatItsTypeCannotReadIsSaidToBeOne(t *testing.T) {
	t.Parallel()
	server, d := open(t, "CREATE EXTENSION hstore; CREATE EXTENSION ltree")
	ready(t, d)
	for i, test := range []struct{ column, value string }{
		{"hstore", "a=>"},
		{"jsonpath", "$["},
		{"ltree", "a..b"},
		{"lquery", "a{"},
		{"tsquery", "a &"},
		{"regclass", "nowhere"},
		{"regtype", "nothing"},
		{"regprocedure", "now("},
		{"boolean", "2"},
		{"integer", "1.5"},
		{"numeric", "Nothing"},
		{"xml", "<a>"},
		{"uuid", "x"},
	} {
		t.Run(test.column, func(t *testing.T) {
			name := fmt.Sprintf("items%d", i)
			server.Exec(t, "CREATE TABLE "+name+" (id bigint PRIMARY KEY, v "+test.column+")")
			e := own(t, d, readTable(t, d, mapping(name)), i).refuse(t, "1", fmt.Sprintf(`{"v":%q}`, test.value))
			if e.Kind != entry.Row || !strings.HasPrefix(e.Message(), "a value ") || e.SQLSTATE == "" {
				t.Errorf("Write = %v %v: %s; want a row's fault, in words of a value", e.Kind, e, e.Detail())
			}
		})
	}
}

func TestErrorsOfTheConnection(t *testing.T) {
	t.Parallel()
	address := &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 5432}
	dial := func(err error) error { return &net.OpError{Op: "dial", Net: "tcp", Addr: address, Err: err} }
	for name, test := range map[string]struct {
		err  error
		says string
	}{
		"refused":               {dial(os.NewSyscallError("connect", syscall.ECONNREFUSED)), "at 10.0.0.1:5432 failed: connection refused"},
		"timed out":             {dial(os.ErrDeadlineExceeded), "at 10.0.0.1:5432 failed: no answer in time"},
		"name not found":        {dial(&net.DNSError{Name: "db.shop", IsNotFound: true}), "the host db.shop of PostgreSQL cannot be resolved"},
		"an unknown authority":  {x509.UnknownAuthorityError{}, "unknown authority"},
		"another host":          {x509.HostnameError{Certificate: &x509.Certificate{}, Host: "s3cret"}, "for another host"},
		"cancelled":             {context.Canceled, "cancelled"},
		"the caller's deadline": {context.DeadlineExceeded, "no answer in time"},
		"closed":                {io.ErrUnexpectedEOF, "the server closed it"},
		"anything else":         {errors.New("s3cret"), "the connection to PostgreSQL failed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := failure("do it", fmt.Errorf("s3cret: %w", test.err), stageNone)
			if e.Kind != entry.Transient || e.Reason() != v1alpha1.ReasonConnectionFailed {
				t.Errorf("%v is %v, %s; want entry.Transient, ConnectionFailed", test.err, e.Kind, e.Reason())
			}
			if !strings.HasPrefix(e.Error(), "do it: ") || !strings.HasSuffix(e.Error(), test.says) || strings.Contains(e.Error(), "s3cret") {
				t.Errorf("Error = %q; want it to end in %q", e.Error(), test.says)
			}
			if !errors.Is(e, test.err) && name != "another host" {
				t.Error("The cause is lost")
			}
		})
	}
}

func TestOnlyAnAnswerSettlesABatch(t *testing.T) {
	t.Parallel()
	steps := []step{stepBegin, stepSettings, stepLedger, stepRows, stepCommit}
	answer := func(code, severity string) error {
		return &pgconn.PgError{Code: code, SeverityUnlocalized: severity}
	}
	for name, test := range map[string]struct {
		reply reply
		err   error
		want  bool
	}{
		"nothing was sent":                {reply{}, io.EOF, false},
		"the tail was sent":               {reply{sent: true}, io.EOF, true},
		"a statement was refused":         {reply{sent: true, parsed: 5, bound: 5, done: 3}, answer("23505", "ERROR"), false},
		"the commit was refused":          {reply{sent: true, parsed: 5, bound: 5, done: 4}, answer("23503", "ERROR"), false},
		"the session died before it":      {reply{sent: true, parsed: 5, bound: 5, done: 3}, answer("57P01", "FATAL"), false},
		"the session died within it":      {reply{sent: true, parsed: 5, bound: 5, done: 4}, answer("57P01", "FATAL"), true},
		"a proxy lost the server":         {reply{sent: true, parsed: 5, bound: 5, done: 3}, answer("08006", "FATAL"), true},
		"it committed, then came a fault": {reply{sent: true, committed: true}, io.EOF, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.reply.steps = steps
			if got := test.reply.unsettled(test.err); got != test.want {
				t.Errorf("unsettled = %v; want %v", got, test.want)
			}
		})
	}
}

func TestWhatPostgreSQLNamesIsToldApartFromTheWords(t *testing.T) {
	e := &Error{SQLSTATE: "23502", Constraint: "name", Column: "table", remedy: "a value is missing"}
	if want := `a value is missing (SQLSTATE 23502, constraint "name", column "table")`; e.Message() != want {
		t.Errorf("Message = %s; want %s", e.Message(), want)
	}
}
