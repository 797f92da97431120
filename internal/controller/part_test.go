// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller_test

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	. "github.com/onsi/ginkgo/v2"
	"github.com/onsi/ginkgo/v2/types"

	"github.com/writebehind/operator/internal/controller/resources"
)

// mostLogged is how many lines of the operator's log a failure shows, the last ones.
const mostLogged = 100

// ranMuch reports whether the part has run so much that the operator must have spoken: of a
// few specs chosen by name one part may get none.
func ranMuch() bool {
	taken := 0
	for _, mine := range part.mine {
		if mine {
			taken++
		}
	}
	return taken >= 20
}

// part is what the process knows that is a part.
var part struct {
	claims  string
	notices *json.Encoder
	// mine has the specs that it has claimed, and others'.
	mine map[string]bool
	// namespaces are those that the spec has made.
	namespaces []string
}

// noticesFile is where a part tells what it has run.
const noticesFile = 3

// beginPart is for a process that is a part: it ends when its parent does.
func beginPart(claims string) {
	part.claims, part.mine = claims, map[string]bool{}
	// The notices end with the part: no API server that outlives it holds them open.
	syscall.CloseOnExec(noticesFile)
	part.notices = json.NewEncoder(os.NewFile(noticesFile, "notices"))
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		if self, err := os.FindProcess(os.Getpid()); err == nil {
			_ = self.Signal(os.Interrupt)
		}
	}()
}

// claim takes a spec, if no other part has. An ordered container is taken as a whole.
func claim(spec SpecReport) bool {
	name := spec.FullText() + " " + spec.LeafNodeLocation.String()
	if spec.IsInOrderedContainer {
		name = spec.ContainerHierarchyTexts[0]
	}
	taken, known := part.mine[name]
	if !known {
		file, err := os.OpenFile(filepath.Join(part.claims, resources.Hash(name)), os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // a folder of this test
		if err != nil && !os.IsExist(err) {
			panic(err)
		}
		taken = err == nil
		part.mine[name] = taken
		_ = file.Close()
	}
	return taken
}

var _ = BeforeEach(func() {
	part.namespaces = nil
	if part.claims != "" && !claim(CurrentSpecReport()) {
		Skip("another part has it")
	}
})

var _ = ReportBeforeSuite(func(suite Report) {
	if part.claims != "" {
		tell(notice{Will: suite.PreRunStats.SpecsThatWillRun})
	}
})

var _ = ReportAfterEach(func(spec SpecReport) {
	pending := spec.State.Is(types.SpecStatePending)
	if part.claims == "" || spec.NumAttempts == 0 && !pending || !claim(spec) {
		return
	}
	n := notice{Name: spec.FullText(), Took: spec.RunTime, Pending: pending}
	switch {
	case spec.Failed():
		n.Failure = failureText(spec)
	case pending:
		n.Skipped = "it is pending"
	case spec.State.Is(types.SpecStateSkipped):
		n.Skipped = spec.Failure.Message
	}
	tell(n)
})

func tell(n notice) {
	if err := part.notices.Encode(n); err != nil {
		panic(err)
	}
}

// failureText is what a person needs: what failed, where, after which steps, and what
// the operator said of this spec's namespaces.
func failureText(spec SpecReport) string {
	var text strings.Builder
	failed := func(f types.Failure) { fmt.Fprintf(&text, "\n%s\n%s\n", f.Location, f.Message) }
	failed(spec.Failure)
	if spec.Failure.IsZero() || spec.State.Is(types.SpecStatePanicked) {
		fmt.Fprintf(&text, "%s\n%s\n", spec.Failure.ForwardedPanic, spec.Failure.Location.FullStackTrace)
	}
	for _, more := range spec.AdditionalFailures {
		failed(more.Failure)
	}
	for _, step := range spec.SpecEvents.WithType(types.SpecEventByStart) {
		fmt.Fprintf(&text, "step: %s (%s)\n", step.Message, step.CodeLocation)
	}
	for _, report := range spec.ProgressReports {
		fmt.Fprintf(&text, "%s\n", report.Message)
	}
	log := strings.Split(spec.CapturedGinkgoWriterOutput, "\n")
	log = slices.DeleteFunc(log, func(line string) bool {
		return !slices.ContainsFunc(part.namespaces, func(name string) bool { return strings.Contains(line, name) })
	})
	if left := len(log) - mostLogged; left > 0 {
		fmt.Fprintf(&text, "%d lines of the operator's log are left out\n", left)
		log = log[left:]
	}
	text.WriteString(strings.Join(log, "\n"))
	return text.String()
}
