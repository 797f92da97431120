// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Links within the project lead to a file that is there and, behind a #, to a heading of
// it. Where a link leads outside nobody looks: tests reach nothing but this machine.
func TestEveryLinkLeadsSomewhere(t *testing.T) {
	all := pages(t)
	seen := 0
	for _, p := range all {
		for _, target := range p.links {
			seen++
			u, err := url.Parse(target)
			if err != nil || u.Scheme != "" && u.Scheme != "https" {
				t.Errorf("%s links to %s, which is no link, or not by https", p.path, target)
				continue
			}
			if u.Scheme != "" {
				continue
			}
			to := p.path
			if u.Path != "" {
				to = path.Join(path.Dir(p.path), u.Path)
			}
			info, err := os.Stat(filepath.Join(root, filepath.FromSlash(to)))
			switch {
			case err != nil:
				t.Errorf("%s links to %s, and there is no %s", p.path, target, to)
			case u.Fragment == "":
			case info.IsDir() || all[to] == nil:
				t.Errorf("%s links to %s, which has no headings", p.path, target)
			case !slices.Contains(all[to].anchors, u.Fragment):
				t.Errorf("%s links to %s, and the headings of %s are %s", p.path, target, to, strings.Join(all[to].anchors, ", "))
			}
		}
	}
	if seen < 100 {
		t.Errorf("only %d links were found", seen)
	}
}

// Nobody finds a page that no other one links to. Of the alerts the page about them is enough.
func TestTheReadmeLeadsToEveryPage(t *testing.T) {
	all := pages(t)
	for name := range all {
		if strings.HasPrefix(name, "docs/runbooks/") {
			if !slices.Contains(all["docs/monitoring.md"].links, strings.TrimPrefix(name, "docs/")) {
				t.Errorf("docs/monitoring.md does not lead to %s", name)
			}
			continue
		}
		if strings.HasPrefix(name, "docs/") && !slices.Contains(all["README.md"].links, name) {
			t.Errorf("README.md does not lead to %s", name)
		}
	}
}

// Two headings of one name would have one anchor, and a link leads to the first.
func TestNoPageHasAHeadingTwice(t *testing.T) {
	for _, p := range pages(t) {
		seen := map[string]bool{}
		for _, a := range p.anchors {
			if seen[a] && p.path != "CHANGELOG.md" {
				t.Errorf("%s has the heading %s twice", p.path, a)
			}
			seen[a] = true
		}
	}
}
