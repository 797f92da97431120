// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package config_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/writebehind/operator/internal/flusher/config"
)

// encoded is a config whose only mapping has these fields beside those that all have.
func encoded(capture, fields string) string {
	text := strings.Replace(minimal, "mappings:", "capture: "+capture+"\nmappings:", 1)
	if fields != "" {
		fields = ", " + fields
	}
	return strings.Replace(text, "keyColumn: id", "keyColumn: id"+fields, 1)
}

func TestEncodingsOfReplication(t *testing.T) {
	for fields, want := range map[string]config.Mapping{
		"":               {Mode: "Latest", Encoding: "JSON"},
		"encoding: Hash": {Mode: "Latest", Encoding: "Hash"},
		"encoding: Hash, columns: [{field: Price, column: price}]":                       {Mode: "Latest", Encoding: "Hash"},
		"encoding: Number, valueColumn: total":                                           {Mode: "Latest", Encoding: "Number", ValueColumn: "total"},
		"encoding: SortedSet, memberColumn: player, scoreColumn: score":                  {Mode: "Latest", Encoding: "SortedSet", MemberColumn: "player", ScoreColumn: "score"},
		"mode: Append, encoding: Stream, idColumn: at":                                   {Mode: "Append", Encoding: "Stream", IDColumn: "at"},
		"mode: Append, encoding: Stream, idColumn: at, columns: [{field: a, column: b}]": {Mode: "Append", Encoding: "Stream", IDColumn: "at"},
	} {
		c, err := config.Parse([]byte(encoded("Replication", fields)))
		if err != nil {
			t.Errorf("%s: %v", fields, err)
			continue
		}
		m := c.Mappings[0]
		want.Name, want.KeyPrefix, want.Table, want.KeyColumn = m.Name, m.KeyPrefix, m.Table, m.KeyColumn
		want.Partitions, want.TimeToLiveSeconds, want.OnDelete, want.Columns = m.Partitions, m.TimeToLiveSeconds, m.OnDelete, m.Columns
		if !reflect.DeepEqual(m, want) {
			t.Errorf("%s: %+v, want %+v", fields, m, want)
		}
	}
}

func TestBadEncodingsAreNamed(t *testing.T) {
	for name, c := range map[string]struct{ capture, fields, want string }{
		"another capture": {"Triggers", "", `capture: "Triggers" is not allowed: give Functions or Replication`},
		"a hash in functions": {
			"Functions", "encoding: Hash",
			`mappings[0].encoding: "Hash" is not allowed: give JSON, or capture: Replication: with capture Functions it comes later`,
		},
		"a number in functions":     {"Functions", "encoding: Number, valueColumn: total", "with capture Functions it comes later"},
		"a sorted set in functions": {"Functions", "encoding: SortedSet, memberColumn: m, scoreColumn: s", "with capture Functions it comes later"},
		"a stream in functions": {
			"Functions", "mode: Append, encoding: Stream, idColumn: i",
			`mappings[0].mode: "Append" is not allowed: give Latest, or capture: Replication: with capture Functions it comes later`,
		},
		"a column of a number in functions": {"Functions", "valueColumn: total", `mappings[0].valueColumn: "total" is not allowed: give none: only encoding Number has the number`},
		"another mode":                      {"Replication", "mode: Increment", `mappings[0].mode: "Increment" is not allowed: give one of Latest, Append`},
		"another encoding":                  {"Replication", "encoding: List", `mappings[0].encoding: "List" is not allowed: give one of JSON, Hash, Number, SortedSet, Stream`},
		"a stream that is not appended":     {"Replication", "encoding: Stream, idColumn: i", `mappings[0].mode: "Latest" is not allowed: give Append, which is what encoding Stream takes`},
		"a hash that is appended":           {"Replication", "encoding: Hash, mode: Append", `mappings[0].encoding: "Hash" is not allowed: give Stream, which is what mode Append takes`},
		"documents that are appended":       {"Replication", "mode: Append", `mappings[0].encoding: "JSON" is not allowed: give Stream`},
		"a number without its column":       {"Replication", "encoding: Number", `mappings[0].valueColumn: "" is not allowed: give the column that takes the number, which encoding Number has`},
		"a sorted set without a member":     {"Replication", "encoding: SortedSet, scoreColumn: s", `mappings[0].memberColumn: ""`},
		"a sorted set without a score":      {"Replication", "encoding: SortedSet, memberColumn: m", `mappings[0].scoreColumn: ""`},
		"a stream without its id":           {"Replication", "encoding: Stream, mode: Append", `mappings[0].idColumn: ""`},
		"a member of a hash":                {"Replication", "encoding: Hash, memberColumn: m", `mappings[0].memberColumn: "m" is not allowed: give none: only encoding SortedSet has the member`},
		"a column with an escape":           {"Replication", `encoding: Number, valueColumn: "a\tb"`, "without control characters"},
		"a number in the key":               {"Replication", "encoding: Number, valueColumn: id", `mappings[0].valueColumn: "id" is not allowed: give a column other than the keyColumn`},
		"a score in the member":             {"Replication", "encoding: SortedSet, memberColumn: m, scoreColumn: m", `mappings[0].scoreColumn: "m" is not allowed: give a column other than the memberColumn`},
		"a field in the id":                 {"Replication", "encoding: Stream, mode: Append, idColumn: i, columns: [{field: a, column: i}]", `mappings[0].columns[0].column: "i"`},
		"columns of a number":               {"Replication", "encoding: Number, valueColumn: total, columns: [{field: a, column: b}]", `mappings[0].columns: "1 of them" is not allowed: give none: a value of encoding Number has no fields`},
		"the whole of a hash":               {"Replication", `encoding: Hash, columns: [{field: $, column: b}]`, `mappings[0].columns[0].field: "$" is not allowed: give the name of a field: only encoding JSON has a whole document`},
		"a version":                         {"Replication", "versionColumn: v", `mappings[0].versionColumn: "v" is not allowed: give none: with capture Replication a write has no version`},
		"a time to live":                    {"Replication", "timeToLiveSeconds: 60", `mappings[0].timeToLiveSeconds: "60" is not allowed: give none: with capture Replication the application alone says how long a key stays`},
	} {
		_, err := config.Parse([]byte(encoded(c.capture, c.fields)))
		if err == nil {
			t.Errorf("%s is accepted", name)
		} else if !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %q does not say %q", name, err, c.want)
		}
	}
}

// A column is called n as a rule where it takes a number. YAML 1.1 takes that for false.
func TestABareLetterIsTheNameOfAColumn(t *testing.T) {
	for _, letter := range []string{"n", "N", "y", "Y"} {
		c, err := config.Parse([]byte(encoded("Replication", "encoding: Number, valueColumn: "+letter)))
		if err != nil || c.Mappings[0].ValueColumn != letter {
			t.Errorf("%s: %+v, %v", letter, c, err)
		}
	}
	c, err := config.Parse([]byte(strings.Replace(minimal, "mappings:", "suspend: y\ndraining: n\nmappings:", 1)))
	if err != nil || !c.Suspend || c.Draining {
		t.Errorf("y for a switch: %+v, %v", c, err)
	}
	if _, err := config.Parse([]byte(strings.Replace(minimal, "keyColumn: id", "keyColumn: no", 1))); err == nil || !strings.Contains(err.Error(), `mappings[0].keyColumn: "false" is not allowed: give text, in quotes`) {
		t.Errorf("a word for false: %v", err)
	}
	if _, err := config.Parse([]byte(strings.Replace(minimal, "mappings:", "flush: {batchSize: n}\nmappings:", 1))); err == nil || !strings.Contains(err.Error(), `flush.batchSize: "false"`) {
		t.Errorf("a letter for a number: %v", err)
	}
}
