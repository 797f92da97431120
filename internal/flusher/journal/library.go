// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"embed"
	"strconv"
	"strings"
)

//go:embed library/*.lua
var files embed.FS

// subjects are the files of the library in the order in which Redis reads them. Together
// they are one Lua function: a local is known only below the line that declares it, and
// there may be 200 of them.
var subjects = []string{
	"library", "numbers", "calls", "settings", "keys", "entries", "life",
	"checks", "capture", "reads", "stats",
	"prefixes", "members", "targets", "queue", "leases", "epochs",
	"repair", "claims", "letters", "acknowledgement", "remedies", "inspection",
	"planted", "registration",
}

// library is the text that Redis is given. The lines that its errors name are lines of
// this text, which FUNCTION LIST LIBRARYNAME writebehind WITHCODE prints.
var library = join(subjects)

func join(subjects []string) string {
	var text strings.Builder
	text.WriteString("#!lua name=writebehind\n")
	for _, subject := range subjects {
		part, err := files.ReadFile("library/" + subject + ".lua")
		if err != nil {
			panic(err)
		}
		text.Write(part)
	}
	return text.String()
}

// LibraryVersion is the version of the function library that this package
// carries.
var LibraryVersion = libraryVersion(library)

// libraryVersion reads the one place in which the version is written down.
func libraryVersion(source string) int64 {
	_, after, _ := strings.Cut(source, "\nlocal LIBRARY = ")
	number, _, _ := strings.Cut(after, "\n")
	version, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		panic(err)
	}
	return version
}

// functions are those that the library of this release has.
var functions = functionNames(library)

func functionNames(source string) []string {
	var names []string
	for line := range strings.Lines(source) {
		if rest, registers := strings.CutPrefix(line, "register('"); registers {
			name, _, _ := strings.Cut(rest, "'")
			names = append(names, name)
		}
	}
	return names
}
