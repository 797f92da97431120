// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package install

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/writebehind/operator/test/programs"
)

// built is the folder of the programs, which TestMain makes and removes.
var built string

// build builds one of the programs, once.
func build(t *testing.T, name string) string {
	t.Helper()
	program := filepath.Join(built, name)
	if _, err := os.Stat(program); err != nil {
		programs.Must(t, programs.Build(t.Context(), built, nil, "cmd/"+name))
	}
	return program
}

// stop asks a program to end, and waits until it has, as it should.
func stop(t *testing.T, p *programs.Process) {
	t.Helper()
	if code := p.Stop(t, programs.Usual.Limit); code != 0 {
		t.Errorf("the program ended with %v", p.Err())
	}
}
