// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package entry

import "testing"

// Letters and names are the format of a journal that is there already.
func TestOperationsAreKnownByLetterAndName(t *testing.T) {
	t.Parallel()
	for letter, want := range map[byte]struct {
		operation *Operation
		name      string
	}{'s': {Set, "set"}, 'd': {Delete, "delete"}} {
		if got := OperationOf(letter); got != want.operation || got.Name != want.name {
			t.Errorf("the operation of %c is %+v, want %s", letter, got, want.name)
		}
		if got := OperationNamed(want.name); got != want.operation || got.Letter != letter {
			t.Errorf("the operation named %s is %+v, want that of %c", want.name, got, letter)
		}
	}
	letters, names := make(map[byte]bool), make(map[string]bool)
	for _, o := range operations {
		if letters[o.Letter] || names[o.Name] || o.Name == "" || o.Proof < 0 || o.Proof > Weakest {
			t.Errorf("%+v has the letter or name of another one, or shows nothing", o)
		}
		letters[o.Letter], names[o.Name] = true, true
	}
	if o := OperationOf('x'); o != nil {
		t.Errorf("x is %+v", o)
	}
	if o := OperationNamed(""); o != nil {
		t.Errorf("no name is %+v", o)
	}
}
