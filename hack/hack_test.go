// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package hack tests what make hands on to other programs.
package hack

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/yaml"

	"github.com/writebehind/operator/test/programs"
)

// TestKustomizeImage looks at what the script lays over config/, with a program in
// place of kustomize that prints it.
func TestKustomizeImage(t *testing.T) {
	program := filepath.Join(t.TempDir(), "kustomize")
	if err := os.WriteFile(program, []byte("#!/bin/sh\nexec cat \"$2/kustomization.yaml\"\n"), 0o755); err != nil { //nolint:gosec // it has to run
		t.Fatal(err)
	}
	for image, want := range map[string]map[string]string{
		"writebehind/operator:dev":          {"newName": "writebehind/operator", "newTag": "dev"},
		"operator":                          {"newName": "operator", "newTag": "latest"},
		"localhost:5000/operator":           {"newName": "localhost:5000/operator", "newTag": "latest"},
		"localhost:5000/a/operator:v1":      {"newName": "localhost:5000/a/operator", "newTag": "v1"},
		"operator:8":                        {"newName": "operator", "newTag": "8"},
		"r.example/operator@sha256:0a":      {"newName": "r.example/operator", "digest": "sha256:0a"},
		"r.example:1/operator:v1@sha256:0a": {"newName": "r.example:1/operator", "digest": "sha256:0a"},
	} {
		t.Run(image, func(t *testing.T) {
			command := exec.CommandContext(t.Context(), "./kustomize-image.sh", "manager")
			command.Env = append(os.Environ(), "IMG="+image, "KUSTOMIZE="+program)
			out, err := command.Output()
			if err != nil {
				t.Fatal(err)
			}
			var overlay struct {
				Images []map[string]string `json:"images"`
			}
			if err := yaml.Unmarshal(out, &overlay); err != nil {
				t.Fatal(err)
			}
			want["name"] = "controller"
			if len(overlay.Images) != 1 || len(overlay.Images[0]) != len(want) {
				t.Fatalf("images are %v, want %v", overlay.Images, want)
			}
			for field, value := range want {
				if overlay.Images[0][field] != value {
					t.Errorf("%s is %q, want %q", field, overlay.Images[0][field], value)
				}
			}
		})
	}
}

// Outside a cluster the operator has no Pod of its own to take the image from.
func TestMakeRunNamesTheFlushersImage(t *testing.T) {
	command := exec.CommandContext(t.Context(), "make", "--no-print-directory", "-n", "run", "IMG=r.example:1/operator:v1")
	command.Dir = ".."
	out, err := command.Output()
	if err != nil {
		t.Fatal(err)
	}
	if want := "--flusher-image r.example:1/operator:v1"; !strings.Contains(string(out), want) {
		t.Errorf("make run does %s without %s", out, want)
	}
}

func TestLeaderElectionRoleGivesWhatIsUsed(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "config", "rbac", "leader_election_role.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	role := &rbacv1.Role{}
	if err := yaml.UnmarshalStrict(text, role); err != nil {
		t.Fatal(err)
	}
	verbs := map[string][]string{}
	for _, rule := range role.Rules {
		for _, resource := range rule.Resources {
			verbs[strings.Join(rule.APIGroups, ",")+"/"+resource] = rule.Verbs
		}
	}
	want := map[string][]string{
		"coordination.k8s.io/leases": {"create", "get", "update"},
		"/events":                    {"create", "patch"},
	}
	if len(verbs) != len(want) {
		t.Errorf("rules are %v, want %v", verbs, want)
	}
	for resource, allowed := range want {
		if !slices.Equal(verbs[resource], allowed) {
			t.Errorf("%s may %v, want %v", resource, verbs[resource], allowed)
		}
	}
}

// TestTheBillOfMaterialsNamesTheAPIByItsModule has a program in place of cyclonedx-gomod
// that prints what that says of a module which go.mod replaces.
func TestTheBillOfMaterialsNamesTheAPIByItsModule(t *testing.T) {
	folder := t.TempDir()
	program := filepath.Join(folder, "cyclonedx-gomod")
	script := `#!/bin/sh
echo '{"name": "./api", "version": "(devel)", "purl": "pkg:golang/./api@(devel)?type=module"}'
`
	if err := os.WriteFile(program, []byte(script), 0o755); err != nil { //nolint:gosec // it has to run
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), "make", "--no-print-directory", "--old-file=build", "sbom", "VERSION=v1.2.3", "DIST="+folder, "CYCLONEDX_GOMOD="+program)
	command.Dir = ".."
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	const module = "github.com/writebehind/operator/api"
	const want = `{"name": "` + module + `", "version": "v1.2.3", "purl": "pkg:golang/` + module + `@v1.2.3?type=module"}`
	for _, of := range []string{"manager", "flusher", "kubectl-writebehind"} {
		if text, err := os.ReadFile(filepath.Join(folder, of+".cdx.json")); err != nil || strings.TrimSpace(string(text)) != want { //nolint:gosec // of this test
			t.Errorf("of the %s: %s, %v; want %s", of, text, err, want)
		}
	}
}

// TestAToolIsBuiltOnce has a program in place of go that notes what it builds.
func TestAToolIsBuiltOnce(t *testing.T) {
	folder := t.TempDir()
	builds := filepath.Join(folder, "builds")
	compiler := filepath.Join(folder, "go")
	script := "#!/bin/sh\n" +
		`[ "$1" = env ] && { echo "$COMPILER"; exit; }; echo build >>` + builds + "\n" +
		`while [ "$1" != -o ]; do shift; done; printf '#!/bin/sh\n' >"$2"; chmod +x "$2"` + "\n"
	if err := os.WriteFile(compiler, []byte(script), 0o755); err != nil { //nolint:gosec // it has to run
		t.Fatal(err)
	}
	for _, step := range []struct {
		clone, compiler string
		builds          int
	}{{"first", "go1", 1}, {"first", "go1", 1}, {"second", "go1", 1}, {"second", "go2", 2}} {
		program := filepath.Join(folder, step.clone, "bin", "helm-v4")
		command := exec.CommandContext(t.Context(), "./build-tool.sh", program, "helm.sh/helm/v4/cmd/helm", "helm")
		command.Env = append(os.Environ(), "GO="+compiler, "COMPILER="+step.compiler, "WRITEBEHIND_CACHE="+filepath.Join(folder, "cache"))
		if out, err := command.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if info, err := os.Stat(program); err != nil || info.Mode()&0o100 == 0 {
			t.Errorf("%s is no program: %v", program, err)
		}
		if text, err := os.ReadFile(builds); err != nil || strings.Count(string(text), "build") != step.builds { //nolint:gosec // of this test
			t.Errorf("in the %s clone with %s: %q, %v; want %d builds in all", step.clone, step.compiler, text, err, step.builds)
		}
	}
}

// A package whose tests start a server is none of the unit tests, whichever way it comes to
// it, and one that is decided without a server has to be.
func TestUnitTestsStartNoServer(t *testing.T) {
	list := func(packages string) (string, error) {
		out, err := exec.CommandContext(t.Context(), "./unit-tests.sh", packages).CombinedOutput()
		return string(out), err
	}
	found, err := list("./...")
	if err != nil {
		t.Fatalf("%v: %s", err, found)
	}
	listed := strings.Fields(found)
	for name, want := range map[string]bool{
		"internal/flusher": true, "internal/flusher/enginetest": true, "internal/controller/plan": true, "test/model": true,
		"internal/flusher/journal": false, "internal/flusher/journal/journaltest": false, "internal/flusher/service": false,
		"internal/controller": false, "test/integration": false, "cmd/flusher": false,
	} {
		if got := slices.Contains(listed, "github.com/writebehind/operator/"+name); got != want {
			t.Errorf("%s is a unit test: %v, want %v", name, got, want)
		}
	}
	if out, err := list("./internal/controller/..."); err == nil || !strings.Contains(out, "internal/flusher is not among the unit tests") {
		t.Errorf("without the engine: %v, %q", err, out)
	}
}

// TestWhatTakesLongestIsTestedFirst has a program in place of go that says what it tests, and
// leaves a file. Within make test it finds the folder in memory taken.
func TestWhatTakesLongestIsTestedFirst(t *testing.T) {
	program := filepath.Join(t.TempDir(), "go")
	script := "#!/bin/sh\n" + `[ "$1" = test ] || exec go "$@"; echo "$TMPDIR:$GORACE:$GOGC:$*"; [ -z "$TMPDIR" ] || touch "$TMPDIR/left"` + "\n"
	if err := os.WriteFile(program, []byte(script), 0o755); err != nil { //nolint:gosec // it has to run
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), "./go-test.sh", "./internal/plural", "./test/chaos", "./test/integration", "./internal/controller", "./test/model", "--", "-v")
	command.Env = append(os.Environ(), "GO="+program, "GORACE=", "GOGC=", "TMPDIR=")
	out, err := command.CombinedOutput()
	memory, _, _ := strings.Cut(string(out), ":")
	if left, _ := os.ReadDir(memory); memory != "" && (!strings.HasPrefix(memory, "/dev/shm/") || len(left) > 0) {
		t.Errorf("files are in %q, and left are %v", memory, left)
	}
	processors, counted := exec.CommandContext(t.Context(), "nproc").Output()
	n, _ := strconv.Atoi(strings.TrimSpace(string(processors)))
	want := fmt.Sprintf("%[1]s:atexit_sleep_ms=50:400:test -race -gcflags=all=-d=checkptr=0 -p %[2]d -parallel %[3]d -v /internal/controller /internal/plural\n"+
		"%[1]s:atexit_sleep_ms=50:400:test -p %[2]d -parallel %[3]d -v /test/integration /test/chaos /test/model\n", memory, n+1, max(8, n))
	if got := strings.ReplaceAll(string(out), "github.com/writebehind/operator", ""); errors.Join(err, counted) != nil || got != want {
		t.Errorf("%v, %v, %q, want %q", err, counted, got, want)
	}
}

// TestNothingHasUnsafePointers is why go-test.sh does without the checks of them.
func TestNothingHasUnsafePointers(t *testing.T) {
	for _, module := range []string{"..", "../api"} {
		out, err := exec.CommandContext(t.Context(), "go", "list", "-C", module, "-f",
			`{{range .Imports}}{{if eq . "unsafe"}}{{$.ImportPath}} {{end}}{{end}}`, "./...").Output()
		if err != nil || strings.TrimSpace(string(out)) != "" {
			t.Errorf("unsafe is imported by %s: %v", out, err)
		}
	}
}

// A package is tested without the race detector where its tests work the product from outside,
// or while nothing in it, in its tests, or in what they link of this project runs beside
// anything else.
func TestTheRaceDetectorIsLeftOutWhereItCanFindNothing(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "./without-race.sh", "./...").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	listed := strings.Fields(string(out))
	for name, want := range map[string]bool{
		"test/model": true, "test/model/replication": true, "internal/controller/resources": true,
		"internal/flusher": false, "internal/controller": false, "internal/flusher/journal": false, "internal/flusher/service": false,
		// Their flushers are processes, which are built with it.
		"test/chaos": true, "test/integration": true,
		// It starts nothing itself, and links what asks the flushers.
		"internal/controller/verdict": false,
		// Its tests run side by side.
		"internal/flusher/entry": false,
	} {
		if got := slices.Contains(listed, "github.com/writebehind/operator/"+name); got != want {
			t.Errorf("%s is tested without the race detector: %v, want %v", name, got, want)
		}
	}
	script, err := os.ReadFile("without-race.sh")
	if err != nil {
		t.Fatal(err)
	}
	_, outside, found := strings.Cut(string(script), "\noutside=(test/{")
	outside, _, _ = strings.Cut(outside, "})")
	if !found {
		t.Fatal("without-race.sh does not name the packages that work the product from outside")
	}
	for name := range strings.SplitSeq(outside, ",") {
		links, err := exec.CommandContext(t.Context(), "go", "list", "-test", "-deps", "-f", "{{.ImportPath}}", "../test/"+name).Output()
		if err != nil {
			t.Fatal(err)
		}
		for _, product := range []string{"internal/flusher", "internal/flusher/service", "internal/controller", "internal/controller/observe"} {
			if slices.Contains(strings.Fields(string(links)), "github.com/writebehind/operator/"+product) {
				t.Errorf("test/%s is tested without the race detector and links %s", name, product)
			}
		}
	}
	tests, err := os.ReadFile("go-test.sh")
	if want := "race=(" + strings.Join(programs.WithRaceDetector, " ") + ")"; err != nil || !strings.Contains(string(tests), want) {
		t.Errorf("go-test.sh lacks %q, the flags of what tests build: %v", want, err)
	}
}
