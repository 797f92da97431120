// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/postgres/postgrestest"
)

// A standby takes no row until it is promoted, and then a URL of both hosts finds it.
func TestAStandbyThatIsPromoted(t *testing.T) {
	t.Parallel()
	primary := postgrestest.NewServer(t, postgrestest.Options{})
	database := primary.NewDatabase(t)
	database.Exec(t, itemSchema)
	standby, err := primary.StartStandby(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = standby.Stop() })
	alone := openURL(t, standby.URL(database.Name()))
	failing(t, alone.Check(t.Context()), v1alpha1.ReasonReadOnly, "the server is a standby", "host1,host2", "SELECT pg_promote();")

	both := strings.Replace(primary.URL(database.Name()), fmt.Sprintf("127.0.0.1:%d", primary.Port()),
		fmt.Sprintf("127.0.0.1:%d,127.0.0.1:%d", standby.Port(), primary.Port()), 1)
	d := openURL(t, both)
	o := own(t, d, readTable(t, d, mapping("items")), 0)
	o.write(t, "1", `{"a":"x"}`)

	conn, err := pgx.Connect(t.Context(), standby.SocketURL(database.Name()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	// What is committed has to be there before the primary goes.
	for arrived := false; !arrived; {
		var names []string
		rows, err := conn.Query(t.Context(), "SELECT a FROM items")
		if err == nil {
			names, err = pgx.CollectRows(rows, pgx.RowTo[string])
		}
		if err != nil {
			t.Fatal(err)
		}
		arrived = len(names) == 1 && names[0] == "x"
	}
	primary.Kill(syscall.SIGQUIT)
	if _, err := d.Acquire(t.Context(), "j1", "products", 0); err == nil {
		t.Error("a partition is taken without a primary")
	}
	if check := d.Check(t.Context()); check.OK {
		t.Error("Check is content without a primary")
	}
	if _, err := conn.Exec(t.Context(), remedyOfStandby(t, alone.Check(t.Context()).Message)); err != nil {
		t.Fatal(err)
	}
	before := d.Home()
	ready(t, alone)
	ready(t, d)
	if before.ID == "" || alone.Home() != before || d.Home() != before {
		t.Errorf("the promoted standby is database %+v, the primary was %+v", d.Home(), before)
	}
	o = own(t, d, readTable(t, d, mapping("items")), 0)
	o.write(t, "1", `{"a":"y"}`, "2", `{"a":"z"}`)
	var count int
	if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM items WHERE a IN ('y', 'z')").Scan(&count); err != nil || count != 2 {
		t.Errorf("the promoted standby has %d rows, %v", count, err)
	}
}

// remedyOfStandby is the SQL to run on the standby.
func remedyOfStandby(t *testing.T, message string) string {
	t.Helper()
	_, sql, found := strings.Cut(message, "run as an administrator on the standby: ")
	if !found {
		t.Fatalf("the message %q has no SQL to run", message)
	}
	return sql
}
