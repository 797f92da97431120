// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"slices"
	"strings"
)

// wholeDocument is the field that stands for the document itself.
const wholeDocument = "$"

func (c *Config) validateCapture() error {
	if c.Capture != CaptureFunctions && c.Capture != CaptureReplication {
		return invalid("capture", c.Capture, CaptureFunctions+" or "+CaptureReplication)
	}
	if c.Capture == CaptureReplication && c.Backpressure.WhenFull == WhenFullAccept {
		return invalid("backpressure.whenFull", c.Backpressure.WhenFull, "none: with capture Replication Redis accepts every write")
	}
	return nil
}

// encodings are those of each mode.
var encodings = map[string][]string{
	ModeLatest: {EncodingJSON, EncodingHash, EncodingNumber, EncodingSortedSet},
	ModeAppend: {EncodingStream},
}

// ownColumns are the fields of a mapping that name a column for one encoding alone, each
// with that encoding and what the column takes.
var ownColumns = []struct {
	field, encoding, takes string
	of                     func(*Mapping) string
}{
	{"valueColumn", EncodingNumber, "the number", func(m *Mapping) string { return m.ValueColumn }},
	{"memberColumn", EncodingSortedSet, "the member", func(m *Mapping) string { return m.MemberColumn }},
	{"scoreColumn", EncodingSortedSet, "the score", func(m *Mapping) string { return m.ScoreColumn }},
	{"idColumn", EncodingStream, "the id of an entry", func(m *Mapping) string { return m.IDColumn }},
}

// validateEncoding checks what a value of the mapping is, and the columns that belong to
// that.
func (m *Mapping) validateEncoding(field, capture string) error {
	if err := m.validateMode(field, capture); err != nil {
		return err
	}
	if capture == CaptureReplication && m.VersionColumn != "" {
		return invalid(field+"versionColumn", m.VersionColumn, "none: with capture Replication a write has no version")
	}
	taken := map[string]string{m.KeyColumn: "keyColumn"}
	for _, own := range ownColumns {
		name := own.of(m)
		switch {
		case own.encoding != m.Encoding && name != "":
			return invalid(field+own.field, name, fmt.Sprintf("none: only encoding %s has %s", own.encoding, own.takes))
		case own.encoding != m.Encoding:
			continue
		case name == "":
			return invalid(field+own.field, name, fmt.Sprintf("the column that takes %s, which encoding %s has", own.takes, m.Encoding))
		}
		if err := identifier(field+own.field, name); err != nil {
			return err
		}
		if other := taken[name]; other != "" {
			return invalid(field+own.field, name, "a column other than the "+other)
		}
		taken[name] = own.field
	}
	if len(m.Columns) > 0 && (m.Encoding == EncodingNumber || m.Encoding == EncodingSortedSet) {
		return invalid(field+"columns", fmt.Sprintf("%d of them", len(m.Columns)), fmt.Sprintf("none: a value of encoding %s has no fields", m.Encoding))
	}
	return nil
}

// validateMode checks mode and encoding against each other and against the capture.
func (m *Mapping) validateMode(field, capture string) error {
	for _, given := range []struct {
		field, value, ofFunctions string
		all                       []string
	}{
		{"mode", m.Mode, ModeLatest, []string{ModeLatest, ModeAppend}},
		{"encoding", m.Encoding, EncodingJSON, slices.Concat(encodings[ModeLatest], encodings[ModeAppend])},
	} {
		known := slices.Contains(given.all, given.value)
		switch {
		case given.value == given.ofFunctions:
		case capture == CaptureFunctions && known:
			return invalid(field+given.field, given.value, fmt.Sprintf("%s, or capture: %s: with capture %s it comes later",
				given.ofFunctions, CaptureReplication, CaptureFunctions))
		case capture == CaptureFunctions:
			return invalid(field+given.field, given.value, given.ofFunctions)
		case !known:
			return invalid(field+given.field, given.value, "one of "+strings.Join(given.all, ", "))
		}
	}
	switch {
	case slices.Contains(encodings[m.Mode], m.Encoding):
		return nil
	case m.Encoding == EncodingStream:
		return invalid(field+"mode", m.Mode, fmt.Sprintf("%s, which is what encoding %s takes", ModeAppend, EncodingStream))
	}
	return invalid(field+"encoding", m.Encoding, fmt.Sprintf("%s, which is what mode %s takes", strings.Join(encodings[m.Mode], ", "), m.Mode))
}
