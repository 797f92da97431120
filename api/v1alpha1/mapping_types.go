// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// Mode is what a write does to the row.
// +kubebuilder:validation:Enum=Latest;Append
type Mode string

const (
	// ModeLatest makes the newest value of a key the row.
	ModeLatest Mode = "Latest"
	// ModeAppend makes each entry of a stream a row of its own.
	ModeAppend Mode = "Append"
)

// Encoding is how a value is written in Redis.
// +kubebuilder:validation:Enum=JSON;Hash;Number;SortedSet;Stream
type Encoding string

const (
	// EncodingJSON is a JSON object in a string.
	EncodingJSON Encoding = "JSON"
	// EncodingHash is a hash, whose fields are columns.
	EncodingHash Encoding = "Hash"
	// EncodingNumber is a number in a string.
	EncodingNumber Encoding = "Number"
	// EncodingSortedSet is a sorted set, whose members are rows.
	EncodingSortedSet Encoding = "SortedSet"
	// EncodingStream is a stream, whose entries are rows.
	EncodingStream Encoding = "Stream"
)

// OnDelete is what the deletion of a key does to its row.
// +kubebuilder:validation:Enum=Delete
type OnDelete string

// OnDeleteDelete deletes the row.
const OnDeleteDelete OnDelete = "Delete"

// Mapping carries the keys under one prefix to one table.
// +kubebuilder:validation:XValidation:rule="!has(self.columns) || self.columns.all(c, c.column != self.keyColumn)",message="columns must not name the keyColumn, which the key itself fills"
// +kubebuilder:validation:XValidation:rule="!has(self.versionColumn) || self.versionColumn != self.keyColumn",message="versionColumn must not be the keyColumn, which the key itself fills"
// +kubebuilder:validation:XValidation:rule="!has(self.versionColumn) || !has(self.columns) || self.columns.all(c, c.column != self.versionColumn)",message="columns must not name the versionColumn, which the version of the write fills"
// +kubebuilder:validation:XValidation:rule="(has(self.mode) && self.mode == 'Append') == (has(self.encoding) && self.encoding == 'Stream')",message="mode Append goes with encoding Stream, and encoding Stream with mode Append: give both or neither"
// +kubebuilder:validation:XValidation:rule="has(self.valueColumn) == (has(self.encoding) && self.encoding == 'Number')",message="valueColumn, which takes the number, is required with encoding Number and not allowed with any other"
// +kubebuilder:validation:XValidation:rule="has(self.memberColumn) == (has(self.encoding) && self.encoding == 'SortedSet')",message="memberColumn, which takes the member, is required with encoding SortedSet and not allowed with any other"
// +kubebuilder:validation:XValidation:rule="has(self.scoreColumn) == (has(self.encoding) && self.encoding == 'SortedSet')",message="scoreColumn, which takes the score, is required with encoding SortedSet and not allowed with any other"
// +kubebuilder:validation:XValidation:rule="has(self.idColumn) == (has(self.encoding) && self.encoding == 'Stream')",message="idColumn, which takes the id of an entry, is required with encoding Stream and not allowed with any other"
// +kubebuilder:validation:XValidation:rule="(!has(self.valueColumn) || self.valueColumn != self.keyColumn) && (!has(self.memberColumn) || self.memberColumn != self.keyColumn) && (!has(self.scoreColumn) || self.scoreColumn != self.keyColumn) && (!has(self.idColumn) || self.idColumn != self.keyColumn)",message="valueColumn, memberColumn, scoreColumn and idColumn must not be the keyColumn, which the key itself fills"
// +kubebuilder:validation:XValidation:rule="!has(self.memberColumn) || !has(self.scoreColumn) || self.memberColumn != self.scoreColumn",message="scoreColumn must not be the memberColumn"
// +kubebuilder:validation:XValidation:rule="!has(self.columns) || size(self.columns) == 0 || !has(self.encoding) || !(self.encoding in ['Number', 'SortedSet'])",message="columns are not allowed with encoding Number or SortedSet, whose values have no fields"
// +kubebuilder:validation:XValidation:rule="!has(self.idColumn) || !has(self.columns) || self.columns.all(c, c.column != self.idColumn)",message="columns must not name the idColumn, which the entry's id fills"
// +kubebuilder:validation:XValidation:rule="!has(self.columns) || !has(self.encoding) || self.encoding == 'JSON' || self.columns.all(c, c.field != '$')",message="the field $, which is the whole document, is allowed with encoding JSON alone"
type Mapping struct {
	// name of the mapping, and of its queue. 1 to 63 of a-z, 0-9 and -,
	// beginning and ending with a letter or digit.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",message="name must be of a-z, 0-9 and -, beginning and ending with a letter or digit, such as order-items"
	Name string `json:"name,omitempty"`

	// keyPrefix begins every key of the queue; what follows it, which must not
	// be empty, is the row's key. 1 to 128 bytes. It cannot change.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:XValidation:rule="size(bytes(self)) <= 128",message="keyPrefix must be 1 to 128 bytes"
	// +kubebuilder:validation:XValidation:rule="!self.startsWith('wb:') && !'wb:'.startsWith(self)",message="keyPrefix must not overlap wb:, where the journal's own keys are"
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="keyPrefix cannot change: take the mapping out, and add another under a new name"
	KeyPrefix string `json:"keyPrefix,omitempty"`

	// table is schema.table, or a table of the schema public; each name 1 to 63
	// bytes, as it stands in PostgreSQL's catalogue (not quoted).
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=127
	// +kubebuilder:validation:XValidation:rule="!self.matches('[[:cntrl:]]') && (self.contains('.') ? self.indexOf('.') > 0 && size(bytes(self.substring(0, self.indexOf('.')))) <= 63 && size(self) > self.indexOf('.') + 1 && size(bytes(self.substring(self.indexOf('.') + 1))) <= 63 : size(bytes(self)) <= 63)",message="table must be table or schema.table, each a name of 1 to 63 bytes without control characters, as it stands in PostgreSQL's catalogue (not quoted)"
	Table string `json:"table,omitempty"`

	// keyColumn takes the rest of the key behind the prefix. It needs a primary
	// key or a unique constraint of its own; with encoding SortedSet together with
	// memberColumn, and with encoding Stream together with idColumn.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="size(bytes(self)) <= 63 && !self.matches('[[:cntrl:]]')",message="keyColumn must be a name of 1 to 63 bytes without control characters, as it stands in PostgreSQL's catalogue (not quoted)"
	KeyColumn string `json:"keyColumn,omitempty"`

	// mode is what a write does to the row. It cannot change. Defaults to Latest.
	//
	// * Latest: the newest value of a key is the row.
	// * Append: each entry of a stream is a row of its own, which is never changed. It
	//   needs capture Replication and encoding Stream.
	// +kubebuilder:default=Latest
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="mode cannot change: the entries in the queue were written in it"
	// +optional
	Mode Mode `json:"mode,omitempty"`

	// encoding is how a value is written in Redis. It cannot change. Defaults to
	// JSON.
	//
	// * JSON: a JSON object in a string.
	// * Hash: a hash, whose fields are columns. HSET of some fields writes those columns
	//   alone.
	// * Number: a number in a string, as INCR leaves it, which valueColumn takes.
	// * SortedSet: a sorted set; each member is a row of keyColumn, memberColumn and
	//   scoreColumn.
	// * Stream: a stream; each entry is a row of keyColumn, idColumn and its fields.
	//
	// All but JSON need capture Replication.
	// +kubebuilder:default=JSON
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="encoding cannot change: the values in Redis are written in it"
	// +optional
	Encoding Encoding `json:"encoding,omitempty"`

	// partitions is the number of parts of the queue that flushers share. 1 to
	// 256, defaults to 16. It cannot change.
	// +kubebuilder:default=16
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=256
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="partitions cannot change: a key must always fall into the same one"
	// +optional
	Partitions int32 `json:"partitions,omitempty"`

	// columns maps fields of the document to columns. If unset, every column takes
	// the field of its own name. At most 200, each column once.
	// +optional
	// +listType=map
	// +listMapKey=column
	// +kubebuilder:validation:MaxItems=200
	Columns []Column `json:"columns,omitempty"`

	// valueColumn takes the number of encoding Number: a column of a numeric type.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="size(bytes(self)) <= 63 && !self.matches('[[:cntrl:]]')",message="valueColumn must be a name of 1 to 63 bytes without control characters, as it stands in PostgreSQL's catalogue (not quoted)"
	ValueColumn string `json:"valueColumn,omitempty"`

	// memberColumn takes the member of encoding SortedSet. It needs a primary key or a
	// unique constraint together with keyColumn.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="size(bytes(self)) <= 63 && !self.matches('[[:cntrl:]]')",message="memberColumn must be a name of 1 to 63 bytes without control characters, as it stands in PostgreSQL's catalogue (not quoted)"
	MemberColumn string `json:"memberColumn,omitempty"`

	// scoreColumn takes the score of encoding SortedSet: a column of type double
	// precision, or one that takes the scores that are used.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="size(bytes(self)) <= 63 && !self.matches('[[:cntrl:]]')",message="scoreColumn must be a name of 1 to 63 bytes without control characters, as it stands in PostgreSQL's catalogue (not quoted)"
	ScoreColumn string `json:"scoreColumn,omitempty"`

	// idColumn takes the id of an entry of encoding Stream, such as 1700000000000-0. It
	// needs a primary key or a unique constraint together with keyColumn.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="size(bytes(self)) <= 63 && !self.matches('[[:cntrl:]]')",message="idColumn must be a name of 1 to 63 bytes without control characters, as it stands in PostgreSQL's catalogue (not quoted)"
	IDColumn string `json:"idColumn,omitempty"`

	// versionColumn is a column of type bigint that takes the version of each
	// write. A write never changes or deletes a row that has a higher version; it
	// becomes a dead letter with the cause Stale instead. The column is a second guard
	// that holds row by row. If unset, the ledger alone keeps the order. It is not
	// allowed with capture Replication, where a write has no version.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="size(bytes(self)) <= 63 && !self.matches('[[:cntrl:]]')",message="versionColumn must be a name of 1 to 63 bytes without control characters, as it stands in PostgreSQL's catalogue (not quoted)"
	VersionColumn string `json:"versionColumn,omitempty"`

	// timeToLiveSeconds is how long a clean entry stays in Redis, in seconds; a
	// dirty one has no time to live. 0 keeps clean entries too. 0 to 31536000,
	// defaults to 3600. Takes effect within 2 seconds, with no pod restart. With
	// capture Replication the application alone says how long a key stays, and no
	// other value is allowed.
	// +kubebuilder:default=3600
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=31536000
	// +optional
	TimeToLiveSeconds *int32 `json:"timeToLiveSeconds,omitempty"`

	// onDelete is what the deletion of a key does to its row. Defaults to Delete.
	//
	// * Delete: the row is deleted.
	// +kubebuilder:default=Delete
	// +optional
	OnDelete OnDelete `json:"onDelete,omitempty"`
}

// Column feeds one column from one field of the document.
type Column struct {
	// field of the document, 1 to 256 bytes; "$" is the whole document.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:XValidation:rule="size(bytes(self)) <= 256",message="field must be 1 to 256 bytes"
	Field string `json:"field,omitempty"`

	// column that the field feeds, 1 to 63 bytes, as it stands in PostgreSQL's
	// catalogue (not quoted).
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="size(bytes(self)) <= 63 && !self.matches('[[:cntrl:]]')",message="column must be a name of 1 to 63 bytes without control characters, as it stands in PostgreSQL's catalogue (not quoted)"
	Column string `json:"column,omitempty"`
}
