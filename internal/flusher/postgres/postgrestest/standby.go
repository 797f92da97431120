// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgrestest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5"
)

// StartStandby starts a server that follows this one, read-only, on a port of
// its own.
func (s *Server) StartStandby(ctx context.Context) (*Server, error) {
	standby := &Server{options: s.options, bin: s.bin, uid: s.uid}
	standby.options.Dir, standby.options.Port = "", 0
	if err := standby.follow(ctx, s); err != nil {
		return nil, errors.Join(err, standby.remove())
	}
	if err := standby.startGuard(); err != nil {
		return nil, errors.Join(err, standby.remove())
	}
	if err := standby.start(ctx); err != nil {
		return nil, errors.Join(err, standby.Stop())
	}
	return standby, nil
}

func (s *Server) follow(ctx context.Context, primary *Server) error {
	if err := s.place(); err != nil {
		return err
	}
	if err := primary.backUp(ctx, s); err != nil {
		return fmt.Errorf("copy the primary: %w", err)
	}
	source := fmt.Sprintf("host=%s port=%d user=%s", primary.dir, primary.port, Superuser)
	s.options.Settings = maps.Clone(s.options.Settings)
	if s.options.Settings == nil {
		s.options.Settings = map[string]string{}
	}
	s.options.Settings["primary_conninfo"] = source
	if err := s.write("standby.signal", ""); err != nil {
		return err
	}
	return s.configure()
}

// backUp copies the server's files to the other's directory while it runs. Not every
// installation has a pg_basebackup, and an older one refuses a newer server.
func (s *Server) backUp(ctx context.Context, to *Server) error {
	conn, err := pgx.Connect(ctx, s.SocketURL("postgres"))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	begin, end := "SELECT pg_backup_start('standby', true)", "SELECT labelfile FROM pg_backup_stop()"
	if major, _, _ := strings.Cut(conn.PgConn().ParameterStatus("server_version"), "."); major < "15" {
		begin, end = "SELECT pg_start_backup('standby', true, false)", "SELECT labelfile FROM pg_stop_backup(false)"
	}
	if _, err := conn.Exec(ctx, begin); err != nil {
		return err
	}
	if err := to.copyFiles(s.data()); err != nil {
		return err
	}
	var label string
	if err := conn.QueryRow(ctx, end).Scan(&label); err != nil {
		return err
	}
	return to.write("backup_label", label)
}

// copyFiles copies a running server's directory, of which files may vanish meanwhile.
func (s *Server) copyFiles(from string) error {
	return filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		name, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		switch {
		case name == "postmaster.pid", name == "postmaster.opts":
			return nil
		case entry.IsDir():
			if err := os.MkdirAll(filepath.Join(s.data(), name), 0o700); err != nil {
				return err
			}
			return s.own(filepath.Join(s.data(), name))
		case !entry.Type().IsRegular():
			return nil
		}
		data, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		return s.write(name, string(data))
	})
}
