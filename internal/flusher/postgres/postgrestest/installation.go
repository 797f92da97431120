// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgrestest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// BinariesVariable names the environment variable that says which folder holds the
// server's programs, instead of the installation that is found.
const BinariesVariable = "POSTGRES_BIN"

// binaries finds the directory of the server's programs.
func binaries(ctx context.Context) (string, error) {
	if dir := os.Getenv(BinariesVariable); dir != "" {
		if !holdsServer(dir) {
			return "", fmt.Errorf("%s is %s, and there is no initdb and postgres in it", BinariesVariable, dir)
		}
		return dir, nil
	}
	var candidates []string
	if out, err := exec.CommandContext(ctx, "pg_config", "--bindir").Output(); err == nil {
		candidates = append(candidates, strings.TrimSpace(string(out)))
	}
	for _, pattern := range []string{"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql@*/bin"} {
		found, _ := filepath.Glob(pattern)
		slices.SortFunc(found, func(a, b string) int { return version(b) - version(a) })
		candidates = append(candidates, found...)
	}
	if path, err := exec.LookPath("initdb"); err == nil {
		candidates = append(candidates, filepath.Dir(path))
	}
	for _, dir := range candidates {
		if holdsServer(dir) {
			return dir, nil
		}
	}
	return "", errors.New("no PostgreSQL server found by pg_config, in /usr/lib/postgresql/*/bin or on the PATH: " +
		"install one, such as Debian's package postgresql or Fedora's postgresql-server, or name its folder in " + BinariesVariable)
}

// version is the number in a path such as /usr/lib/postgresql/15/bin.
func version(path string) int {
	digits := strings.TrimFunc(filepath.Dir(path), func(r rune) bool { return r < '0' || r > '9' })
	n, _ := strconv.Atoi(digits)
	return n
}

func holdsServer(dir string) bool {
	return isProgram(filepath.Join(dir, "initdb")) && isProgram(filepath.Join(dir, "postgres"))
}

func isProgram(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

// unprivileged is the user that the server runs as: PostgreSQL refuses to run
// as root.
func unprivileged() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err1 == nil && err2 == nil {
			return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid), NoSetGroups: false}, nil
		}
	}
	return nil, errors.New("PostgreSQL refuses to run as root, and there is neither a user postgres nor nobody: run as another user")
}

// command prepares one of the server's programs, apart from this process's own
// group, so that an interrupt from the keyboard does not reach it.
func (s *Server) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(s.bin, name), args...)
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), "LC_ALL=C", "PGDATA=")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.uid, Setpgid: true}
	return cmd
}
