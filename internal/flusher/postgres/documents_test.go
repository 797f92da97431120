// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"os"
	"strings"
	"testing"

	"github.com/writebehind/operator/internal/flusher/postgres/postgrestest"
)

// The SQL that docs/security.md gives makes a role that a flusher can work with.
func TestTheRoleOfTheDocsIsEnough(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	_, sql, _ := strings.Cut(string(page), "```sql\n")
	sql, _, found := strings.Cut(sql, "```")
	if !found || !strings.Contains(sql, "CREATE ROLE flusher LOGIN PASSWORD 'password';") {
		t.Fatalf("docs/security.md makes no role: %q", sql)
	}
	server := postgrestest.New(t)
	// A role is the whole server's, which other tests share.
	role, roleURL := server.NewRole(t)
	lines := strings.SplitAfterN(sql, "\n", 2)
	server.Exec(t, "CREATE TABLE products (id bigint PRIMARY KEY, name text, price numeric)")
	server.Exec(t, strings.ReplaceAll(lines[1], " flusher;", " "+role+";"))
	d := openURL(t, roleURL)
	ready(t, d)
	o := own(t, d, readTable(t, d, mapping("public.products")), 0)
	o.write(t, "1", `{"name":"lamp","price":19.90}`)
	o.write(t, "1", `{"price":21}`, "2", "")
}
