// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// rule is one rule and what stands behind it: tests, or else a reason for having
// none. A rule may have both tests and a later part.
type rule struct {
	// Complaint is the number of the complaint that the rule answers, from 1 on; 0
	// for a rule of the design.
	Complaint int
	// Section is the design's section, or traps, or races.
	Section string
	// Text is the rule in a few words.
	Text string
	// Tests are functions as package.TestName, and specifications of a suite as
	// package: the text of It or DescribeTable.
	Tests []string
	// NotApplicable says why nothing here can break the rule.
	NotApplicable string
	// Later names the feature that the rule, or the rest of it, belongs to.
	Later string
}

// folders are the packages that Tests name.
var folders = map[string]string{
	"cmd": "cmd/flusher", "controller": "internal/controller", "observe": "internal/controller/observe",
	"resources": "internal/controller/resources", "flusher": "internal/flusher", "service": "internal/flusher/service", "config": "internal/flusher/config", "journal": "internal/flusher/journal",
	"postgres": "internal/flusher/postgres", "integration": "test/integration", "model": "test/model", "e2e": "test/e2e", "load": "test/load", "chaos": "test/chaos", "rules": "test/rules",
}

const root = "../.."

// every is all rules.
func every() []rule {
	var all []rule
	for _, list := range [][]rule{complaints, traps, races, captureRules, journalRules, ledgerRules, rowRules, operatorRules} {
		all = append(all, list...)
	}
	return all
}

// TestEveryRuleHasItsTests fails when a rule has no tests and no reason for that, or
// names a test that is not there, does nothing or is skipped.
func TestEveryRuleHasItsTests(t *testing.T) {
	known := make(map[string]map[string]string)
	for _, r := range every() {
		if r.Text == "" || r.Complaint == 0 && r.Section == "" {
			t.Errorf("%+v has no source or no text", r)
		}
		if len(r.Tests) == 0 && r.NotApplicable == "" && r.Later == "" {
			t.Errorf("%q has neither a test nor a reason", r.Text)
		}
		if len(r.Tests) > 0 && r.NotApplicable != "" {
			t.Errorf("%q has tests, and does not apply", r.Text)
		}
		for _, test := range r.Tests {
			name, text, isText := strings.Cut(test, ": ")
			if !isText {
				name, text, _ = strings.Cut(test, ".")
			}
			folder, ok := folders[name]
			if !ok {
				t.Errorf("%q names %s, whose package is not known", r.Text, test)
				continue
			}
			if known[folder] == nil {
				known[folder] = testsIn(t, filepath.Join(root, folder))
			}
			if fault, ok := known[folder][text]; !ok {
				t.Errorf("%q names %s, which is not in %s", r.Text, test, folder)
			} else if fault != "" {
				t.Errorf("%q names %s, which %s", r.Text, test, fault)
			}
		}
	}
}

func TestEveryComplaintIsListedOnce(t *testing.T) {
	const last = 48
	seen := make(map[int]int)
	for _, r := range complaints {
		seen[r.Complaint]++
	}
	for n := 1; n <= last; n++ {
		if seen[n] != 1 {
			t.Errorf("complaint %d is listed %d times", n, seen[n])
		}
	}
	if len(seen) != last {
		t.Errorf("%d complaints are listed, want %d", len(seen), last)
	}
}

// TestTheTableIsHeldAgainstWhatIsThere breaks the table in every way that it is
// checked for.
func TestTheTableIsHeldAgainstWhatIsThere(t *testing.T) {
	folder := t.TempDir()
	const source = `package x
func TestGood(t *testing.T) { t.Error() }
func TestEmpty(t *testing.T) {}
func TestSkipped(t *testing.T) { t.Skip("later") }
func FuzzIt(f *testing.F) { f.Fuzz(nil) }
func testSmall(t *testing.T) { t.Error() }
func (s *suite) TestMethod() { s.t.Error() }
var _ = Describe("A thing", func() {
	It("works", func() { Expect(1).To(Equal(1)) })
	It("is empty", func() {})
	It("is not there yet")
	PIt("is pending", func() { Expect(1).To(Equal(1)) })
	DescribeTable("many", func(x int) { Expect(x).To(Equal(1)) }, Entry("one", 1))
})
`
	if err := os.WriteFile(filepath.Join(folder, "x_test.go"), []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	got := testsIn(t, folder)
	for name, want := range map[string]string{
		"TestGood": "", "FuzzIt": "", "works": "", "many": "", "TestEmpty": "is empty", "is empty": "is empty", "is not there yet": "is empty", "TestSkipped": "is skipped",
	} {
		if fault, ok := got[name]; !ok || fault != want {
			t.Errorf("%s: there %v, fault %q; want %q", name, ok, fault, want)
		}
	}
	for _, name := range []string{"testSmall", "TestMethod", "is pending", "TestNowhere"} {
		if _, ok := got[name]; ok {
			t.Errorf("%s counts as a test", name)
		}
	}
}

// testsIn finds the tests of a folder, and what is wrong with each: nothing, or that
// it does nothing or skips itself.
func testsIn(t *testing.T, folder string) map[string]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s has no tests: %v", folder, err)
	}
	found := make(map[string]string)
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, declaration := range file.Decls {
			if f, ok := declaration.(*ast.FuncDecl); ok && f.Recv == nil && (strings.HasPrefix(f.Name.Name, "Test") || strings.HasPrefix(f.Name.Name, "Fuzz")) {
				found[f.Name.Name] = faultOf(f.Body)
			}
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok {
				specification(found, call)
			}
			return true
		})
	}
	return found
}

// specification adds what It or DescribeTable specifies.
func specification(found map[string]string, call *ast.CallExpr) {
	name, ok := call.Fun.(*ast.Ident)
	if !ok || name.Name != "It" && name.Name != "DescribeTable" || len(call.Args) == 0 {
		return
	}
	literal, ok := call.Args[0].(*ast.BasicLit)
	if !ok {
		return
	}
	text, err := strconv.Unquote(literal.Value)
	if err != nil {
		return
	}
	found[text] = faultOf(nil)
	for _, argument := range call.Args[1:] {
		if f, ok := argument.(*ast.FuncLit); ok {
			found[text] = faultOf(f.Body)
			return
		}
	}
}

// faultOf says what keeps a test's body from failing ever.
func faultOf(body *ast.BlockStmt) string {
	if body == nil || len(body.List) == 0 {
		return "is empty"
	}
	fault := ""
	for _, statement := range body.List {
		expression, ok := statement.(*ast.ExprStmt)
		if !ok {
			continue
		}
		call, ok := expression.X.(*ast.CallExpr)
		if !ok {
			continue
		}
		switch f := call.Fun.(type) {
		case *ast.SelectorExpr:
			if strings.HasPrefix(f.Sel.Name, "Skip") {
				fault = "is skipped"
			}
		case *ast.Ident:
			if f.Name == "Skip" {
				fault = "is skipped"
			}
		}
	}
	return fault
}

// TestTheOperatorTalksToNeitherServer looks at what the operator is built from.
func TestTheOperatorTalksToNeitherServer(t *testing.T) {
	const module = "github.com/writebehind/operator/"
	seen := 0
	for _, top := range []string{"cmd/manager", "internal/controller", "api/v1alpha1"} {
		err := filepath.WalkDir(filepath.Join(root, top), func(path string, entry os.DirEntry, err error) error {
			if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
			if err != nil {
				return err
			}
			for _, spec := range file.Imports {
				seen++
				name, _ := strconv.Unquote(spec.Path.Value)
				engine := strings.HasPrefix(name, module+"internal/flusher") && name != module+"internal/flusher/config"
				if engine || strings.Contains(name, "redis") || strings.Contains(name, "pgx") || name == "database/sql" {
					t.Errorf("%s imports %s", path, name)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if seen < 100 {
		t.Errorf("only %d imports were looked at", seen)
	}
}
