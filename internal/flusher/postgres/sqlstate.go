// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"errors"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/entry"
)

// classification is what an SQLSTATE, or a class of them, means here.
type classification struct {
	kind   entry.Kind
	reason string
	remedy string
}

// classifications is the one table that turns what PostgreSQL says into behaviour. The
// longest prefix of the SQLSTATE decides; what is not listed is the row's. The
// stage corrects it: see failure.
var classifications = map[string]classification{
	"08":    {entry.Transient, v1alpha1.ReasonConnectionFailed, "the connection to PostgreSQL was lost"},
	"25":    {entry.Transient, v1alpha1.ReasonStatementFailed, "the transaction was ended by PostgreSQL"},
	"25006": {entry.Transient, v1alpha1.ReasonReadOnly, "the session is read-only: give the URL of the primary"},
	"26":    {entry.Contention, v1alpha1.ReasonStatementFailed, "a proxy gave the server connection to another client"},
	"28":    {entry.Transient, v1alpha1.ReasonAuthenticationFailed, "PostgreSQL refuses the connection to this user, host and database: see pg_hba.conf"},
	"28P01": {entry.Transient, v1alpha1.ReasonAuthenticationFailed, "PostgreSQL refuses the user or the password"},
	"34":    {entry.Contention, v1alpha1.ReasonStatementFailed, "a proxy gave the server connection to another client"},
	"3D000": {entry.Transient, v1alpha1.ReasonInvalidURL, "the database that the URL names does not exist"},
	"53":    {entry.Transient, v1alpha1.ReasonStatementFailed, "PostgreSQL is out of resources"},
	"53100": {entry.Transient, v1alpha1.ReasonStatementFailed, "PostgreSQL's disk is full"},
	"53200": {entry.Transient, v1alpha1.ReasonStatementFailed, "PostgreSQL is out of memory"},
	"53300": {entry.Transient, v1alpha1.ReasonConnectionFailed, "PostgreSQL has no connection left: raise max_connections or lower postgres.maxConnections"},
	"55P03": {entry.Locked, v1alpha1.ReasonStatementFailed, "another transaction holds a lock: see pg_locks"},
	"55006": {entry.Contention, v1alpha1.ReasonStatementFailed, "another session uses the object"},
	"57":    {entry.Transient, v1alpha1.ReasonConnectionFailed, "PostgreSQL ended the session"},
	"57014": {entry.TooHeavy, v1alpha1.ReasonStatementFailed, "the statement was cancelled, usually because it exceeded statementTimeoutSeconds"},
	"57P03": {entry.Transient, v1alpha1.ReasonConnectionFailed, "PostgreSQL is starting up or shutting down"},
	"58":    {entry.Transient, v1alpha1.ReasonStatementFailed, "PostgreSQL reports an error of its operating system"},
	"F0":    {entry.Transient, v1alpha1.ReasonStatementFailed, "PostgreSQL reports an error of its configuration"},

	"40":    {entry.Contention, v1alpha1.ReasonStatementFailed, "the transaction conflicts with another one"},
	"40003": {entry.Transient, v1alpha1.ReasonConnectionFailed, "the outcome of the transaction is not known"},
	"42P05": {entry.Contention, v1alpha1.ReasonStatementFailed, "a proxy gave the server connection to another client"},
	"54001": {entry.TooHeavy, v1alpha1.ReasonStatementFailed, "the statement is too complex"},
	"23503": {entry.Order, v1alpha1.ReasonStatementFailed, "the row refers to one that does not exist"},
	"23001": {entry.Order, v1alpha1.ReasonStatementFailed, "rows of the named table refer to the row"},

	"0A000": {entry.Mapping, v1alpha1.ReasonSchemaMismatch, "PostgreSQL does not support this on the table"},
	"3F000": {entry.Mapping, v1alpha1.ReasonSchemaMismatch, "a schema does not exist"},
	"42":    {entry.Mapping, v1alpha1.ReasonSchemaMismatch, "the table does not fit the mapping"},
	"42501": {entry.Mapping, v1alpha1.ReasonPrivilegeMissing, "a privilege is missing, usually on a function or sequence of the table: PostgreSQL's log names it; GRANT it"},
	"42703": {entry.Mapping, v1alpha1.ReasonSchemaMismatch, "a column does not exist"},
	"42804": {entry.Mapping, v1alpha1.ReasonSchemaMismatch, "a column has a type that does not fit"},
	"42P01": {entry.Mapping, v1alpha1.ReasonSchemaMismatch, "a table does not exist"},
	"42P10": {entry.Mapping, v1alpha1.ReasonSchemaMismatch, "the key column has no unique index any more"},
	"55000": {entry.Mapping, v1alpha1.ReasonSchemaMismatch, "the table is not in a state that allows this"},

	"":      {entry.Row, v1alpha1.ReasonStatementFailed, "PostgreSQL refuses the row"},
	"21000": {entry.Row, v1alpha1.ReasonStatementFailed, "two keys of the batch name the same row"},
	"22":    {entry.Row, v1alpha1.ReasonStatementFailed, "a value does not fit its column"},
	"22001": {entry.Row, v1alpha1.ReasonStatementFailed, "a value is too long for its column"},
	"22003": {entry.Row, v1alpha1.ReasonStatementFailed, "a number is out of its column's range"},
	"22P05": {entry.Row, v1alpha1.ReasonStatementFailed, "a character does not exist in the encoding of the database: only UTF8 holds all"},
	"22P02": {entry.Row, v1alpha1.ReasonStatementFailed, "a value is not valid for its column's type"},
	"23":    {entry.Row, v1alpha1.ReasonStatementFailed, "the row violates a constraint"},
	"23502": {entry.Row, v1alpha1.ReasonStatementFailed, "a column that must not be null has no value"},
	"23505": {entry.Row, v1alpha1.ReasonStatementFailed, "another row has the same unique value; rows that exchange unique values cannot be written one after the other: " +
		"they get through in one batch if the constraint is DEFERRABLE INITIALLY DEFERRED"},
	"23514": {entry.Row, v1alpha1.ReasonStatementFailed, "the row violates a check constraint or has no partition"},
	"23P01": {entry.Row, v1alpha1.ReasonStatementFailed, "another row is in the way of the row by a constraint that is EXCLUDE or WITHOUT OVERLAPS; rows that exchange what it " +
		"compares get through in one batch if the constraint is EXCLUDE and DEFERRABLE INITIALLY DEFERRED"},
	"P0": {entry.Row, v1alpha1.ReasonStatementFailed, "a trigger or a function refuses the row"},
}

// rowSecurity is PostgreSQL's own name of the check whose failure shares
// SQLSTATE 42501 with a missing privilege, but is the row's fault.
const rowSecurity = "ExecWithCheckOptions"

func classify(sqlstate string) classification {
	for n := min(len(sqlstate), 5); n > 0; n-- {
		if v, ok := classifications[sqlstate[:n]]; ok {
			return v
		}
	}
	return classifications[""]
}

// stage is how far a statement had come when it failed.
type stage int

const (
	// stageNone means that no rows are concerned, or that a statement was accepted
	// but not planned: the table alone decides.
	stageNone stage = iota
	// preparing means that the statement was not accepted at all, so that no
	// row can be at fault.
	preparing
	// executing means that the statement fits the table and was at work on the
	// rows. What triggers, functions and types then say they say of a row, with
	// any SQLSTATE they like.
	executing
)

// ofConnection means that an SQLSTATE is the server's own only while a connection
// is made.
func ofConnection(sqlstate string) bool {
	return sqlstate == "3D000" || strings.HasPrefix(sqlstate, "28")
}

// lacksPrivilege reports whether a statement that was running lacks a privilege of
// its own, which PostgreSQL looks at only then. It tells no context with that; a
// function that was called for a row is told as the context, whether it raised
// the error or ran a statement that it may not.
func lacksPrivilege(err *pgconn.PgError) bool {
	return err.Code == "42501" && err.Where == "" && err.Routine != rowSecurity
}

// ofValue reports whether a statement that was running failed for the text of a value.
// Most types refuse a text with class 22; those with a parser of their own (jsonpath,
// tsquery, hstore, ltree) call it a syntax error or a bad name, or give no SQLSTATE,
// and those that name an object say that it does not exist. Of a function that was
// called for a row PostgreSQL tells the context.
func ofValue(err *pgconn.PgError) bool {
	if err.Where != "" {
		return false
	}
	switch err.Code {
	case "42601", "42602", "42704", "42883", "42P01", "3F000", "XX000":
		return true
	}
	return false
}

// held are the functions of PostgreSQL that give up on another transaction, by its own
// names of them: one that waits for a lock runs into lock_timeout, or into a deadlock.
var held = map[string]bool{"ProcessInterrupts": true, "DeadLockReport": true}

// heavy are resources that a statement may need less of with fewer rows.
var heavy = map[string]bool{"53200": true, "53400": true}

// atRows corrects what an error means that came while PostgreSQL was at work on the
// rows. What a trigger or a function raised there tells nothing of the server, although
// its SQLSTATE may say so.
func (e *Error) atRows(err *pgconn.PgError) {
	e.LockHeld = (e.Kind == entry.Locked || e.Kind == entry.Contention) && held[err.Routine]
	if heavy[err.Code] {
		e.Kind = entry.TooHeavy
	}
	e.Raised = err.Where != "" && !e.LockHeld
	if e.Raised && (e.Kind == entry.Transient || e.Kind == entry.Locked || e.Kind == entry.Contention) {
		e.reason, e.remedy = v1alpha1.ReasonStatementFailed, "a trigger or a function that the table calls for a row fails"
	}
}

// classificationOf judges an error of the server by its SQLSTATE and by how far the
// statement had come.
func classificationOf(err *pgconn.PgError, at stage) classification {
	v := classify(err.Code)
	if err.Code == "42501" && err.Routine == rowSecurity {
		v = classification{entry.Row, v1alpha1.ReasonStatementFailed, "a row-level security policy refuses the row"}
	}
	switch {
	case ofIdentity(err):
		v = identityClassification
	case at == preparing && v.kind == entry.Row:
		v.kind, v.reason = entry.Mapping, v1alpha1.ReasonSchemaMismatch
	case at == executing && ofValue(err):
		v = classifications["22P02"]
	case at == executing && !lacksPrivilege(err) && (v.kind == entry.Mapping || ofConnection(err.Code)):
		v = classifications["P0"]
	}
	return v
}

// failure turns any error of the driver into an Error. action says what was
// being done.
func failure(action string, err error, at stage) *Error {
	if known, ok := errors.AsType[*Error](err); ok {
		if known.action == "" {
			known.action = action
		}
		return known
	}
	e := &Error{action: action, Err: err}
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok {
		v := classificationOf(pgErr, at)
		e.Kind, e.reason, e.remedy = v.kind, v.reason, v.remedy
		e.connecting(pgErr, err)
		e.pooled(pgErr)
		e.SQLSTATE, e.Constraint, e.Column = pgErr.Code, pgErr.ConstraintName, pgErr.ColumnName
		e.Table = pgErr.TableName
		if pgErr.SchemaName != "" && pgErr.TableName != "" {
			e.Table = pgErr.SchemaName + "." + pgErr.TableName
		}
		return e
	}
	e.Kind = entry.Transient
	if errors.Is(err, errUnreplicated) {
		e.reason, e.remedy, e.Unsettled = v1alpha1.ReasonStatementFailed, err.Error(), true
		return e
	}
	if errors.Is(err, ErrLedgerOutOfStep) {
		e.reason, e.remedy = v1alpha1.ReasonStatementFailed, err.Error()
		return e
	}
	if errors.Is(err, pgconn.ErrReadOnlyConnection) {
		e.reason, e.remedy = v1alpha1.ReasonReadOnly, notWritable(err)
		return e
	}
	e.reason, e.remedy = v1alpha1.ReasonConnectionFailed, network(err)
	return e
}
