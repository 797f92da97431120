// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller_test

import (
	"fmt"
	"strings"

	"github.com/writebehind/operator/api/v1alpha1"
)

const catalogueName = "a name of 1 to 63 bytes without control characters, as it stands in PostgreSQL's catalogue (not quoted)"

// identifierRule is about a name in PostgreSQL. Any is taken that PostgreSQL takes,
// since it is quoted, but none that would mangle a log or a terminal.
func identifierRule(field, name string, set func(name string) change) rule {
	return rule{
		field: field, says: name + " must be " + catalogueName,
		refuses: []attempt{
			{what: name + " of 64 bytes in wide characters", edit: set(wide(64))},
			{what: name + " with a NUL", edit: set("a\x00b")},
			{what: name + " with a line's end", edit: set("a\nb")},
			{what: name + " that colours a terminal", edit: set("\x1b[31ma")},
		},
		takes: []attempt{
			{what: name + " of 60 bytes in wide characters", edit: set(wide(60))},
			{what: name + " with quotes in it", edit: set(`a"; DROP TABLE b; --'`)},
			{what: name + " with capitals and spaces", edit: set("My Name")},
		},
	}
}

func prefixed(prefix string) change { return first(func(m *v1alpha1.Mapping) { m.KeyPrefix = prefix }) }

func beside(m v1alpha1.Mapping) change {
	return func(c *v1alpha1.WriteBehindCache) { c.Spec.Mappings = append(c.Spec.Mappings, m) }
}

func fed(field, column string) change { return columns(v1alpha1.Column{Field: field, Column: column}) }

// listing makes mappings of columns whose fields and columns have n bytes each.
func listing(mappings, perMapping, n int) change {
	return func(c *v1alpha1.WriteBehindCache) {
		c.Spec.Mappings = nil
		for i := range mappings {
			m := mapping(fmt.Sprintf("%s-%02d", strings.Repeat("m", 60), i), fmt.Sprintf("%s%02d", strings.Repeat("p", 126), i))
			m.Table = strings.Repeat("s", 63) + "." + strings.Repeat("t", 63)
			for j := range perMapping {
				name := fmt.Sprintf("%0*d", n, j)
				m.Columns = append(m.Columns, v1alpha1.Column{Field: name, Column: name})
			}
			c.Spec.Mappings = append(c.Spec.Mappings, m)
		}
	}
}

// ledgerIn gives the ledger a schema.
func ledgerIn(schema string) change {
	return func(c *v1alpha1.WriteBehindCache) { c.Spec.Database.Postgres.LedgerSchema = schema }
}

func databaseTLS(edit func(*v1alpha1.PostgresTLS)) change {
	return func(c *v1alpha1.WriteBehindCache) {
		c.Spec.Database.Postgres.TLS = &v1alpha1.PostgresTLS{}
		edit(c.Spec.Database.Postgres.TLS)
	}
}

var databaseRules = []rule{
	{
		field: "spec.database.postgres.ledgerSchema",
		says: "ledgerSchema cannot change: only the ledger that is there keeps two flushers from writing over each other: " +
			"give the name from before, which is writebehind where none was given",
		refuses: []attempt{
			{what: "another schema for the ledger", before: ledgerIn("ledgers"), edit: ledgerIn("other")},
			{what: "a schema where none was given before", before: as, edit: ledgerIn("other")},
			{what: "no schema where one was given before", before: ledgerIn("ledgers"), edit: ledgerIn("")},
			{what: "the ledger's schema in capitals", before: as, edit: ledgerIn("WriteBehind")},
		},
		takes: []attempt{
			{what: "the ledger's default schema, written down", before: as, edit: ledgerIn("writebehind")},
			{what: "another database, with the same schema", before: ledgerIn("ledgers"), edit: func(c *v1alpha1.WriteBehindCache) {
				c.Spec.Database.Postgres.URLSecretRef.Name = "another"
			}},
		},
	},
	identifierRule("spec.database.postgres.ledgerSchema", "ledgerSchema", func(name string) change {
		return func(c *v1alpha1.WriteBehindCache) { c.Spec.Database.Postgres.LedgerSchema = name }
	}),
	namesRule("spec.database.postgres.urlSecretRef.name", "name"+secretNames, func(name string) change {
		return func(c *v1alpha1.WriteBehindCache) { c.Spec.Database.Postgres.URLSecretRef.Name = name }
	}),
	keysRule("spec.database.postgres.urlSecretRef.key", "key", func(key string) change {
		return func(c *v1alpha1.WriteBehindCache) { c.Spec.Database.Postgres.URLSecretRef.Key = key }
	}),
	namesRule("spec.database.postgres.tls.caSecretRef.name", "name"+secretNames, func(name string) change {
		return databaseTLS(func(tls *v1alpha1.PostgresTLS) { tls.CASecretRef = &v1alpha1.CASecretRef{Name: name} })
	}),
	keysRule("spec.database.postgres.tls.caSecretRef.key", "key", func(key string) change {
		return databaseTLS(func(tls *v1alpha1.PostgresTLS) { tls.CASecretRef = &v1alpha1.CASecretRef{Name: "ca", Key: key} })
	}),
	namesRule("spec.database.postgres.tls.clientCertSecretRef.name", "name"+secretNames, func(name string) change {
		return databaseTLS(func(tls *v1alpha1.PostgresTLS) { tls.ClientCertSecretRef = &v1alpha1.SecretRef{Name: name} })
	}),
}

var mappingRules = []rule{
	{
		field: "spec.mappings", says: "no keyPrefix may be the same as another's or the beginning of it: a key would fall into two queues",
		refuses: []attempt{
			{what: "the same prefix twice", edit: beside(mapping("other", "product:"))},
			{what: "a prefix that begins another", edit: beside(mapping("other", "prod"))},
			{what: "a prefix that another begins", edit: beside(mapping("other", "product:new:"))},
		},
		takes: []attempt{{what: "prefixes that differ in the end", edit: beside(mapping("pages", "products:"))}},
	},
	{
		field: "spec.mappings", says: "the columns of all mappings together may name fields and columns of at most 131072 bytes: " +
			"leave columns out where each field has the name of its column, or divide the mappings between two resources",
		refuses: []attempt{{what: "more columns than an object of Kubernetes holds", edit: func(c *v1alpha1.WriteBehindCache) {
			listing(32, 128, 16)(c)
			c.Spec.Mappings[0].Columns[0].Field += "x"
		}}},
		takes: []attempt{
			{what: "the most columns", edit: listing(32, 128, 16)},
			{what: "32 mappings of 200 columns each", edit: listing(32, 200, 10)},
		},
	},
	{
		field: "spec.mappings[]", says: "columns must not name the keyColumn, which the key itself fills",
		refuses: []attempt{{what: "the key column among the columns", edit: fed("a", "id")}},
		takes:   []attempt{{what: "a field of the key column's name", edit: fed("id", "a")}},
	},
	{
		field: "spec.mappings[]", says: "versionColumn must not be the keyColumn, which the key itself fills",
		refuses: []attempt{{what: "the key column for versions", edit: first(func(m *v1alpha1.Mapping) { m.VersionColumn = "id" })}},
		takes:   []attempt{{what: "a column for versions", edit: first(func(m *v1alpha1.Mapping) { m.VersionColumn = "wb_version" })}},
	},
	{
		field: "spec.mappings[]", says: "columns must not name the versionColumn, which the version of the write fills",
		refuses: []attempt{{what: "the version column among the columns", edit: versionedBeside("v")}},
		takes:   []attempt{{what: "a version column beside the columns", edit: versionedBeside("a")}},
	},
	{
		field: "spec.mappings[].versionColumn",
		says:  "versionColumn must be a name of 1 to 63 bytes without control characters, as it stands in PostgreSQL's catalogue (not quoted)",
		refuses: []attempt{
			{what: "a version column with a line's end", edit: first(func(m *v1alpha1.Mapping) { m.VersionColumn = "a\nb" })},
			{what: "a version column of 64 bytes in wide characters", edit: first(func(m *v1alpha1.Mapping) { m.VersionColumn = wide(64) })},
		},
		takes: []attempt{{what: "a version column with a quote", edit: first(func(m *v1alpha1.Mapping) { m.VersionColumn = `a"b` })}},
	},
	{
		field: "spec.mappings[].name", says: "name must be of a-z, 0-9 and -, beginning and ending with a letter or digit, such as order-items",
		refuses: []attempt{
			{what: "a mapping with capitals", edit: first(func(m *v1alpha1.Mapping) { m.Name = "Products" })},
			{what: "a mapping that ends in -", edit: first(func(m *v1alpha1.Mapping) { m.Name = "a-" })},
			{what: "a mapping with a space", edit: first(func(m *v1alpha1.Mapping) { m.Name = "a b" })},
		},
		takes: []attempt{{what: "a mapping of one digit", edit: first(func(m *v1alpha1.Mapping) { m.Name = "1" })}},
	},
	{
		field: "spec.mappings[].keyPrefix", says: "keyPrefix must be 1 to 128 bytes",
		refuses: []attempt{{what: "a prefix of 132 bytes in wide characters", edit: prefixed(wide(132))}},
		takes:   []attempt{{what: "a prefix of 128 bytes in wide characters", edit: prefixed(wide(128))}},
	},
	{
		field: "spec.mappings[].keyPrefix", says: "keyPrefix must not overlap wb:, where the journal's own keys are",
		refuses: []attempt{
			{what: "the journal's prefix", edit: prefixed("wb:x")},
			{what: "a beginning of the journal's prefix", edit: prefixed("w")},
		},
		takes: []attempt{{what: "a prefix that is nearly the journal's", edit: prefixed("wbx:")}},
	},
	{
		field: "spec.mappings[].keyPrefix", says: "keyPrefix cannot change: take the mapping out, and add another under a new name",
		refuses: []attempt{{what: "another prefix", before: as, edit: prefixed("other:")}},
		takes: []attempt{
			{what: "mappings one for another", before: as, edit: func(c *v1alpha1.WriteBehindCache) {
				c.Spec.Mappings = []v1alpha1.Mapping{mapping("pages", "page:")}
			}},
			{what: "another order of mappings", before: beside(mapping("pages", "page:")), edit: func(c *v1alpha1.WriteBehindCache) {
				m := c.Spec.Mappings
				m[0], m[1] = m[1], m[0]
			}},
		},
	},
	{
		field: "spec.mappings[].table", says: "table must be table or schema.table, each " + catalogueName,
		refuses: []attempt{
			{what: "a table without a name", edit: inTable("public.")},
			{what: "a table without a schema's name", edit: inTable(".products")},
			{what: "a table of 64 bytes", edit: inTable(strings.Repeat("t", 64))},
			{what: "a schema of 64 bytes", edit: inTable(wide(64) + ".t")},
			{what: "a table of 64 bytes in a schema", edit: inTable("s." + wide(64))},
			{what: "a table with a NUL", edit: inTable("a\x00")},
			{what: "a table with a tab in a schema", edit: inTable("s.a\tb")},
		},
		takes: []attempt{
			{what: "a table without a schema", edit: inTable("products")},
			{what: "a table with a dot in its own name", edit: inTable("public.a.b")},
			{what: "a table with quotes in its name", edit: inTable(`public.a"; DROP TABLE b; --`)},
		},
	},
	identifierRule("spec.mappings[].keyColumn", "keyColumn", func(name string) change {
		return first(func(m *v1alpha1.Mapping) { m.KeyColumn = name })
	}),
	{
		field: "spec.mappings[].columns[].field", says: "field must be 1 to 256 bytes",
		refuses: []attempt{{what: "a field of 260 bytes in wide characters", edit: fed(wide(260), "x")}},
		takes: []attempt{
			{what: "a field of 256 bytes in wide characters", edit: fed(wide(256), "x")},
			{what: "the whole document in a column", edit: fed("$", "document")},
		},
	},
	identifierRule("spec.mappings[].columns[].column", "column", func(name string) change { return fed("a", name) }),
	{
		field: "spec.mappings[].mode", says: "mode cannot change: the entries in the queue were written in it",
		refuses: []attempt{{what: "another mode", before: encoded(v1alpha1.EncodingJSON), edit: encoded(v1alpha1.EncodingStream)}},
		takes:   []attempt{{what: "the same mode, written down", before: as, edit: first(func(m *v1alpha1.Mapping) { m.Mode = v1alpha1.ModeLatest })}},
	},
	{
		field: "spec.mappings[].encoding", says: "encoding cannot change: the values in Redis are written in it",
		refuses: []attempt{{what: "another encoding", before: encoded(v1alpha1.EncodingJSON), edit: encoded(v1alpha1.EncodingHash)}},
		takes:   []attempt{{what: "the same encoding, written down", before: as, edit: first(func(m *v1alpha1.Mapping) { m.Encoding = v1alpha1.EncodingJSON })}},
	},
	{
		field: "spec.mappings[].partitions", says: "partitions cannot change: a key must always fall into the same one",
		refuses: []attempt{{what: "another number of partitions", before: as, edit: first(func(m *v1alpha1.Mapping) { m.Partitions = 32 })}},
		takes:   []attempt{{what: "another table and column", before: as, edit: first(func(m *v1alpha1.Mapping) { m.Table, m.KeyColumn = "other", "key" })}},
	},
}

func inTable(name string) change { return first(func(m *v1alpha1.Mapping) { m.Table = name }) }

// versionedBeside has the version column v, and one column that a field feeds.
func versionedBeside(column string) func(*v1alpha1.WriteBehindCache) {
	return first(func(m *v1alpha1.Mapping) {
		m.VersionColumn, m.Columns = "v", []v1alpha1.Column{{Field: "a", Column: column}}
	})
}
