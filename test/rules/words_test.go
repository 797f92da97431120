// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// countedNoun finds a number that a message writes before a noun of the domain in the
// plural: for 1 the message would be wrong. Package plural writes both, or the message
// names the noun first: "entries: 1".
var countedNoun = regexp.MustCompile(`(at most |more than |fewer than |\d to )?%(?:\[\d+\])?d (?:more |other |new |dead |data-loss )*` +
	`(?:batches|entries|events|flushers|keys|letters|mappings|partitions|pods|queues|rows|settlements|writes)\b`)

// isMiscounted reports whether the text has a number before a fixed plural. The upper bound
// of a range is a constant of several, so it may stand there.
func isMiscounted(text string) bool {
	for _, match := range countedNoun.FindAllStringSubmatch(text, -1) {
		if match[1] == "" {
			return true
		}
	}
	return false
}

// TestMessagesCountInEnglish looks at every text that the programs may write.
func TestMessagesCountInEnglish(t *testing.T) {
	t.Parallel()
	texts := 0
	for _, top := range []string{"cmd", "internal", "api"} {
		err := filepath.WalkDir(filepath.Join(root, top), func(path string, entry os.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if entry.IsDir() && strings.HasSuffix(entry.Name(), "test") {
				return filepath.SkipDir
			}
			if entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return nil
			}
			files := token.NewFileSet()
			file, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			ast.Inspect(file, func(n ast.Node) bool {
				literal, ok := n.(*ast.BasicLit)
				if !ok || literal.Kind != token.STRING {
					return true
				}
				text, err := strconv.Unquote(literal.Value)
				if err != nil {
					t.Errorf("%s: %v", files.Position(literal.Pos()), err)
				}
				texts++
				if isMiscounted(text) {
					t.Errorf("%s: %q is wrong for 1: let plural.Of write number and noun, or write the noun first", files.Position(literal.Pos()), text)
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if texts < 1000 {
		t.Errorf("only %d texts were looked at", texts)
	}
}

func TestAFixedPluralIsFound(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"%d entries are gone":                   true,
		"%d data-loss events (%s)":              true,
		"holds %[2]d dead letters":              true,
		"%d of mapping %s":                      false,
		"entries: %d, at most %d are allowed":   false,
		"the flushers serve at most %d queues":  false,
		"the document is longer than %d bytes":  false,
		"a name of 1 to %d letters":             false,
		"Flushers that run the settings: %d":    false,
		"at most %d queues, and %d queues wait": true,
	} {
		if got := isMiscounted(text); got != want {
			t.Errorf("%q is found: %v, want %v", text, got, want)
		}
	}
}
