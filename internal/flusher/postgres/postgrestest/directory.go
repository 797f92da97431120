// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgrestest

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/writebehind/operator/test/programs"
)

// prepare makes the directory, the data and the configuration.
func (s *Server) prepare(ctx context.Context) error {
	if err := s.place(); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(s.data(), "PG_VERSION")); err != nil {
		if err := s.initdb(ctx); err != nil {
			return err
		}
	}
	return s.configure()
}

// place finds the server a directory and a port.
func (s *Server) place() error {
	var err error
	if s.dir == "" {
		s.dir, err = os.MkdirTemp("", "pg")
	} else {
		if s.dir, err = filepath.Abs(s.dir); err == nil {
			err = os.MkdirAll(s.dir, 0o700)
		}
	}
	if err != nil {
		return fmt.Errorf("make the server's directory: %w", err)
	}
	if err := s.own(s.dir); err != nil {
		return fmt.Errorf("make the server's directory: %w", err)
	}
	if s.port == 0 {
		if s.port, err = programs.FreePort(s.host()); err != nil {
			return fmt.Errorf("find a free port: %w", err)
		}
	}
	return nil
}

func (s *Server) initdb(ctx context.Context) error {
	kept, err := verifier(s.options.Password)
	if err != nil {
		return err
	}
	passwords := filepath.Join(s.dir, "password")
	if err := os.WriteFile(passwords, []byte(kept+"\n"), 0o600); err != nil {
		return fmt.Errorf("write the superuser's password: %w", err)
	}
	defer os.Remove(passwords)
	if err := s.own(passwords); err != nil {
		return fmt.Errorf("write the superuser's password: %w", err)
	}
	args := []string{
		"-D", s.data(), "-U", Superuser, "--pwfile", passwords,
		"--auth-local=trust", "--auth-host=scram-sha-256", "--encoding=UTF8", "--locale=C",
	}
	if !s.options.Durable {
		args = append(args, "--no-sync")
	}
	cmd := s.command(ctx, "initdb", args...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, out)
	}
	return nil
}

// configure writes the settings again at every start, so that a directory that
// is used again follows the options.
func (s *Server) configure() error {
	settings := map[string]string{
		"listen_addresses":        s.options.ListenAddresses,
		"port":                    strconv.Itoa(s.port),
		"unix_socket_directories": s.dir,
		"max_connections":         "200",
		"shared_buffers":          "128MB",
		"timezone":                "UTC",
		"log_timezone":            "UTC",
	}
	if !s.options.Durable {
		settings["fsync"] = "off"
	}
	maps.Copy(settings, s.options.Settings)
	var text strings.Builder
	for name, value := range settings {
		fmt.Fprintf(&text, "%s = '%s'\n", name, strings.ReplaceAll(value, "'", "''"))
	}
	// postgresql.auto.conf is read last, and never written by hand elsewhere.
	if err := s.write("postgresql.auto.conf", text.String()); err != nil {
		return err
	}
	rules := append(slices.Clone(s.options.AccessRules),
		"local all all trust",
		"host all all all scram-sha-256",
		"local replication all trust",
		"host replication all all scram-sha-256", "")
	return s.write("pg_hba.conf", strings.Join(rules, "\n"))
}

func (s *Server) write(name, text string) error {
	path := filepath.Join(s.data(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return fmt.Errorf("configure the server: %w", err)
	}
	return s.own(path)
}

func (s *Server) data() string {
	return filepath.Join(s.dir, "data")
}

// own gives a path to the user that the server runs as.
func (s *Server) own(path string) error {
	if s.uid == nil {
		return nil
	}
	return os.Chown(path, int(s.uid.Uid), int(s.uid.Gid))
}

func (s *Server) remove() error {
	if s.options.Dir != "" || s.dir == "" {
		return nil
	}
	return os.RemoveAll(s.dir)
}
