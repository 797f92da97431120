// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/config"
)

// remedyOf is the SQL that a check says to run.
func remedyOf(t *testing.T, check config.Check) string {
	t.Helper()
	if check.Reason != v1alpha1.ReasonTableUnlogged || check.OK || !check.Endangers() {
		t.Fatalf("the check is %+v; want TableUnlogged", check)
	}
	return remedyIn(t, check.Message)
}

func TestAnUnloggedTableIsToldUntilItsRemedyIsRun(t *testing.T) {
	t.Parallel()
	server, d := open(t, `CREATE SCHEMA "Odd"; CREATE UNLOGGED TABLE "Odd"."Items" (id bigint PRIMARY KEY, a text)`)
	m := mapping("Odd.Items")
	check := readTable(t, d, m).Durability()
	if !strings.Contains(check.Message, `mapping products: table Odd.Items is UNLOGGED`) {
		t.Errorf("Message = %q", check.Message)
	}
	server.Exec(t, remedyOf(t, check))
	if check := readTable(t, d, m).Durability(); !check.OK {
		t.Errorf("after the remedy: %+v", check)
	}
	server.Exec(t, `ALTER TABLE "Odd"."Items" SET UNLOGGED`)
	if check := readTable(t, d, m).Durability(); check.OK {
		t.Error("a table that was made unlogged later is told as logged")
	}
}

// The partitioned table itself holds nothing, so it counts for nothing, whatever
// the catalogue says of it.
func TestOfAPartitionedTableTheLeavesCount(t *testing.T) {
	t.Parallel()
	server, d := open(t, `CREATE TABLE events (id bigint PRIMARY KEY, a text) PARTITION BY RANGE (id);
CREATE TABLE events_0 PARTITION OF events FOR VALUES FROM (0) TO (10);
CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM (10) TO (50) PARTITION BY RANGE (id);
CREATE TABLE events_1a PARTITION OF events_1 FOR VALUES FROM (10) TO (20);
CREATE UNLOGGED TABLE stranger (id bigint PRIMARY KEY);`)
	// As CREATE UNLOGGED TABLE ... PARTITION BY leaves it where that is allowed.
	server.Exec(t, "UPDATE pg_class SET relpersistence = 'u' WHERE relname IN ('events', 'events_1')")
	m := mapping("public.events")
	if check := readTable(t, d, m).Durability(); !check.OK {
		t.Fatalf("logged partitions: %+v", check)
	}
	server.Exec(t, "ALTER TABLE events_1a SET UNLOGGED")
	check := readTable(t, d, m).Durability()
	if !strings.Contains(check.Message, "partition public.events_1a of table public.events is UNLOGGED") {
		t.Errorf("Message = %q", check.Message)
	}
	server.Exec(t, remedyOf(t, check))
	if check := readTable(t, d, m).Durability(); !check.OK {
		t.Errorf("after the remedy: %+v", check)
	}

	for _, table := range []string{"b", "c", "d", "e", "f"} {
		from := int(table[0]-'a')*5 + 20
		server.Exec(t, "CREATE UNLOGGED TABLE events_"+table+" (LIKE events INCLUDING ALL)")
		server.Exec(t, "ALTER TABLE events_1 ATTACH PARTITION events_"+table+" FOR VALUES FROM ("+strconv.Itoa(from)+") TO ("+strconv.Itoa(from+5)+")")
	}
	check = readTable(t, d, m).Durability()
	if !strings.Contains(check.Message, "; 2 more partitions are UNLOGGED too") {
		t.Errorf("Message = %q", check.Message)
	}
	if remedyOf(t, check) != "ALTER TABLE public.events_b SET LOGGED; ALTER TABLE public.events_c SET LOGGED; ALTER TABLE public.events_d SET LOGGED;" {
		t.Errorf("the remedy is %q", remedyOf(t, check))
	}
}

func TestAnUnloggedLedgerIsToldAndStopsNothing(t *testing.T) {
	t.Parallel()
	server, d, o := openItems(t)
	o.write(t, "1", `{"a":"x"}`)
	durability := func() config.Check {
		t.Helper()
		check, err := d.Durability(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return check
	}
	if check := durability(); !check.OK {
		t.Fatalf("a ledger of the flusher's own making: %+v", check)
	}
	server.Exec(t, "ALTER TABLE writebehind.ledger SET UNLOGGED")
	check := durability()
	if !strings.Contains(check.Message, `the ledger "writebehind"."ledger" is UNLOGGED`) {
		t.Errorf("Message = %q", check.Message)
	}
	d.verified.Store(false)
	ready(t, d)
	o.write(t, "2", `{"a":"y"}`)
	server.Exec(t, remedyOf(t, check))
	if check := durability(); !check.OK {
		t.Errorf("after the remedy: %+v", check)
	}
	server.Exec(t, "DROP SCHEMA writebehind CASCADE")
	if check := durability(); !check.OK {
		t.Errorf("a ledger that is not there is unlogged: %+v", check)
	}
}

func TestTheLedgersDurabilityIsUnknownWhileTheDatabaseIsAway(t *testing.T) {
	t.Parallel()
	d := openURL(t, "postgres://nobody@127.0.0.1:1/none")
	check, err := d.Durability(t.Context())
	var e *Error
	if !errors.As(err, &e) || e.Reason() != v1alpha1.ReasonConnectionFailed || check.OK {
		t.Errorf("Durability = %+v, %v; want ConnectionFailed", check, err)
	}
}
