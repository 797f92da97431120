// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// makefile is what can be asked of make.
type makefile struct {
	targets map[string]bool
	text    string
}

func readMakefile(t *testing.T) *makefile {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	m := &makefile{targets: map[string]bool{}, text: string(text)}
	for _, match := range regexp.MustCompile(`(?m)^([a-z][a-z0-9-]*):`).FindAllStringSubmatch(m.text, -1) {
		m.targets[match[1]] = true
	}
	if len(m.targets) < 20 {
		t.Fatalf("only %d targets were found", len(m.targets))
	}
	return m
}

var (
	makeCall   = regexp.MustCompile(`(?:^|[\s(;&"])make((?:\s+(?:'[^']*'|"[^"]*"|[^\s'"#;&|()]+)+)+)`)
	makeWord   = regexp.MustCompile(`(?:'[^']*'|"[^"]*"|[^\s'"])+`)
	assignment = regexp.MustCompile(`^([A-Z_]+)=`)
	target     = regexp.MustCompile(`^[a-z][a-z0-9-]*$`)
)

// check says what a line asks of make that there is not.
func (m *makefile) check(line string) (calls int, wrong []string) {
	for _, call := range makeCall.FindAllStringSubmatch(line, -1) {
		calls++
		for _, word := range makeWord.FindAllString(call[1], -1) {
			variable := assignment.FindStringSubmatch(word)
			switch {
			case variable != nil && !strings.Contains(m.text, "$("+variable[1]+")"):
				wrong = append(wrong, "the variable "+variable[1])
			case variable == nil && target.MatchString(word) && !m.targets[word]:
				wrong = append(wrong, "the target "+word)
			}
		}
	}
	return calls, wrong
}

func TestACallOfMakeIsRead(t *testing.T) {
	m := &makefile{targets: map[string]bool{"test": true, "demo": true}, text: "$(IMG) $(TEST_FLAGS)"}
	for line, want := range map[string]string{
		"make test":                                   "",
		"make -s test TEST_FLAGS='-run none'":         "",
		"A=$(make --no-print-directory demo) go test": "",
		"make IMG=a:b demo nothing":                   "the target nothing",
		"go build && make demo X=1; echo make":        "the variable X",
		`make test TEST_FLAGS="$FLAGS"`:               "",
		"cmake nothing":                               "",
	} {
		if _, wrong := m.check(line); strings.Join(wrong, ", ") != want {
			t.Errorf("of %q make lacks %q, want %q", line, wrong, want)
		}
	}
}

// comment is what a shell does not run.
var comment = regexp.MustCompile(`(^|\s)#.*$`)

// commands are the lines of a page that a reader may paste, and the pieces of code in
// its lines.
func (p *document) commands() []string {
	lines := append([]string(nil), p.spans...)
	for _, b := range p.blocks {
		for _, line := range b.lines {
			switch b.language {
			case "sh":
				lines = append(lines, comment.ReplaceAllString(line, ""))
			case "console":
				if line, ok := strings.CutPrefix(line, "$ "); ok {
					lines = append(lines, comment.ReplaceAllString(line, ""))
				}
			}
		}
	}
	return lines
}

func TestEveryCallOfMakeInTheDocsCanBeMade(t *testing.T) {
	m := readMakefile(t)
	seen := 0
	for _, p := range pages(t) {
		for _, line := range p.commands() {
			calls, wrong := m.check(line)
			seen += calls
			for _, what := range wrong {
				t.Errorf("%s: %q: the Makefile lacks %s", p.path, line, what)
			}
		}
	}
	if seen < 30 {
		t.Errorf("only %d calls were found", seen)
	}
}

// inProject is a path that begins with a folder of the project, as a reader types it.
var inProject = regexp.MustCompile(`(?:^|[\s='"(])(?:\./)?((?:api|charts|cmd|config|docs|hack|internal|test|\.ci|\.github)(?:/[A-Za-z0-9_.*-]+)+/?)`)

// program is one that make builds.
var program = regexp.MustCompile(`(?:^|\s)bin/([a-z-]+)\b`)

func TestEveryPathInTheDocsIsThere(t *testing.T) {
	seen := 0
	for _, p := range pages(t) {
		lines := p.commands()
		for _, line := range lines {
			for _, match := range inProject.FindAllStringSubmatch(line, -1) {
				seen++
				name := strings.TrimSuffix(match[1], "/...")
				found, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(name)))
				// hack/cluster's page speaks from its own folder.
				if beside, _ := filepath.Glob(filepath.Join(root, filepath.Dir(p.path), filepath.FromSlash(name))); len(found) == 0 {
					found = beside
				}
				if err != nil || len(found) == 0 {
					t.Errorf("%s: %q: there is no %s", p.path, line, name)
				}
			}
			for _, match := range program.FindAllStringSubmatch(line, -1) {
				if _, err := os.Stat(filepath.Join(root, "cmd", match[1])); err != nil && match[1] != "cluster" {
					t.Errorf("%s: %q: there is no program %s", p.path, line, match[1])
				}
			}
		}
	}
	if seen < 50 {
		t.Errorf("only %d paths were found", seen)
	}
}

// runs is the part of a test's command that names tests, with the package or without.
var runs = regexp.MustCompile(`(?:go test (\./\S+))?.*-run[ =]'?([A-Za-z]+)`)

func TestEveryTestThatTheDocsNameIsThere(t *testing.T) {
	seen := 0
	for _, p := range pages(t) {
		for _, line := range p.commands() {
			match := runs.FindStringSubmatch(line)
			if match == nil {
				continue
			}
			seen++
			folder := match[1]
			if folder == "" {
				folder = "*/*"
			}
			if !testThere(t, folder, match[2]) {
				t.Errorf("%s: %q runs no test", p.path, line)
			}
		}
	}
	if seen < 5 {
		t.Errorf("only %d were found", seen)
	}
}

// testThere reports whether a package below folder has a test whose name a pattern fits.
func testThere(t *testing.T, folder, pattern string) bool {
	t.Helper()
	for _, glob := range []string{folder, folder + "/*", folder + "/*/*"} {
		files, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(glob), "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file) //nolint:gosec // of this project
			if err != nil {
				t.Fatal(err)
			}
			if regexp.MustCompile(`(?m)^func Test\w*` + strings.TrimPrefix(pattern, "Test")).Match(text) {
				return true
			}
		}
	}
	return false
}
