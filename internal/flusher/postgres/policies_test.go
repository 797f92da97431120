// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"strings"
	"testing"

	"github.com/writebehind/operator/internal/flusher/entry"
)

// Whether a policy hides a row nobody can ask who may not see it: what may do so is told.
func TestPoliciesThatMayHideRowsAreNamed(t *testing.T) {
	t.Parallel()
	const secured = "CREATE TABLE items (id bigint PRIMARY KEY, a text); INSERT INTO items VALUES (1, 'theirs'); ALTER TABLE items ENABLE ROW LEVEL SECURITY; "
	for name, test := range map[string]struct{ policies, hide string }{
		"one that shows some":           {"CREATE POLICY p ON items USING (a <> 'theirs')", "p"},
		"one for SELECT":                {`CREATE POLICY w ON items FOR INSERT WITH CHECK (true); CREATE POLICY "Not all" ON items FOR SELECT USING (a <> 'theirs'); CREATE POLICY u ON items FOR UPDATE USING (true); CREATE POLICY d ON items FOR DELETE USING (true)`, `"Not all"`},
		"two that show some":            {"CREATE POLICY p ON items USING (a <> 'theirs'); CREATE POLICY q ON items USING (a IS NULL)", "p, q"},
		"one that shows all":            {"CREATE POLICY p ON items USING (true)", ""},
		"one that shows all beside":     {"CREATE POLICY p ON items USING (a <> 'theirs'); CREATE POLICY q ON items FOR SELECT USING (true)", ""},
		"one that restricts":            {"CREATE POLICY p ON items USING (true); CREATE POLICY r ON items AS RESTRICTIVE FOR SELECT USING (a <> 'theirs')", "r"},
		"one that restricts nothing":    {"CREATE POLICY p ON items USING (true); CREATE POLICY r ON items AS RESTRICTIVE FOR SELECT USING (true)", ""},
		"one that restricts others":     {"CREATE POLICY p ON items USING (true); CREATE POLICY r ON items AS RESTRICTIVE FOR SELECT TO postgres USING (a <> 'theirs')", ""},
		"one that restricts deletions":  {"CREATE POLICY p ON items USING (true); CREATE POLICY r ON items AS RESTRICTIVE FOR DELETE USING (a <> 'theirs')", ""},
		"none of which is in force":     {"CREATE POLICY p ON items USING (a <> 'theirs'); ALTER TABLE items DISABLE ROW LEVEL SECURITY", ""},
		"of a partition, by its parent": {"ALTER TABLE items RENAME TO part; CREATE POLICY p ON part USING (a <> 'theirs'); CREATE TABLE items (LIKE part INCLUDING ALL) PARTITION BY LIST (id); ALTER TABLE items ATTACH PARTITION part DEFAULT; GRANT ALL ON items TO public", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, d := asPlainRole(t, secured+test.policies)
			o := own(t, d, readTable(t, d, mapping("items")), 0)
			hides := o.table.Hides()
			if test.hide == "" && hides != "" || !strings.Contains(hides, test.hide) || test.hide != "" && !strings.Contains(hides, "(policy "+test.hide+")") {
				t.Errorf("Hides = %q; want the policy %q", hides, test.hide)
			}
			// It is so: a row that is not named as hidden is deleted, or its deletion refused.
			outcome, err := d.Write(t.Context(), o.table, o.next(1), batch(t, o.table, "1", ""))
			there := server.Value(t, "SELECT count(*) FROM items") == "1"
			if hidden := err == nil && outcome == entry.Committed && there; hidden != (test.hide != "") {
				t.Errorf("the row is hidden: %v; Write = %v, %v", hidden, outcome, err)
			}
		})
	}
}
