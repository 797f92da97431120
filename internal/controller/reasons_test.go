// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// constant is a condition type or a reason of the API.
type constant struct{ name, value, doc string }

func constantsOf(t *testing.T, path string) []constant {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	var found []constant
	for _, declaration := range file.Decls {
		group, ok := declaration.(*ast.GenDecl)
		if !ok || group.Tok != token.CONST {
			continue
		}
		for _, spec := range group.Specs {
			value := spec.(*ast.ValueSpec)
			text, err := strconv.Unquote(value.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			found = append(found, constant{value.Names[0].Name, text, value.Doc.Text()})
		}
	}
	return found
}

// product reads every file of the operator and the flusher that is no test.
func product(t *testing.T) map[string]*ast.File {
	t.Helper()
	files := map[string]*ast.File{}
	for _, root := range []string{".", filepath.Join("..", "flusher")} {
		err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			files[path], err = parser.ParseFile(token.NewFileSet(), path, nil, 0)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return files
}

func TestEveryConditionAndReasonIsDocumentedAndUsed(t *testing.T) {
	constants := constantsOf(t, filepath.Join("..", "..", "api", "v1alpha1", "conditions.go"))
	if len(constants) < 50 {
		t.Fatalf("only %d constants were found", len(constants))
	}
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "resource.md"))
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{}
	for _, file := range product(t) {
		ast.Inspect(file, func(node ast.Node) bool {
			if selector, ok := node.(*ast.SelectorExpr); ok {
				used[selector.Sel.Name] = true
			}
			return true
		})
	}
	for _, c := range constants {
		if !strings.HasPrefix(c.doc, c.name+" ") || len(strings.Fields(c.doc)) < 4 {
			t.Errorf("%s has no doc comment that tells what it means: %q", c.name, c.doc)
		}
		if !used[c.name] {
			t.Errorf("%s is used nowhere", c.name)
		}
		if end := map[bool]string{true: "[A-Z]", false: `\b`}[c.name == "EventBacklog"]; !regexp.MustCompile(`\b` + c.value + end).Match(page) {
			t.Errorf("docs/resource.md does not tell of %s", c.value)
		}
	}
}

// The tables of conditions and reasons name nothing that is not there.
func TestNoConditionOrReasonIsMadeUp(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "resource.md"))
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, c := range constantsOf(t, filepath.Join("..", "..", "api", "v1alpha1", "conditions.go")) {
		known[c.value] = true
	}
	seen := 0
	_, tables, _ := strings.Cut(string(page), "\n## Conditions\n")
	for _, row := range regexp.MustCompile(`(?m)^\| ([A-Z][A-Za-z, ]+) \| `).FindAllStringSubmatch(tables, -1) {
		for name := range strings.SplitSeq(row[1], ", ") {
			seen++
			if !known[name] {
				t.Errorf("docs/resource.md tells of %s, which is neither a condition nor a reason", name)
			}
		}
	}
	if seen < 40 {
		t.Errorf("only %d names were found", seen)
	}
}

// reasonCalls are the functions that take a reason, and at which place.
var reasonCalls = map[string]int{"bad": 0, "unknown": 0, "abnormal": 0, "normal": 1, "warning": 1}

func TestNoReasonIsALiteral(t *testing.T) {
	literal := func(e ast.Expr) bool {
		lit, ok := e.(*ast.BasicLit)
		return ok && lit.Kind == token.STRING && lit.Value != `""`
	}
	seen := 0
	for path, file := range product(t) {
		ast.Inspect(file, func(node ast.Node) bool {
			var reasons []ast.Expr
			switch n := node.(type) {
			case *ast.KeyValueExpr:
				if key, ok := n.Key.(*ast.Ident); ok && strings.EqualFold(key.Name, "reason") {
					reasons = append(reasons, n.Value)
				}
			case *ast.AssignStmt:
				for i, left := range n.Lhs {
					if selector, ok := left.(*ast.SelectorExpr); ok && strings.EqualFold(selector.Sel.Name, "reason") && len(n.Rhs) == len(n.Lhs) {
						reasons = append(reasons, n.Rhs[i])
					}
				}
			case *ast.CompositeLit:
				if name, ok := n.Type.(*ast.Ident); ok && name.Name == "Condition" && len(n.Elts) == 3 {
					reasons = append(reasons, n.Elts[1])
				}
			case *ast.CallExpr:
				name := ""
				switch f := n.Fun.(type) {
				case *ast.Ident:
					name = f.Name
				case *ast.SelectorExpr:
					name = f.Sel.Name
				}
				if at, ok := reasonCalls[name]; ok && at < len(n.Args) {
					reasons = append(reasons, n.Args[at])
				}
			}
			seen += len(reasons)
			if slices.ContainsFunc(reasons, literal) {
				t.Errorf("%s has a reason that is a literal and no constant of the API", path)
			}
			return true
		})
	}
	if seen < 100 {
		t.Errorf("only %d reasons were found", seen)
	}
}
