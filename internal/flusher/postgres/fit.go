// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/entry"
)

// check returns what does not fit, or which columns are the key, the version's, if any,
// and which are fed.
func (f *fit) check() (key, version *attribute, columns []fed, err error) {
	if err = f.checkRelation(); err != nil {
		return nil, nil, nil, err
	}
	if key, err = f.key(); err != nil {
		return nil, nil, nil, err
	}
	if f.member, err = f.findMember(key); err != nil {
		return nil, nil, nil, err
	}
	if columns, err = f.columns(); err != nil {
		return nil, nil, nil, err
	}
	if version, err = f.version(); err != nil {
		return nil, nil, nil, err
	}
	written := columns
	if version != nil {
		written = append(slices.Clip(columns), fed{attribute: version})
	}
	if err = f.privileges(key, written); err != nil {
		return nil, nil, nil, err
	}
	if err = f.leftOut(written); err != nil {
		return nil, nil, nil, err
	}
	if f.appends() {
		// Of a row that never changes a publication asks no identity.
		return key, version, columns, nil
	}
	return key, version, columns, f.checkIdentity()
}

// fit holds a mapping against the catalogue.
type fit struct {
	mapping config.Mapping
	// name is the quoted name of the table in the schema.
	schema, table, name string
	form                string
	relation            relation
	anonymous           []anonymous
	policies            policies
	attributes          []attribute
	// member is the column that tells the rows of one key apart, or nil.
	member   *attribute
	together together
}

func (f *fit) mismatch(format string, args ...any) error {
	return &entry.Misfit{
		Reason:  v1alpha1.ReasonSchemaMismatch,
		Message: "mapping " + f.mapping.Name + ": " + fmt.Sprintf(format, args...),
	}
}

func (f *fit) checkRelation() error {
	switch {
	case !f.relation.schemaExists && strings.Count(f.mapping.Table, ".") > 1:
		return f.mismatch("table %s does not exist, and neither does schema %s: table is schema.table, without the name of the database, "+
			"which the connection URL names", f.mapping.Table, f.schema)
	case !f.relation.schemaExists:
		return f.mismatch("schema %s of table %s does not exist: create it or correct the mapping's table", f.schema, f.mapping.Table)
	case f.relation.otherCase != "":
		return f.mismatch("table %s does not exist, but %s.%s does: upper and lower case count in the mapping's table", f.mapping.Table, f.schema, f.relation.otherCase)
	case !f.relation.tableExists:
		return f.mismatch("table %s does not exist: create it or correct the mapping's table", f.mapping.Table)
	}
	switch f.relation.kind {
	case "r", partitioned:
		if err := f.checkHeirs(); err != nil {
			return err
		}
		return f.checkRules()
	case "v", "m":
		return f.mismatch("%s is a view: name the table itself", f.mapping.Table)
	case "f":
		return f.mismatch("%s is a foreign table: name a table of this database", f.mapping.Table)
	}
	return f.mismatch("%s is not a table: name an ordinary or a partitioned table", f.mapping.Table)
}

// checkRules refuses a table whose INSERT or UPDATE is rewritten to something else.
func (f *fit) checkRules() error {
	rules := f.relation.rules
	if len(rules) == 0 {
		return nil
	}
	var statements []string
	for _, rule := range rules {
		statements = append(statements, fmt.Sprintf("DROP RULE %s ON %s", rule, f.name))
	}
	return f.mismatch("table %s has a rule for INSERT or UPDATE (%s), and PostgreSQL takes no upsert (INSERT ... ON CONFLICT) for such a table: "+
		"do by a trigger what the rule does, and run as an administrator: %s;", f.mapping.Table, strings.Join(rules, ", "), strings.Join(statements, "; "))
}

// checkHeirs refuses a table that others inherit from: a key may be in any of them,
// since no unique index spans them, so that one key could have several rows.
func (f *fit) checkHeirs() error {
	if f.relation.child == "" {
		return nil
	}
	return f.mismatch("table %s has children that inherit from it, as %s does, and its unique index does not reach their rows: "+
		"name a table without children, or a partitioned one, or, if the child can stand by itself: run as an administrator: ALTER TABLE %s NO INHERIT %s;",
		f.mapping.Table, f.relation.child, f.relation.child, f.name)
}

func (f *fit) find(name string) *attribute {
	for i := range f.attributes {
		if f.attributes[i].name == name {
			return &f.attributes[i]
		}
	}
	return nil
}

func (f *fit) key() (*attribute, error) {
	a, err := f.identifying(keyRole, f.mapping.KeyColumn)
	if err != nil || f.memberRole() != nil {
		return a, err
	}
	if !a.unique || len(a.deferrable) > 0 {
		return nil, f.notUnique(a)
	}
	return a, nil
}

// role is what a mapping and a message call a column by which rows are found.
type role struct{ field, shown string }

var keyRole = &role{"keyColumn", "key"}

// identifying finds a column by which rows are found, of a type whose canonical text is
// known.
func (f *fit) identifying(r *role, column string) (*attribute, error) {
	a := f.find(column)
	if a == nil {
		if strings.ContainsAny(column, ", ()") && r == keyRole {
			return nil, f.mismatch("table %s has no column %q: keyColumn names one column; %s", f.mapping.Table, column, oneColumn)
		}
		return nil, f.mismatch("table %s has no column %s: add it or correct the mapping's %s", f.mapping.Table, column, r.field)
	}
	if keyKinds[a.base] == 0 {
		return nil, f.mismatch("%s column %s of table %s is of type %s: its type must be one of smallint, integer, bigint, text, varchar, uuid",
			r.shown, column, f.mapping.Table, a.shown)
	}
	if a.generated {
		return nil, f.mismatch("%s column %s of table %s is generated: name a column that can be written", r.shown, column, f.mapping.Table)
	}
	if !a.deterministic {
		return nil, f.alter(fmt.Sprintf("%s column %s of table %s has a nondeterministic collation, under which different keys are the same row", r.shown, column, f.mapping.Table),
			fmt.Sprintf("ALTER COLUMN %s TYPE %s COLLATE \"C\"", quote(column), a.shown))
	}
	return a, nil
}

// oneColumn says what there is for rows that are told apart by several columns.
const oneColumn = "a key of several columns is not supported: name a column that is unique by itself, such as a number or a uuid of the row, " +
	"or a text column that holds all the parts as the rest of the Redis key does"

// severalColumns says what is to be done where the primary key is of several columns,
// of which the key column may not be unique by itself.
func (f *fit) severalColumns() string {
	if len(f.relation.keyOfSeveral) == 0 {
		return ""
	}
	return fmt.Sprintf("; its primary key is of several columns (%s), and %s; only if no two rows share a value of the column",
		strings.Join(f.relation.keyOfSeveral, ", "), oneColumn)
}

// alter is a mismatch that a change of the table ends.
func (f *fit) alter(problem string, actions ...string) error {
	return f.mismatch("%s: run as an administrator: ALTER TABLE %s %s;", problem, f.name, strings.Join(actions, ", "))
}

// notUnique says how the key column gets what an upsert needs. A deferrable
// constraint has to go even beside an index that is not: PostgreSQL takes both for
// the upsert, and then refuses every row because of the one.
func (f *fit) notUnique(key *attribute) error {
	if f.relation.kind == partitioned && f.relation.byColumn != key.number {
		return f.mismatch("table %s is partitioned by %s, so that its key column %s cannot be unique by itself, and a key of several columns is not supported: "+
			"name a table that is partitioned by that column alone, or not at all",
			f.mapping.Table, f.relation.partitionedBy, key.name)
	}
	var actions []string
	primaryGoes := false
	for _, constraint := range key.deferrable {
		actions = append(actions, "DROP CONSTRAINT "+constraint)
		primaryGoes = primaryGoes || constraint == f.relation.primaryKey
	}
	switch {
	case f.relation.primaryKey == "" || primaryGoes:
		actions = append(actions, "ADD PRIMARY KEY ("+quote(key.name)+")")
	case !key.unique:
		actions = append(actions, "ADD UNIQUE ("+quote(key.name)+")")
	}
	problem := fmt.Sprintf("key column %s of table %s has no unique index of its own (one column, not partial, not deferrable)", key.name, f.mapping.Table) + f.severalColumns()
	if len(key.deferrable) > 0 {
		problem = fmt.Sprintf("key column %s of table %s has a deferrable constraint, which an upsert cannot use", key.name, f.mapping.Table)
	}
	return f.alter(problem, actions...)
}

// fed is a column and the field that feeds it.
type fed struct {
	field string
	*attribute
}

func (f *fit) columns() ([]fed, error) {
	if field, name := f.numberColumn(); field != "" {
		return f.numbers(field, name)
	}
	var columns []fed
	if len(f.mapping.Columns) == 0 {
		for i := range f.attributes {
			a := &f.attributes[i]
			if a.name != f.mapping.KeyColumn && a != f.member && a.name != f.mapping.VersionColumn && !a.generated && !a.always {
				columns = append(columns, fed{a.name, a})
			}
		}
		return columns, nil
	}
	for _, c := range f.mapping.Columns {
		a := f.find(c.Column)
		switch {
		case a == nil:
			return nil, f.mismatch("table %s has no column %s: add it or correct the mapping's columns", f.mapping.Table, c.Column)
		case a.generated:
			return nil, f.mismatch("column %s of table %s is generated: take it out of the mapping's columns", c.Column, f.mapping.Table)
		case a.always:
			return nil, f.mismatch("column %s of table %s is an identity that is always generated: take it out of the mapping's columns", c.Column, f.mapping.Table)
		}
		columns = append(columns, fed{c.Field, a})
	}
	return columns, nil
}

// privileges checks what the statements will need, by column where PostgreSQL
// grants by column.
func (f *fit) privileges(key *attribute, columns []fed) error {
	role := pgx.Identifier{f.relation.role}.Sanitize()
	var statements []string
	if !f.relation.mayUse {
		statements = append(statements, fmt.Sprintf("GRANT USAGE ON SCHEMA %s TO %s", quote(f.schema), role))
	}
	for _, c := range columns {
		grant := fmt.Sprintf("GRANT USAGE ON SCHEMA %s TO %s", quote(c.typeSchema), role)
		// Of a mapping that lists no columns it is not known which ones documents
		// name, and only those are cast to their type.
		if !c.mayUseType && len(f.mapping.Columns) > 0 && !slices.Contains(statements, grant) {
			statements = append(statements, grant)
		}
	}
	missing := f.missingRights(key, columns)
	if len(missing) > 0 {
		statements = append(statements, fmt.Sprintf("GRANT %s ON TABLE %s TO %s", strings.Join(missing, ", "), f.name, role))
	}
	var needed []string
	for _, a := range f.unfed(columns) {
		needed = append(needed, a.sequences...)
	}
	for _, sequence := range needed {
		statements = append(statements, fmt.Sprintf("GRANT USAGE ON SEQUENCE %s TO %s", sequence, role))
	}
	statements = append(statements, f.policies.remedies(f.relation.role, f.name)...)
	if len(statements) == 0 {
		return nil
	}
	problem := fmt.Sprintf("role %s lacks privileges on table %s", role, f.mapping.Table)
	if len(missing) == 0 && len(f.policies.forbidden) > 0 {
		problem = fmt.Sprintf("row-level security of table %s lets role %s %s no row", f.mapping.Table, role, strings.Join(f.policies.forbidden, ", "))
	}
	return &entry.Misfit{
		Reason:  v1alpha1.ReasonPrivilegeMissing,
		Message: fmt.Sprintf("mapping %s: %s: run as an administrator: %s;", f.mapping.Name, problem, strings.Join(statements, "; ")),
	}
}

// missingRights returns those on the table that the statements need and the role lacks.
func (f *fit) missingRights(key *attribute, columns []fed) (missing []string) {
	reads, inserts, updates, deletes := key.maySelect, key.mayInsert, true, f.relation.mayDelete
	if f.member != nil {
		reads, inserts = reads && f.member.maySelect, inserts && f.member.mayInsert
	}
	for _, c := range columns {
		reads, inserts, updates = reads && c.maySelect, inserts && c.mayInsert, updates && c.mayUpdate
	}
	if f.appends() {
		updates, deletes = true, true
	}
	for _, right := range []struct {
		name string
		held bool
	}{{"SELECT", reads}, {"INSERT", inserts}, {"UPDATE", updates}, {"DELETE", deletes}} {
		if !right.held {
			missing = append(missing, right.name)
		}
	}
	return missing
}

// unfed returns the columns that no statement ever names: every new row gets their
// defaults.
func (f *fit) unfed(columns []fed) []*attribute {
	var others []*attribute
	for i := range f.attributes {
		a := &f.attributes[i]
		named := a.name == f.mapping.KeyColumn || a == f.member || slices.ContainsFunc(columns, func(c fed) bool { return c.attribute == a })
		if !named && !a.generated {
			others = append(others, a)
		}
	}
	return others
}

// leftOut checks that a new row can do without the columns that nothing feeds.
func (f *fit) leftOut(columns []fed) error {
	if f.relation.completes {
		return nil
	}
	for _, a := range f.unfed(columns) {
		if a.required {
			feeds := "add it to the mapping's columns, "
			if field, _ := f.numberColumn(); field != "" {
				feeds = ""
			}
			return f.alter(fmt.Sprintf("column %s of table %s must not be null and has no default, and no field feeds it, so that every new row is refused: "+
				"%sgive it a default, or let it be null", a.name, f.mapping.Table, feeds),
				fmt.Sprintf("ALTER COLUMN %s DROP NOT NULL", quote(a.name)))
		}
	}
	return nil
}
