// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// pinned is the text of the function library that has the present number. A flusher loads
// its library only over one with a lower number, so the first change after a release needs
// a new number, or flushers of two releases would work with one of two texts. No Redis
// outside has what is between two releases: further changes need the new hash alone.
const (
	pinnedVersion = 5
	pinnedHash    = "51e9ea02669c186213eb8b4806847f74f437dc01a2094abab44b38fe05452af0"
)

func TestTheTextOfTheLibraryIsPinnedToItsNumber(t *testing.T) {
	t.Parallel()
	sum := sha256.Sum256([]byte(library))
	if got := hex.EncodeToString(sum[:]); got != pinnedHash || LibraryVersion != pinnedVersion {
		t.Errorf("the library has number %d and hash %s, number %d is pinned to %s: raise LIBRARY in library/library.lua "+
			"if this is the first change after a release, and pin number and hash here", LibraryVersion, got, pinnedVersion, pinnedHash)
	}
}

func TestEveryFileOfTheLibraryIsInIt(t *testing.T) {
	t.Parallel()
	there, err := fs.Glob(files, "library/*.lua")
	if err != nil {
		t.Fatal(err)
	}
	for i, path := range there {
		there[i] = strings.TrimSuffix(strings.TrimPrefix(path, "library/"), ".lua")
	}
	slices.Sort(there)
	if named := slices.Sorted(slices.Values(subjects)); !slices.Equal(named, there) {
		t.Errorf("the folder has %v, and joined are %v", there, named)
	}
}

// TestNothingOfTheLibraryIsUsedAboveItsPlace looks for what Redis finds out only when it
// comes to the line: Lua takes a name that is declared further down for a global one.
func TestNothingOfTheLibraryIsUsedAboveItsPlace(t *testing.T) {
	t.Parallel()
	declared := regexp.MustCompile(`(?m)^local (?:(function) )?(\w+)`)
	code := regexp.MustCompile(`--[^\n]*`).ReplaceAllStringFunc(library, func(comment string) string {
		return strings.Repeat(" ", len(comment))
	})
	// The first use of each word, and the first call.
	used, called := map[string]int{}, map[string]int{}
	for _, at := range regexp.MustCompile(`\w+`).FindAllStringIndex(code, -1) {
		word := code[at[0]:at[1]]
		if _, before := used[word]; !before {
			used[word] = at[0]
		}
		if _, before := called[word]; !before && strings.HasPrefix(code[at[1]:], "(") {
			called[word] = at[0]
		}
	}
	seen := make(map[string]bool)
	for _, at := range declared.FindAllStringSubmatchIndex(code, -1) {
		name := code[at[4]:at[5]]
		if seen[name] {
			t.Errorf("%s is declared twice", name)
		}
		seen[name] = true
		first, is := used[name]
		if at[2] >= 0 {
			// Other functions may have a local of that name.
			first, is = called[name]
		}
		if is && first < at[0] {
			t.Errorf("line %d uses %s, which line %d declares", strings.Count(code[:first], "\n")+1, name, strings.Count(code[:at[0]], "\n")+1)
		}
	}
	// Lua allows 200 locals in one function.
	if most := 180; len(seen) < 100 || len(seen) > most {
		t.Errorf("the library has %d locals: between 100 and %d are expected", len(seen), most)
	}
}
