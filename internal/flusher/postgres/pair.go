// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/writebehind/operator/internal/flusher/config"
)

// together is what the catalogue says about the two columns by which rows are found where
// a key has several.
type together struct {
	// unique says that no two rows have both in common, deferrable are the quoted names of
	// constraints to that effect that an upsert stumbles over.
	unique     bool
	deferrable []string
}

const togetherSQL = `
SELECT EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = $1 AND i.indisunique AND i.indimmediate AND i.indisvalid AND i.indisready
    AND i.indpred IS NULL AND i.indexprs IS NULL AND i.indnkeyatts = 2
    AND (i.indkey[0] = $2::pg_catalog.int2 AND i.indkey[1] = $3::pg_catalog.int2 OR i.indkey[0] = $3::pg_catalog.int2 AND i.indkey[1] = $2::pg_catalog.int2)
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_collation l WHERE l.oid = ANY (i.indcollation::pg_catalog.oid[]) AND NOT l.collisdeterministic)),
  ARRAY(SELECT pg_catalog.quote_ident(k.conname) FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_index i ON i.indexrelid = k.conindid
    WHERE k.conrelid = $1 AND i.indisunique AND NOT i.indimmediate AND i.indnkeyatts = 2
      AND (i.indkey[0] = $2::pg_catalog.int2 AND i.indkey[1] = $3::pg_catalog.int2 OR i.indkey[0] = $3::pg_catalog.int2 AND i.indkey[1] = $2::pg_catalog.int2)
    ORDER BY k.conname)`

// memberRole is the role of the column that tells the rows of one key apart, or nil where
// a key has one row.
func (f *fit) memberRole() *role {
	switch f.mapping.Encoding {
	case config.EncodingSortedSet:
		return &role{"memberColumn", "member"}
	case config.EncodingStream:
		return &role{"idColumn", "id"}
	}
	return nil
}

func (f *fit) memberName() string {
	if f.mapping.Encoding == config.EncodingStream {
		return f.mapping.IDColumn
	}
	return f.mapping.MemberColumn
}

// appends says that a row never changes.
func (f *fit) appends() bool { return f.mapping.Mode == config.ModeAppend }

// readTogether asks about key and member, if there are both.
func (f *fit) readTogether(ctx context.Context, conn *pgx.Conn) error {
	if f.memberRole() == nil {
		return nil
	}
	key, member := f.find(f.mapping.KeyColumn), f.find(f.memberName())
	if key == nil || member == nil {
		return nil
	}
	return conn.QueryRow(ctx, togetherSQL, f.relation.oid, key.number, member.number).Scan(&f.together.unique, &f.together.deferrable)
}

// findMember finds the column that tells the rows of one key apart, and sees that the two
// are unique together.
func (f *fit) findMember(key *attribute) (*attribute, error) {
	r := f.memberRole()
	if r == nil {
		return nil, nil
	}
	a, err := f.identifying(r, f.memberName())
	if err != nil {
		return nil, err
	}
	if f.mapping.Encoding == config.EncodingStream && keyKinds[a.base] != keyText {
		return nil, f.mismatch("id column %s of table %s is of type %s: its type must be text or varchar, since an id is a text such as 1526919030474-55",
			a.name, f.mapping.Table, a.shown)
	}
	if key.unique || len(key.deferrable) > 0 {
		return nil, f.mismatch("key column %s of table %s is unique by itself, so that a key can have one row, and a key of encoding %s has a row for each %s: "+
			"make a table whose primary key is (%s, %s)", key.name, f.mapping.Table, f.mapping.Encoding, r.shown, quote(key.name), quote(a.name))
	}
	if !f.together.unique || len(f.together.deferrable) > 0 {
		return nil, f.notUniqueTogether(r, key, a)
	}
	return a, nil
}

// notUniqueTogether says how key and member get what an upsert needs.
func (f *fit) notUniqueTogether(r *role, key, member *attribute) error {
	if by := f.relation.byColumn; f.relation.kind == partitioned && by != key.number && by != member.number {
		return f.mismatch("table %s is partitioned by %s, so that its key column %s and its %s column %s cannot be unique together: "+
			"name a table that is partitioned by one of the two alone, or not at all", f.mapping.Table, f.relation.partitionedBy, key.name, r.shown, member.name)
	}
	var actions []string
	primaryGoes := false
	for _, constraint := range f.together.deferrable {
		actions = append(actions, "DROP CONSTRAINT "+constraint)
		primaryGoes = primaryGoes || constraint == f.relation.primaryKey
	}
	both := strings.Join([]string{quote(key.name), quote(member.name)}, ", ")
	switch {
	case f.relation.primaryKey == "" || primaryGoes:
		actions = append(actions, "ADD PRIMARY KEY ("+both+")")
	case !f.together.unique:
		actions = append(actions, "ADD UNIQUE ("+both+")")
	}
	problem := fmt.Sprintf("key column %s and %s column %s of table %s have no unique index of the two (not partial, not deferrable)", key.name, r.shown, member.name, f.mapping.Table)
	if len(f.together.deferrable) > 0 {
		problem = fmt.Sprintf("key column %s and %s column %s of table %s have a deferrable constraint, which an upsert cannot go by", key.name, r.shown, member.name, f.mapping.Table)
	}
	return f.alter(problem, actions...)
}

// fractionTypes are the types that take a number of Redis, beside those of whole numbers
// that a key may have.
var fractionTypes = []string{"numeric", "float4", "float8"}

// numberColumn is the column that takes the number of a key or a member, by the mapping's
// field and by its name, and empty where a value is none.
func (f *fit) numberColumn() (field, name string) {
	switch f.mapping.Encoding {
	case config.EncodingNumber:
		return "valueColumn", f.mapping.ValueColumn
	case config.EncodingSortedSet:
		return "scoreColumn", f.mapping.ScoreColumn
	}
	return "", ""
}

// numbers is the one column that takes a number.
func (f *fit) numbers(field, name string) ([]fed, error) {
	a := f.find(name)
	switch {
	case a == nil:
		return nil, f.mismatch("table %s has no column %s: add it or correct the mapping's %s", f.mapping.Table, name, field)
	case a.generated || a.always:
		return nil, f.mismatch("column %s of table %s is generated, so that it cannot take numbers: name another %s", name, f.mapping.Table, field)
	case integerBits[keyKinds[a.base]] == 0 && !slices.Contains(fractionTypes, a.base):
		return nil, f.mismatch("column %s of table %s is of type %s: the type of a %s must be one of smallint, integer, bigint, numeric, real, double precision",
			name, f.mapping.Table, a.shown, field)
	}
	return []fed{{attribute: a}}, nil
}
