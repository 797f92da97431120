// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// rooms are the files of one package. Generated files do not count.
type rooms struct {
	name                                          string
	lines, tests, files, interfaces, arrows, back int
	types                                         []size
}

// size is how large a struct is.
type size struct {
	room, name      string
	fields, methods int
}

// find counts the packages of a pattern: a folder below the one given, or, with /... at
// its end, all below that. Helpers of tests are no product.
func find(folder, pattern string) ([]*rooms, error) {
	below, all := strings.CutSuffix(pattern, "/...")
	if !all {
		r, err := count(folder, pattern)
		return []*rooms{r}, err
	}
	var found []*rooms
	err := filepath.WalkDir(filepath.Join(folder, below), func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		if d.Name() == "testdata" || strings.HasSuffix(d.Name(), "test") {
			return fs.SkipDir
		}
		name, err := filepath.Rel(folder, path)
		if err != nil {
			return err
		}
		r, err := count(folder, name)
		if err == nil && r.files > 0 {
			found = append(found, r)
		}
		return err
	})
	return found, err
}

// count reads one package.
func count(folder, name string) (*rooms, error) {
	r := &rooms{name: name}
	names, err := filepath.Glob(filepath.Join(folder, name, "*.go"))
	if err != nil {
		return nil, err
	}
	set := token.NewFileSet()
	var files []*ast.File
	for _, path := range names {
		text, err := os.ReadFile(path) //nolint:gosec // what the caller names
		if err != nil {
			return nil, err
		}
		lines := bytes.Count(text, []byte("\n"))
		if strings.HasSuffix(path, "_test.go") {
			r.tests += lines
			continue
		}
		file, err := parser.ParseFile(set, path, text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		if ast.IsGenerated(file) {
			continue
		}
		r.lines += lines
		r.files++
		files = append(files, file)
	}
	r.measure(set, files)
	return r, nil
}

// measure finds types, interfaces and arrows. What is imported is not looked at: names of
// the package itself are known without it.
func (r *rooms) measure(set *token.FileSet, files []*ast.File) {
	info := &types.Info{Uses: map[*ast.Ident]types.Object{}, Selections: map[*ast.SelectorExpr]*types.Selection{}}
	check := types.Config{Importer: none{}, Error: func(error) {}, FakeImportC: true}
	pkg, _ := check.Check(r.name, set, files, info) // its errors are of what is imported
	for _, name := range pkg.Scope().Names() {
		declared, isType := pkg.Scope().Lookup(name).(*types.TypeName)
		if !isType || declared.IsAlias() {
			continue
		}
		switch is := declared.Type().Underlying().(type) {
		case *types.Interface:
			if is.IsMethodSet() {
				r.interfaces++
			}
		case *types.Struct:
			if named, ok := declared.Type().(*types.Named); ok {
				r.types = append(r.types, size{r.name, name, is.NumFields(), named.NumMethods()})
			}
		}
	}
	arrows := map[string]map[string]bool{}
	for at, used := range info.Uses {
		if used.Pkg() != pkg || used.Pos() == token.NoPos || isLocal(used, pkg) {
			continue
		}
		from, to := set.Position(at.Pos()).Filename, set.Position(used.Pos()).Filename
		if from == to {
			continue
		}
		if arrows[from] == nil {
			arrows[from] = map[string]bool{}
		}
		arrows[from][to] = true
	}
	for _, to := range arrows {
		r.arrows += len(to)
	}
	r.back = back(arrows)
}

// isLocal tells whether a name belongs to one function alone.
func isLocal(used types.Object, pkg *types.Package) bool {
	if v, ok := used.(*types.Var); ok && v.IsField() {
		return false
	}
	if f, ok := used.(*types.Func); ok && f.Signature().Recv() != nil {
		return false
	}
	return used.Parent() != pkg.Scope()
}

// back counts the arrows that run up, in an order of the files that has few of them: time
// and again the file that is used least and uses most goes on top (Eades, Lin and Smyth).
func back(arrows map[string]map[string]bool) int {
	left := map[string]bool{}
	for from, to := range arrows {
		left[from] = true
		for file := range to {
			left[file] = true
		}
	}
	place := map[string]int{}
	for len(left) > 0 {
		out, in := map[string]int{}, map[string]int{}
		for from, to := range arrows {
			for file := range to {
				if left[from] && left[file] {
					out[from]++
					in[file]++
				}
			}
		}
		top := slices.MaxFunc(slices.Sorted(maps.Keys(left)), func(a, b string) int {
			// A file that nobody uses comes at once.
			return cmp.Or(cmp.Compare(free(in[a]), free(in[b])), cmp.Compare(out[a]-in[a], out[b]-in[b]))
		})
		place[top] = len(place)
		delete(left, top)
	}
	up := 0
	for from, to := range arrows {
		for file := range to {
			if place[file] < place[from] {
				up++
			}
		}
	}
	return up
}

func free(in int) int {
	if in == 0 {
		return 1
	}
	return 0
}

// largest are the types with the most fields and methods.
func largest(all []*rooms, most int) []size {
	var sizes []size
	for _, r := range all {
		sizes = append(sizes, r.types...)
	}
	slices.SortStableFunc(sizes, func(a, b size) int { return cmp.Compare(b.fields+b.methods, a.fields+a.methods) })
	return sizes[:min(most, len(sizes))]
}

// none imports nothing.
type none struct{}

func (none) Import(path string) (*types.Package, error) {
	return nil, fmt.Errorf("%w: %s", errNotRead, path)
}

var errNotRead = errors.New("not read")
