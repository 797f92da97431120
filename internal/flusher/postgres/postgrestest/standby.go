// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgrestest

import (
	"context"
	"errors"
	"fmt"
	"maps"
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
	source := fmt.Sprintf("host=%s port=%d user=%s", primary.dir, primary.port, Superuser)
	backup := s.command(ctx, "pg_basebackup", "-d", source, "-D", s.data(), "--checkpoint=fast", "--no-sync", "--wal-method=stream")
	if out, err := backup.CombinedOutput(); err != nil {
		return fmt.Errorf("pg_basebackup: %w: %s", err, out)
	}
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
