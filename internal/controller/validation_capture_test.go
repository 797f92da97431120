// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller_test

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/writebehind/operator/api/v1alpha1"
)

// encoded has capture Replication, and the first mapping in the encoding with the columns
// that it needs. Each edit changes the mapping further.
func encoded(encoding v1alpha1.Encoding, edits ...func(*v1alpha1.Mapping)) change {
	return func(c *v1alpha1.WriteBehindCache) {
		c.Spec.Capture = v1alpha1.CaptureReplication
		m := &c.Spec.Mappings[0]
		m.Encoding, m.Mode = encoding, v1alpha1.ModeLatest
		switch encoding {
		case v1alpha1.EncodingNumber:
			m.ValueColumn = "hits"
		case v1alpha1.EncodingSortedSet:
			m.MemberColumn, m.ScoreColumn = "player", "score"
		case v1alpha1.EncodingStream:
			m.Mode, m.IDColumn = v1alpha1.ModeAppend, "entry"
		}
		for _, edit := range edits {
			edit(m)
		}
	}
}

func captured(capture v1alpha1.Capture) change {
	return func(c *v1alpha1.WriteBehindCache) { c.Spec.Capture = capture }
}

// replicated has capture Replication, and then what the edit makes.
func replicated(edit change) change {
	return func(c *v1alpha1.WriteBehindCache) {
		c.Spec.Capture = v1alpha1.CaptureReplication
		edit(c)
	}
}

func backlogOf(amount string) change {
	return replicated(func(c *v1alpha1.WriteBehindCache) {
		c.Spec.Redis.Managed.Replication = &v1alpha1.ManagedReplication{Backlog: resource.MustParse(amount)}
	})
}

func limitedTo(memory string, edits ...change) change {
	return replicated(func(c *v1alpha1.WriteBehindCache) {
		for _, edit := range edits {
			edit(c)
		}
		c.Spec.Redis.Managed.MaxMemory = resource.MustParse("256Mi")
		c.Spec.Redis.Managed.Resources.Limits = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse(memory)}
	})
}

func withoutCapture(edit change) change {
	return func(c *v1alpha1.WriteBehindCache) {
		edit(c)
		c.Spec.Capture = ""
	}
}

// ownColumnRule is about a column that one encoding has and no other.
func ownColumnRule(column, takes string, encoding, another v1alpha1.Encoding, of func(*v1alpha1.Mapping) *string) rule {
	give := func(name string) func(*v1alpha1.Mapping) { return func(m *v1alpha1.Mapping) { *of(m) = name } }
	return rule{
		field: "spec.mappings[]", says: fmt.Sprintf("%s, which takes %s, is required with encoding %s and not allowed with any other", column, takes, encoding),
		refuses: []attempt{
			{what: fmt.Sprintf("%s without %s", encoding, column), edit: encoded(encoding, give(""))},
			{what: fmt.Sprintf("%s with %s", another, column), edit: encoded(another, give("other"))},
		},
		takes: []attempt{{what: fmt.Sprintf("%s with %s", encoding, column), edit: encoded(encoding, give("other"))}},
	}
}

var captureRules = []rule{
	{
		field: "spec.capture", says: "capture cannot change: what was written the one way is not found the other way; create another resource, and delete this one once it is drained",
		refuses: []attempt{
			{what: "another capture", before: captured(v1alpha1.CaptureFunctions), edit: captured(v1alpha1.CaptureReplication)},
			{what: "a capture where none was given before", before: as, edit: captured(v1alpha1.CaptureReplication)},
			{what: "no capture where one was given before", before: captured(v1alpha1.CaptureReplication), edit: captured("")},
		},
		takes: []attempt{{what: "the default capture, written down", before: as, edit: captured(v1alpha1.CaptureFunctions)}},
	},
	{
		field: "spec", says: "with capture Functions a mapping has mode Latest and encoding JSON: mode Append and the encodings Hash, Number, SortedSet and Stream come later there, " +
			"and are allowed with capture Replication",
		refuses: []attempt{
			{what: "Hash with capture Functions", at: "spec.mappings", edit: withoutCapture(encoded(v1alpha1.EncodingHash))},
			{what: "Number with capture Functions", at: "spec.mappings", edit: withoutCapture(encoded(v1alpha1.EncodingNumber))},
			{what: "SortedSet with capture Functions", at: "spec.mappings", edit: withoutCapture(encoded(v1alpha1.EncodingSortedSet))},
			{what: "Stream with capture Functions", at: "spec.mappings", edit: withoutCapture(encoded(v1alpha1.EncodingStream))},
		},
		takes: []attempt{
			{what: "Hash with capture Replication", edit: encoded(v1alpha1.EncodingHash)},
			{what: "JSON with capture Replication", edit: encoded(v1alpha1.EncodingJSON)},
		},
	},
	{
		field: "spec", says: "versionColumn is not allowed with capture Replication, where a write has no version: leave it out",
		refuses: []attempt{{what: "versions with capture Replication", at: "spec.mappings", edit: encoded(v1alpha1.EncodingJSON, func(m *v1alpha1.Mapping) { m.VersionColumn = "v" })}},
		takes:   []attempt{{what: "a version column with capture Functions", edit: first(func(m *v1alpha1.Mapping) { m.VersionColumn = "v" })}},
	},
	{
		field: "spec", says: "timeToLiveSeconds is not allowed with capture Replication, where the application alone says how long a key stays: leave it out",
		refuses: []attempt{{what: "a time to live with capture Replication", at: "spec.mappings", edit: encoded(v1alpha1.EncodingJSON, func(m *v1alpha1.Mapping) { m.TimeToLiveSeconds = new(int32(0)) })}},
		takes:   []attempt{{what: "the default time to live with capture Replication", edit: encoded(v1alpha1.EncodingJSON, func(m *v1alpha1.Mapping) { m.TimeToLiveSeconds = new(int32(3600)) })}},
	},
	{
		field: "spec", says: "whenFull is not allowed with capture Replication, where Redis accepts every write: leave it out",
		refuses: []attempt{{what: "Accept with capture Replication", at: "spec.backpressure", edit: replicated(func(c *v1alpha1.WriteBehindCache) { c.Spec.Backpressure.WhenFull = v1alpha1.WhenFullAccept })}},
		takes:   []attempt{{what: "marks with capture Replication", edit: replicated(marks(5, 6))}},
	},
	{
		field: "spec", says: "redis.managed.replication is for capture Replication alone: leave it out",
		refuses: []attempt{{what: "a backlog with capture Functions", at: "spec.redis", edit: withoutCapture(backlogOf("64Mi"))}},
		takes:   []attempt{{what: "a backlog with capture Replication", edit: backlogOf("64Mi")}},
	},
	{
		field: "spec", says: "with capture Replication redis.managed.resources.limits.memory must not be below maxMemory and twice replication.backlog (64Mi unless given): " +
			"the backlog and what waits for a flusher come on top of the data",
		refuses: []attempt{
			{what: "a limit without room for the backlog", at: "spec.redis", edit: limitedTo("383Mi")},
			{what: "a limit without room for the given backlog", at: "spec.redis", edit: limitedTo("384Mi", backlogOf("65Mi"))},
		},
		takes: []attempt{
			{what: "a limit with room for the backlog", edit: limitedTo("384Mi")},
			{what: "a limit with room for the given backlog", edit: limitedTo("386Mi", backlogOf("65Mi"))},
		},
	},
	{
		field: "spec.redis.managed.replication.backlog", says: "backlog must be an amount from 1Mi to 1Ti without an exponent, such as 64Mi",
		refuses: []attempt{
			{what: "hardly a backlog", edit: backlogOf("1023Ki")},
			{what: "a backlog without an end", edit: backlogOf("2Ti")},
		},
		takes: []attempt{{what: "the least backlog", edit: backlogOf("1Mi")}, {what: "the largest backlog", edit: backlogOf("1Ti")}},
	},
	{
		field: "spec.mappings[]", says: "mode Append goes with encoding Stream, and encoding Stream with mode Append: give both or neither",
		refuses: []attempt{
			{what: "Append of hashes", edit: encoded(v1alpha1.EncodingHash, func(m *v1alpha1.Mapping) { m.Mode = v1alpha1.ModeAppend })},
			{what: "the latest of a stream", edit: encoded(v1alpha1.EncodingStream, func(m *v1alpha1.Mapping) { m.Mode = v1alpha1.ModeLatest })},
		},
		takes: []attempt{{what: "Append of a stream", edit: encoded(v1alpha1.EncodingStream)}},
	},
	ownColumnRule("valueColumn", "the number", v1alpha1.EncodingNumber, v1alpha1.EncodingHash, func(m *v1alpha1.Mapping) *string { return &m.ValueColumn }),
	ownColumnRule("memberColumn", "the member", v1alpha1.EncodingSortedSet, v1alpha1.EncodingNumber, func(m *v1alpha1.Mapping) *string { return &m.MemberColumn }),
	ownColumnRule("scoreColumn", "the score", v1alpha1.EncodingSortedSet, v1alpha1.EncodingStream, func(m *v1alpha1.Mapping) *string { return &m.ScoreColumn }),
	ownColumnRule("idColumn", "the id of an entry", v1alpha1.EncodingStream, v1alpha1.EncodingJSON, func(m *v1alpha1.Mapping) *string { return &m.IDColumn }),
	{
		field: "spec.mappings[]", says: "valueColumn, memberColumn, scoreColumn and idColumn must not be the keyColumn, which the key itself fills",
		refuses: []attempt{
			{what: "the key column for the number", edit: encoded(v1alpha1.EncodingNumber, func(m *v1alpha1.Mapping) { m.ValueColumn = "id" })},
			{what: "the key column for the member", edit: encoded(v1alpha1.EncodingSortedSet, func(m *v1alpha1.Mapping) { m.MemberColumn = "id" })},
			{what: "the key column for the score", edit: encoded(v1alpha1.EncodingSortedSet, func(m *v1alpha1.Mapping) { m.ScoreColumn = "id" })},
			{what: "the key column for the entry's id", edit: encoded(v1alpha1.EncodingStream, func(m *v1alpha1.Mapping) { m.IDColumn = "id" })},
		},
		takes: []attempt{{what: "a column of its own for the number", edit: encoded(v1alpha1.EncodingNumber)}},
	},
	{
		field: "spec.mappings[]", says: "scoreColumn must not be the memberColumn",
		refuses: []attempt{{what: "one column for member and score", edit: encoded(v1alpha1.EncodingSortedSet, func(m *v1alpha1.Mapping) { m.ScoreColumn = "player" })}},
		takes:   []attempt{{what: "columns for member and score", edit: encoded(v1alpha1.EncodingSortedSet)}},
	},
	{
		field: "spec.mappings[]", says: "columns are not allowed with encoding Number or SortedSet, whose values have no fields",
		refuses: []attempt{
			{what: "fields of a number", edit: encoded(v1alpha1.EncodingNumber, feed("a", "b"))},
			{what: "fields of a member", edit: encoded(v1alpha1.EncodingSortedSet, feed("a", "b"))},
		},
		takes: []attempt{{what: "fields of a hash", edit: encoded(v1alpha1.EncodingHash, feed("a", "b"))}, {what: "fields of a stream's entry", edit: encoded(v1alpha1.EncodingStream, feed("a", "b"))}},
	},
	{
		field: "spec.mappings[]", says: "columns must not name the idColumn, which the entry's id fills",
		refuses: []attempt{{what: "the id column among the columns", edit: encoded(v1alpha1.EncodingStream, feed("a", "entry"))}},
		takes:   []attempt{{what: "a field of the id column's name", edit: encoded(v1alpha1.EncodingStream, feed("entry", "a"))}},
	},
	{
		field: "spec.mappings[]", says: "the field $, which is the whole document, is allowed with encoding JSON alone",
		refuses: []attempt{{what: "a whole hash in a column", edit: encoded(v1alpha1.EncodingHash, feed("$", "b"))}},
		takes:   []attempt{{what: "a whole document in a column, with capture Replication", edit: encoded(v1alpha1.EncodingJSON, feed("$", "b"))}},
	},
	identifierRule("spec.mappings[].valueColumn", "valueColumn", func(name string) change {
		return encoded(v1alpha1.EncodingNumber, func(m *v1alpha1.Mapping) { m.ValueColumn = name })
	}),
	identifierRule("spec.mappings[].memberColumn", "memberColumn", func(name string) change {
		return encoded(v1alpha1.EncodingSortedSet, func(m *v1alpha1.Mapping) { m.MemberColumn = name })
	}),
	identifierRule("spec.mappings[].scoreColumn", "scoreColumn", func(name string) change {
		return encoded(v1alpha1.EncodingSortedSet, func(m *v1alpha1.Mapping) { m.ScoreColumn = name })
	}),
	identifierRule("spec.mappings[].idColumn", "idColumn", func(name string) change {
		return encoded(v1alpha1.EncodingStream, func(m *v1alpha1.Mapping) { m.IDColumn = name })
	}),
}

// feed is one column that a field feeds.
func feed(field, column string) func(*v1alpha1.Mapping) {
	return func(m *v1alpha1.Mapping) { m.Columns = []v1alpha1.Column{{Field: field, Column: column}} }
}
