// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"errors"
	"fmt"
	"testing"
)

// TestTheServersWordsPointAtTheRow writes batches with one bad row, and expects that
// the row is suspected, that those before it are good, and that none is forgotten.
func TestTheServersWordsPointAtTheRow(t *testing.T) {
	t.Parallel()
	const schema = `CREATE TABLE parents (id bigint PRIMARY KEY);
		CREATE TABLE things (note text, id bigint PRIMARY KEY, price numeric(4,2) NOT NULL, parent bigint REFERENCES parents,
			email text UNIQUE, at timestamptz, stock integer CHECK (stock >= 0));
		INSERT INTO things (id, price, email) VALUES (1000, 1, 'taken')`
	server, d := open(t, schema)
	table := readTable(t, d, mapping("public.things"))
	o := own(t, d, table, 0)
	for name, c := range map[string]struct {
		document string
		want     bool
	}{
		"a check":           {`{"price":1,"stock":-1}`, true},
		"no null":           {`{"price":null,"stock":1}`, true},
		"no number":         {`{"price":"many","stock":1}`, true},
		"no time":           {`{"price":1,"at":"once"}`, true},
		"out of range":      {`{"price":1,"stock":99999999999}`, true},
		"a unique value":    {`{"price":1,"email":"taken"}`, true},
		"a missing parent":  {`{"price":1,"parent":77}`, true},
		"no words of a row": {`{"price":123}`, false}, // numeric field overflow
		// Several rows hold what the server quotes.
		"a common value":                  {`{"price":"good","stock":1}`, false},
		"a value that another column has": {`{"price":1,"parent":3}`, true},
	} {
		t.Run(name, func(t *testing.T) {
			server.Exec(t, "DELETE FROM things WHERE id < 1000")
			b := table.NewBatch()
			const count, bad = 10, 4
			for i := range count {
				// Keys run against the order of the entries.
				document := `{"price":1.5,"stock":3,"note":"good"}`
				if i == bad {
					document = c.document
				}
				if err := b.Set(fmt.Sprint(count-i), []byte(document)); err != nil {
					t.Fatal(err)
				}
			}
			_, err := d.Write(t.Context(), table, o.next(1), b)
			o.at.Flush--
			var failure *Error
			if !errors.As(err, &failure) {
				t.Fatalf("the batch was not refused: %v", err)
			}
			s, ok := b.Suspect(fault(failure))
			if ok != c.want || ok && s.Entry != bad {
				t.Fatalf("suspects %+v, %v; want entry %d, %v (%s)", s, ok, bad, c.want, failure.Detail())
			}
			if !ok {
				return
			}
			all := map[int]bool{s.Entry: true}
			var before []string
			for _, at := range s.Before {
				all[at] = true
				before = append(before, fmt.Sprint(count-at), `{"price":1.5}`)
			}
			for _, at := range s.After {
				all[at] = true
			}
			if len(all) != count || len(s.Before)+len(s.After) != count-1 {
				t.Errorf("entries are missing or there twice: %+v", s)
			}
			o.write(t, before...)
		})
	}
}

// TestADeletionThatOthersReferToIsSuspected among rows that have its key for a value.
func TestADeletionThatOthersReferToIsSuspected(t *testing.T) {
	t.Parallel()
	_, d := open(t, `CREATE TABLE things (id bigint PRIMARY KEY, stock bigint);
		CREATE TABLE parts (id bigint PRIMARY KEY, thing bigint REFERENCES things);
		INSERT INTO things VALUES (1), (2), (3); INSERT INTO parts VALUES (1, 2)`)
	table := readTable(t, d, mapping("public.things"))
	o := own(t, d, table, 0)
	b := batch(t, table, "7", `{"stock":2}`, "1", "", "2", "", "3", "")
	_, err := d.Write(t.Context(), table, o.next(1), b)
	var failure *Error
	if !errors.As(err, &failure) {
		t.Fatalf("the batch was not refused: %v", err)
	}
	if s, ok := b.Suspect(fault(failure)); !ok || s.Entry != 2 || len(s.Before)+len(s.After) != 3 {
		t.Errorf("suspects %+v, %v (%s)", s, ok, failure.Detail())
	}
}

// TestWordsThatSayNothingOfARow must not be taken for a hint.
func TestWordsThatSayNothingOfARow(t *testing.T) {
	t.Parallel()
	_, d := open(t, `CREATE TABLE things (id bigint PRIMARY KEY, name text);
		CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no "lamp", (1, 2), (k)=(lamp)'; END $$;
		CREATE TRIGGER refuse BEFORE INSERT ON things FOR EACH ROW EXECUTE FUNCTION refuse()`)
	table := readTable(t, d, mapping("public.things"))
	o := own(t, d, table, 0)
	b := batch(t, table, "1", `{"name":"lamp"}`, "2", `{"name":"chair"}`)
	_, err := d.Write(t.Context(), table, o.next(1), b)
	var failure *Error
	if !errors.As(err, &failure) {
		t.Fatalf("the batch was not refused: %v", err)
	}
	if s, ok := b.Suspect(fault(failure)); ok {
		t.Errorf("suspects %+v", s)
	}
}
