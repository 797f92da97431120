// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// workflow is as much of one of GitHub's as is checked here; actionlint knows the rest.
type workflow struct {
	Permissions any            `json:"permissions"`
	Jobs        map[string]job `json:"jobs"`
}

type job struct {
	Steps []struct {
		Run string `json:"run"`
	} `json:"steps"`
}

// pinned is an action by the commit that it is at, with its version for a person. The
// comment is not in the parsed file.
var pinned = regexp.MustCompile(`^ *(?:- )?uses: (?:[a-z-]+/[a-z-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+|\./\.github/workflows/[a-z0-9]+\.yml)$`)

func TestTheWorkflowsRunWhatMakeHasAndPinnedActions(t *testing.T) {
	m := readMakefile(t)
	files, err := filepath.Glob(filepath.Join(root, ".github", "workflows", "*.yml"))
	if err != nil || len(files) < 4 {
		t.Fatalf("%d workflows, %v", len(files), err)
	}
	for _, file := range files {
		name := filepath.Base(file)
		text, err := os.ReadFile(file) //nolint:gosec // of this project
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if strings.Contains(line, "uses:") && !pinned.MatchString(strings.TrimSuffix(line, "\n")) {
				t.Errorf("%s: %q is not pinned by a commit, with its version in a comment", name, strings.TrimSpace(line))
			}
		}
		w := &workflow{}
		if err := yaml.Unmarshal(text, w); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if w.Permissions == nil || len(w.Jobs) == 0 {
			t.Errorf("%s names no permissions, and so takes all, or has no jobs", name)
		}
		for _, j := range w.Jobs {
			for _, step := range j.Steps {
				for line := range strings.Lines(step.Run) {
					if _, wrong := m.check(line); len(wrong) > 0 {
						t.Errorf("%s: %q: the Makefile lacks %s", name, strings.TrimSpace(line), strings.Join(wrong, ", "))
					}
				}
			}
		}
	}
}

// Every module gets its updates, but those whose versions have to fit a release of
// Kubernetes.
func TestDependabotKnowsEveryModule(t *testing.T) {
	var dependabot struct {
		Updates []struct {
			Ecosystem   string   `json:"package-ecosystem"`
			Directory   string   `json:"directory"`
			Directories []string `json:"directories"`
		} `json:"updates"`
	}
	if err := yaml.Unmarshal([]byte(read(t, ".github", "dependabot.yml")), &dependabot); err != nil {
		t.Fatal(err)
	}
	known := []string{"/hack/cluster/kubernetes", "/test/policies/judge"}
	for _, update := range dependabot.Updates {
		if update.Ecosystem == "gomod" {
			known = append(known, append(update.Directories, update.Directory)...)
		}
	}
	modules := 0
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.Name() != "go.mod" {
			return err
		}
		modules++
		folder, err := filepath.Rel(root, filepath.Dir(path))
		if name := strings.TrimSuffix("/"+filepath.ToSlash(folder), "."); !slices.Contains(known, name) {
			t.Errorf("dependabot does not know the module in %s", name)
		}
		return err
	})
	if err != nil || modules < 5 {
		t.Errorf("%d modules, %v", modules, err)
	}
}

// A release takes its notes from the changelog, and its version from the chart.
func TestTheChangelogBeginsWithTheChartsVersion(t *testing.T) {
	first := regexp.MustCompile(`(?m)^## \[(v[0-9.]+)\] - (?:Unreleased|20\d\d-\d\d-\d\d)$`).FindStringSubmatch(read(t, "CHANGELOG.md"))
	chart := read(t, "charts", "writebehind", "Chart.yaml")
	if first == nil || !strings.Contains(chart, "\nappVersion: "+first[1]+"\n") || !strings.Contains(chart, "\nversion: "+first[1][1:]+"\n") {
		t.Errorf("CHANGELOG.md begins with %q, and Chart.yaml is\n%s", first, chart)
	}
}

func TestEveryFileOfGitHubIsYAML(t *testing.T) {
	for _, folder := range []string{"", "workflows", "ISSUE_TEMPLATE"} {
		files, err := filepath.Glob(filepath.Join(root, ".github", folder, "*.yml"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %d files, %v", folder, len(files), err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file) //nolint:gosec // of this project
			if err != nil {
				t.Fatal(err)
			}
			if err := yaml.UnmarshalStrict(text, &map[string]any{}); err != nil {
				t.Errorf("%s: %v", file, err)
			}
		}
	}
}

var (
	// fromBuild is the line of the Dockerfile that copies the programs into the image.
	fromBuild = regexp.MustCompile(`(?m)^COPY --from=build (.+) /$`)
	// forPrograms is a loop over programs.
	forPrograms = regexp.MustCompile(`for program in ([^;]+); do`)
)

// A program of the image without its bill of materials is one that nobody finds in a search for
// what has a vulnerability.
func TestEachProgramOfTheImageHasItsBillOfMaterials(t *testing.T) {
	copied := fromBuild.FindStringSubmatch(read(t, "Dockerfile"))
	if copied == nil {
		t.Fatal("the Dockerfile copies no program")
	}
	want := strings.ReplaceAll(copied[1], "/out/", "")
	for _, file := range [][]string{{"Makefile"}, {".github", "workflows", "release.yml"}} {
		if made := forPrograms.FindStringSubmatch(read(t, file...)); made == nil || made[1] != want {
			t.Errorf("%s: the bills of materials are for %v, and the image has %s", strings.Join(file, "/"), made, want)
		}
	}
}
