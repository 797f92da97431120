// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"reflect"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/entry"
)

// TestAFaultTellsAllOfAnError: the engine decides by nothing else. A field that is added to
// a fault and not filled in is noticed here.
func TestAFaultTellsAllOfAnError(t *testing.T) {
	t.Parallel()
	e := &Error{
		Kind: entry.Row, SQLSTATE: "23514", Constraint: "checked", Column: "name", Table: "items",
		Unsettled: true, AtRows: true, Raised: true, LockHeld: true, SessionEnded: true, Stale: []int{1},
		Err:    &pgconn.PgError{Message: "said", Detail: "in detail"},
		action: "write batch 1", reason: "StatementFailed", remedy: "the row violates a constraint",
	}
	fault, ok := errors.AsType[*entry.Fault](fmt.Errorf("write partition 3: %w", e))
	if !ok {
		t.Fatal("it is no fault")
	}
	if fault.Error() != e.Error() || fault.Message != e.Message() || fault.Reason != e.Reason() || fault.Detail != e.Detail() {
		t.Errorf("the fault says %+v, the error %v", fault, e)
	}
	if !errors.Is(fault, e) {
		t.Error("the cause of the fault is lost")
	}
	for field, value := range reflect.ValueOf(*fault).Fields() {
		if value.IsZero() {
			t.Errorf("%s is lost", field.Name)
		}
	}
	if misfit, ok := errors.AsType[*entry.Misfit](error(e)); ok {
		t.Errorf("an error is taken for %v", misfit)
	}
}

// TestWantOfDescriptorsIsNoFaultOfASecret: the file is there, and creating it again would
// help nobody.
func TestWantOfDescriptorsIsNoFaultOfASecret(t *testing.T) {
	t.Parallel()
	none := &fs.PathError{Op: "open", Path: "/secret/uri", Err: syscall.EMFILE}
	for name, err := range map[string]error{
		"the URL":       (&source{secret: "Secret shop-db, key uri"}).missing(none),
		"a certificate": unread("/secret/ca.crt", "Secret shop-ca, key ca.crt", none),
	} {
		e, ok := errors.AsType[*Error](err)
		if !ok || e.Reason() != v1alpha1.ReasonConnectionFailed || !strings.Contains(e.Message(), "EMFILE") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if text := network(&net.OpError{Op: "dial", Err: os.NewSyscallError("socket", syscall.EMFILE)}); !strings.Contains(text, "ulimit") {
		t.Errorf("of a connection: %s", text)
	}
}
