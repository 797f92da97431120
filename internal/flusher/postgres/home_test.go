// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/writebehind/operator/internal/flusher/entry"
	"github.com/writebehind/operator/internal/flusher/postgres/postgrestest"
)

// homeOf is what the database of the URL says of itself, at a look and with an epoch.
func homeOf(t *testing.T, url string) entry.Home {
	t.Helper()
	d := openURL(t, url)
	if d.Home() != (entry.Home{}) {
		t.Error("a database that was not looked at is known")
	}
	ready(t, d)
	looked := d.Home()
	l, err := d.Acquire(t.Context(), "j", "products", 0)
	if err != nil || l.Home != looked {
		t.Fatalf("Acquire = %+v, %v; want home %+v", l, err, looked)
	}
	return looked
}

func TestADatabaseIsTheSameByEveryName(t *testing.T) {
	t.Parallel()
	database := postgrestest.New(t)
	server := database.Server()
	want := homeOf(t, database.URL())
	if want.ID == "" || want.Name != database.Name() {
		t.Errorf("the database is %+v", want)
	}
	role, url := database.NewRole(t)
	database.Exec(t, "GRANT CREATE ON DATABASE "+database.Name()+" TO "+role)
	for name, url := range map[string]string{
		"another role":     url,
		"its socket":       server.SocketURL(database.Name()),
		"a name":           strings.Replace(database.URL(), "127.0.0.1", "localhost", 1),
		"several hosts":    strings.Replace(database.URL(), "127.0.0.1", "127.0.0.1:1,127.0.0.1", 1),
		"a pooler":         database.NewPooler(t, "transaction").URL(),
		"a session pooler": database.NewPooler(t, "session").URL(),
		"a search path":    database.URL() + "&search_path=nowhere",
	} {
		database.Exec(t, "DROP SCHEMA IF EXISTS writebehind CASCADE")
		if got := homeOf(t, url); got != want {
			t.Errorf("by %s it is %+v, want %+v", name, got, want)
		}
	}
}

func TestEveryDatabaseIsAnother(t *testing.T) {
	t.Parallel()
	database := postgrestest.New(t)
	first := homeOf(t, database.URL())
	if got := homeOf(t, postgrestest.New(t).URL()); got.ID == first.ID {
		t.Errorf("another of the server is the same: %+v", got)
	}
	server := postgrestest.NewServer(t, postgrestest.Options{})
	if got := homeOf(t, server.NewDatabase(t).URL()); got.ID == first.ID || strings.Split(got.ID, "/")[0] == strings.Split(first.ID, "/")[0] {
		t.Errorf("another server has the same: %+v", got)
	}
}

// A role that may not ask keeps its flusher; so does one that may no longer.
func TestADatabaseThatDoesNotTellWhatItIs(t *testing.T) {
	t.Parallel()
	server := postgrestest.NewServer(t, postgrestest.Options{})
	database := server.NewDatabase(t)
	role, url := database.NewRole(t)
	database.Exec(t, "GRANT CREATE ON DATABASE "+database.Name()+" TO "+role)
	d := openURL(t, url)
	ready(t, d)
	if d.Home().ID == "" {
		t.Error("the database does not tell what it is")
	}
	database.Exec(t, "REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC")
	if _, err := d.Acquire(t.Context(), "j", "products", 0); err == nil {
		t.Error("an epoch is given out though the database does not tell any more what it is")
	}
	ready(t, d)
	l, err := d.Acquire(t.Context(), "j", "products", 0)
	if err != nil || l.Epoch == 0 || l.Home != (entry.Home{}) || d.Home() != (entry.Home{}) {
		t.Errorf("Acquire = %+v, %v, home is %+v", l, err, d.Home())
	}
	ready(t, openURL(t, url))
	database.Exec(t, "GRANT EXECUTE ON FUNCTION pg_control_system() TO "+role)
	ready(t, d)
	if l, err = d.Acquire(t.Context(), "j", "products", 0); err != nil || l.Home.ID == "" || l.Home != d.Home() {
		t.Errorf("Acquire = %+v, %v, home is %+v", l, err, d.Home())
	}
}

func TestAnotherURLIsAnotherHomeAndOfAnotherTime(t *testing.T) {
	t.Parallel()
	first, second := postgrestest.New(t), postgrestest.New(t)
	d := openURL(t, first.URL())
	file := d.settings.URLFile
	put := func(url string, written int64) {
		t.Helper()
		if err := os.WriteFile(file, []byte(url), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(file, time.Time{}, time.UnixMicro(written)); err != nil {
			t.Fatal(err)
		}
		ready(t, d)
	}
	is := func(name string, since int64) {
		t.Helper()
		if d.Home().Name != name || d.Since() != since {
			t.Errorf("home is %+v since %d, want %s since %d", d.Home(), d.Since(), name, since)
		}
	}
	put(first.URL(), 1000)
	is(first.Name(), 1000)
	put(first.URL()+"\n", 2000) // the same URL
	is(first.Name(), 1000)
	put(second.URL(), 3000)
	is(second.Name(), 3000)
	if l, err := d.Acquire(t.Context(), "j", "products", 0); err != nil || l.Home != d.Home() {
		t.Errorf("Acquire = %+v, %v", l, err)
	}
}
