// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"regexp"
	"strings"
	"testing"
)

// behaviour is a row of CONTRIBUTING's table of which behaviour is where.
var behaviour = regexp.MustCompile("(?m)^\\| [^|`]+ \\| `([^`|]+\\.(?:go|lua))` \\| ([^|]+) \\|$")

// A function that moves takes its row along.
func TestEveryBehaviourIsWhereContributingSaysItIs(t *testing.T) {
	rows := behaviour.FindAllStringSubmatch(pages(t)["CONTRIBUTING.md"].prose, -1)
	if len(rows) < 10 {
		t.Errorf("only %d behaviours were found", len(rows))
	}
	for _, row := range rows {
		text := read(t, strings.Split(row[1], "/")...)
		for _, name := range span.FindAllStringSubmatch(row[2], -1) {
			// In Go the line counts that declares a function or a table, so that a use left
			// behind does not.
			pattern := `\b` + regexp.QuoteMeta(name[1]) + `\b`
			if strings.HasSuffix(row[1], ".go") && !strings.Contains(text, `"`+name[1]+`"`) {
				pattern = `(?m)^(?:func (?:\([^)]*\) )?` + regexp.QuoteMeta(name[1]) + `\(|var ` + regexp.QuoteMeta(name[1]) + ` )`
			}
			if !regexp.MustCompile(pattern).MatchString(text) {
				t.Errorf("CONTRIBUTING.md says that %s is in %s, which does not have it", name[1], row[1])
			}
		}
	}
}
