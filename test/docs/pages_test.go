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
)

// document is a page in Markdown, taken apart.
type document struct {
	// path is that of the file from the project's root.
	path string
	// blocks are the fenced blocks, spans the pieces of code within a line, and links the
	// targets that it names.
	blocks []block
	spans  []string
	links  []string
	// anchors are the names that its headings can be linked by.
	anchors []string
	// prose is all but the blocks.
	prose string
}

type block struct {
	language string
	lines    []string
}

func (b *block) text() string { return strings.Join(b.lines, "\n") + "\n" }

var root = filepath.Join("..", "..")

// pages are all documents of the project, by path.
func pages(t *testing.T) map[string]*document {
	t.Helper()
	all := map[string]*document{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (entry.Name() == ".git" || entry.Name() == "bin" || entry.Name() == "dist"):
			return fs.SkipDir
		case !strings.HasSuffix(path, ".md"):
			return nil
		}
		text, err := os.ReadFile(path) //nolint:gosec // of this project
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		all[filepath.ToSlash(name)] = takeApart(filepath.ToSlash(name), string(text))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"README.md", "CONTRIBUTING.md", "docs/operations.md"} {
		if all[path] == nil {
			t.Fatalf("%s is not there", path)
		}
	}
	return all
}

var (
	fence   = regexp.MustCompile("^ *```([a-z]*)$")
	span    = regexp.MustCompile("`([^`]+)`")
	link    = regexp.MustCompile(`\[[^\]]*\]\(([^)\s]+)\)`)
	named   = regexp.MustCompile(`^\[[^\]]+\]: (\S+)$`)
	heading = regexp.MustCompile(`^#{1,6} (.+)$`)
)

func takeApart(path, text string) *document {
	p := &document{path: path}
	var open *block
	indent := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		mark := fence.FindStringSubmatch(line)
		switch {
		case open != nil && mark != nil:
			p.blocks = append(p.blocks, *open)
			open = nil
		case open != nil:
			open.lines = append(open.lines, strings.TrimPrefix(line, indent))
		case mark != nil:
			open = &block{language: mark[1]}
			indent, _, _ = strings.Cut(line, "`")
		default:
			p.readLine(line)
		}
	}
	return p
}

func (p *document) readLine(line string) {
	p.prose += line + "\n"
	for _, match := range span.FindAllStringSubmatch(line, -1) {
		p.spans = append(p.spans, match[1])
	}
	plain := span.ReplaceAllString(line, "")
	for _, match := range append(link.FindAllStringSubmatch(span.ReplaceAllString(line, "code"), -1), named.FindAllStringSubmatch(plain, -1)...) {
		p.links = append(p.links, match[1])
	}
	if match := heading.FindStringSubmatch(line); match != nil {
		p.anchors = append(p.anchors, anchor(match[1]))
	}
}

var notInAnAnchor = regexp.MustCompile(`[^\p{L}\p{N} _-]`)

// anchor is the name that GitHub gives a heading.
func anchor(text string) string {
	text = link.ReplaceAllStringFunc(text, func(match string) string {
		return match[1:strings.Index(match, "]")]
	})
	return strings.ReplaceAll(notInAnAnchor.ReplaceAllString(strings.ToLower(text), ""), " ", "-")
}

func TestAPageIsTakenApart(t *testing.T) {
	p := takeApart("x.md", "# The `a` and [b](c.md)\n\nSee [d](e.md#f), `g [h](i)`.\n\n   ```sh\n   make j\n     k\n   ```\n\n[v1]: https://l\n## Nodes, drained\n")
	if !slices.Equal(p.anchors, []string{"the-a-and-b", "nodes-drained"}) || !slices.Equal(p.links, []string{"c.md", "e.md#f", "https://l"}) {
		t.Errorf("anchors %q, links %q", p.anchors, p.links)
	}
	if len(p.blocks) != 1 || p.blocks[0].language != "sh" || p.blocks[0].text() != "make j\n  k\n" || !slices.Equal(p.spans, []string{"a", "g [h](i)"}) {
		t.Errorf("blocks %q, spans %q", p.blocks, p.spans)
	}
}
