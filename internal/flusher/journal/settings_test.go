// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package journal_test

import (
	"maps"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/writebehind/operator/internal/flusher/journal"
	"github.com/writebehind/operator/internal/flusher/journal/journaltest"
)

// A function of the library that takes settings by name, those that it needs, and those
// that its call may have besides them.
var takesSettings = regexp.MustCompile(`(?s)\nlocal engine_(\w+) = by_name\(\{(.*?)\}, `)

func TestSettingsArriveAsTheyWereGiven(t *testing.T) {
	t.Parallel()
	rdb := journaltest.New(t).Client(t)
	long := func(n int) string { return strings.Repeat("\x00é\xff", n)[:n] }
	given := []string{"a", "", "b", "\xff\x00{", "c", long(31), "d", long(255), "e", long(256), "f", long(65535), "g", long(65536), "h", "1795872000000000"}
	got, err := rdb.Eval(t.Context(), `
		local settings, list = cmsgpack.unpack(ARGV[1]), {}
		for name, value in pairs(settings) do list[#list + 1] = name; list[#list + 1] = value end
		return list`, nil, journal.Settings(given...)).StringSlice()
	if err != nil || len(got) != len(given) {
		t.Fatalf("of %d texts %d arrive: %v", len(given), len(got), err)
	}
	arrived := make(map[string]string)
	for i := 0; i < len(got); i += 2 {
		arrived[got[i]] = got[i+1]
	}
	for i := 0; i < len(given); i += 2 {
		if arrived[given[i]] != given[i+1] {
			t.Errorf("%s arrives as %.40q, want %.40q", given[i], arrived[given[i]], given[i+1])
		}
	}
}

// TestASettingThatIsMissingIsNamed leaves out each one in turn.
func TestASettingThatIsMissingIsNamed(t *testing.T) {
	t.Parallel()
	f := open(t, journaltest.New(t), onePartition)
	functions := takesSettings.FindAllStringSubmatch(journal.Library, -1)
	if len(functions) != 8 {
		t.Errorf("%d functions take settings", len(functions))
	}
	before := dump(t, f.rdb)
	for _, function := range functions {
		call := "wb_engine_" + function[1]
		code, _, _ := strings.Cut(function[2], "--")
		needed := regexp.MustCompile(`\w+`).FindAllString(code, -1)
		for i, missing := range needed {
			var given []string
			var positions []any
			for at, name := range needed {
				if at != i {
					given = append(given, name, "1")
				}
				if at < i {
					positions = append(positions, "1")
				}
			}
			want := "WBARGS the setting " + missing + " is missing"
			for _, err := range []error{
				f.rdb.FCall(t.Context(), call, nil, journal.Settings(given...)).Err(), f.rdb.FCall(t.Context(), call, nil, positions...).Err(),
			} {
				if err == nil || !strings.HasPrefix(err.Error(), want) {
					t.Errorf("%s answers %v, want %s", call, err, want)
				}
			}
		}
		for _, garbage := range []string{"\xff", "\x90", "\xc0", "\x81\x01\x02"} {
			mustFail(t, f.rdb.FCall(t.Context(), call, nil, garbage), "WBARGS")
		}
	}
	if after := dump(t, f.rdb); !maps.Equal(before, after) {
		t.Errorf("Redis has changed: %v", after)
	}
}

// TestEverySettingIsKnownToItsFunction finds a name that only one side writes so.
func TestEverySettingIsKnownToItsFunction(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("settings.go")
	if err != nil {
		t.Fatal(err)
	}
	given := make(map[string]bool)
	for _, match := range regexp.MustCompile(`\b(?:text|number|flag)\("(\w+)"`).FindAllStringSubmatch(string(source), -1) {
		given[match[1]] = true
	}
	taken := make(map[string]bool)
	for _, function := range takesSettings.FindAllStringSubmatch(journal.Library, -1) {
		for _, match := range regexp.MustCompile(`'(\w+)'|-- also: ([^\n]*)`).FindAllStringSubmatch(function[2], -1) {
			for _, name := range regexp.MustCompile(`\w+`).FindAllString(match[1]+" "+strings.NewReplacer("and all or none of", "").Replace(match[2]), -1) {
				taken[name] = true
				if !regexp.MustCompile(`\b(?:call|new|settings)\.` + name + `\b`).MatchString(journal.Library) {
					t.Errorf("nothing reads the setting %s of wb_engine_%s", name, function[1])
				}
			}
		}
	}
	for name := range given {
		if !taken[name] {
			t.Errorf("no function takes the setting %s", name)
		}
		delete(taken, name)
	}
	for name := range taken {
		t.Errorf("nobody gives the setting %s", name)
	}
}
