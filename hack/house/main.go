// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

// House measures how much code has to be read together: per package its lines, files,
// interfaces, largest types, and the arrows between its files that run back up. It reads
// the sources alone, so that it counts a commit that does not build here too.
//
// An arrow runs from a file to another of the same package whose name it uses: a function,
// a type, a method or a field. The files stand in the order with the fewest arrows up that a
// greedy search finds; whatever is left runs back.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"text/tabwriter"
)

func main() {
	folder := flag.String("C", ".", "the `folder` whose packages are counted")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: house [-C folder] [package folder ...]; without one, all packages of the product")
		flag.PrintDefaults()
	}
	flag.Parse()
	packages := flag.Args()
	if len(packages) == 0 {
		packages = []string{"api/...", "cmd/...", "internal/..."}
	}
	if err := show(os.Stdout, *folder, packages); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// show prints a line a package and, below, the sums and the largest types.
func show(out io.Writer, folder string, patterns []string) error {
	var all []*rooms
	for _, pattern := range patterns {
		found, err := find(folder, pattern)
		if err != nil {
			return err
		}
		all = append(all, found...)
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "lines\tof tests\tfiles\tinterfaces\tarrows\tback\t  package\t")
	var sum rooms
	for _, r := range all {
		r.print(table)
		sum.add(r)
	}
	sum.name = "all"
	sum.print(table)
	if err := table.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(out, "\nLargest types, by fields and methods:")
	types := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(types, "fields\tmethods\t  type\t")
	for _, t := range largest(all, mostTypes) {
		fmt.Fprintf(types, "%d\t%d\t  %s\t\n", t.fields, t.methods, filepath.Join(t.room, t.name))
	}
	return types.Flush()
}

// mostTypes is how many types are listed.
const mostTypes = 12

func (r *rooms) print(out io.Writer) {
	fmt.Fprintf(out, "%d\t%d\t%d\t%d\t%d\t%d\t  %s\t\n", r.lines, r.tests, r.files, r.interfaces, r.arrows, r.back, r.name)
}

func (r *rooms) add(other *rooms) {
	r.lines += other.lines
	r.tests += other.tests
	r.files += other.files
	r.interfaces += other.interfaces
	r.arrows += other.arrows
	r.back += other.back
}
