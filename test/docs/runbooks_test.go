// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"path"
	"regexp"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// alertFiles have all alerts: those of flushers, of a resource of each capture, and of the
// operator.
var alertFiles = []string{
	"config/prometheus/alerts.yaml", "config/prometheus/operator_alerts.yaml",
	"internal/controller/resources/testdata/prometheusrule.yaml", "internal/controller/resources/testdata/prometheusrule_replication.yaml",
}

// runbookSections are what each page answers, in this order.
var runbookSections = []string{"what-it-means", "what-to-look-at", "what-to-do", "what-not-to-do"}

// Whoever is woken up by an alert follows its link: it has to lead to a page of the alert's
// name, and a page that no alert leads to tells of something that is gone.
func TestEachAlertHasItsPageAndEachPageItsAlert(t *testing.T) {
	all := pages(t)
	alerts := map[string]bool{}
	for _, file := range alertFiles {
		type groups []struct {
			Rules []struct {
				Alert       string
				Annotations map[string]string
			}
		}
		// A file of rules has them at the top, an object of Kubernetes in its spec.
		var content struct {
			Groups groups
			Spec   struct{ Groups groups }
		}
		if err := yaml.Unmarshal([]byte(read(t, strings.Split(file, "/")...)), &content); err != nil {
			t.Fatal(err)
		}
		found := 0
		for _, group := range append(content.Groups, content.Spec.Groups...) {
			for _, rule := range group.Rules {
				found++
				alerts[rule.Alert] = true
				if want := "https://github.com/writebehind/operator/blob/main/docs/runbooks/" + rule.Alert + ".md"; rule.Annotations["runbook_url"] != want {
					t.Errorf("%s: runbook_url of %s is %q, want %s", file, rule.Alert, rule.Annotations["runbook_url"], want)
				}
			}
		}
		if found == 0 {
			t.Errorf("%s has no alerts", file)
		}
	}
	for name := range alerts {
		page := all["docs/runbooks/"+name+".md"]
		if page == nil {
			t.Errorf("there is no docs/runbooks/%s.md", name)
			continue
		}
		if got, want := strings.Join(page.anchors, " "), strings.ToLower(name)+" "+strings.Join(runbookSections, " "); got != want {
			t.Errorf("%s has the headings %s, want %s", page.path, got, want)
		}
		for _, section := range regexp.MustCompile(`(?m)^## .*$`).Split(page.prose, -1)[1:] {
			if len(strings.TrimSpace(section)) < 40 {
				t.Errorf("%s has a section that says nothing: %q", page.path, section)
			}
		}
	}
	for name := range all {
		if path.Dir(name) == "docs/runbooks" && !alerts[strings.TrimSuffix(path.Base(name), ".md")] {
			t.Errorf("no alert leads to %s", name)
		}
	}
}

// fromTheMessage sends a reader to a condition for a command.
var fromTheMessage = regexp.MustCompile("(?i)(?:GRANT|ACL SETUSER|CONFIG SET|ALTER TABLE|command)`? (?:of|in|of the|in the) (?:the )?(?:condition's )?message|message has the `?(?:GRANT|ACL|CONFIG|ALTER)|command to paste")

// A command that a flusher names is left out of the conditions, so nobody is to look for it there.
func TestNoPageSendsAnybodyToAConditionForACommand(t *testing.T) {
	for path, page := range pages(t) {
		if found := fromTheMessage.FindString(page.prose); found != "" {
			t.Errorf("%s: %q, and no message has one: the flushers' log does", path, found)
		}
	}
}
