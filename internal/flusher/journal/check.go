// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"context"
	"errors"
	"net"
	"strconv"
	"strings"

	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/entry"
)

// oldestMajor is the first Redis with function libraries, and that sends a replica no keys
// if it wants none.
const oldestMajor = 7

// Check checks whether the journal can work on this Redis, and loads the function library if
// it is missing. The result names the obstacle by a reason of the resource. Check writes, to
// find out whether Redis takes writes.
func (j *Journal) Check(ctx context.Context) config.Check {
	err := j.checkServer(ctx)
	if isHangup(err) {
		// A connection that was open ended meanwhile: what a new one meets is what the
		// next looks will say.
		err = j.checkServer(ctx)
	}
	if err != nil {
		return j.Explain(err)
	}
	err = j.tryWriting(ctx)
	if errors.Is(err, entry.ErrNoFunctions) || isHangup(err) {
		// Somebody has removed it at this very moment, or the server has gone.
		err = j.tryWriting(ctx)
	}
	if err != nil {
		// What became of the server between the two looks is told as the next ones will.
		if now := j.checkServer(ctx); now != nil {
			err = now
		}
		return j.Explain(err)
	}
	return config.Check{OK: true}
}

func (j *Journal) tryWriting(ctx context.Context) error {
	if _, err := j.EnsureLibrary(ctx); err != nil {
		return err
	}
	return j.call(ctx, "wb_engine_probe").Err()
}

type versionError struct{ version string }

func (e *versionError) Error() string {
	return "the server has version " + e.version
}

type replicaError struct{ primary string }

func (*replicaError) Error() string { return "the server is a replica" }

type modeError struct{ mode string }

func (e *modeError) Error() string { return "the server runs in mode " + e.mode }

func (j *Journal) checkServer(ctx context.Context) error {
	info, err := j.rdb.Info(ctx, "server", "replication").Result()
	if err != nil {
		return err
	}
	return Suits(info)
}

// Suits tells from the answer to INFO whether the server is a primary of its own, of a
// version that is new enough. Explain puts the error into words.
func Suits(info string) error {
	version := infoField(info, "redis_version")
	major, _, _ := strings.Cut(version, ".")
	if n, err := strconv.Atoi(major); err != nil || n < oldestMajor {
		return &versionError{version: version}
	}
	// Valkey tells the version of Redis that it is compatible with, but its mode in a
	// field of its own name.
	if mode := infoField(info, "redis_mode", "server_mode"); mode == "cluster" || mode == "sentinel" {
		return &modeError{mode: mode}
	}
	return checkRole(info)
}

// checkRole takes INFO's section replication.
func checkRole(info string) error {
	if role := infoField(info, "role"); role == "slave" || role == "replica" {
		return &replicaError{primary: net.JoinHostPort(infoField(info, "master_host", "primary_host"), infoField(info, "master_port", "primary_port"))}
	}
	return nil
}

// infoField is the value of the first of the fields that INFO tells.
func infoField(info string, names ...string) string {
	for _, name := range names {
		for line := range strings.Lines(info) {
			if value, ok := strings.CutPrefix(line, name+":"); ok {
				return strings.TrimSpace(value)
			}
		}
	}
	return ""
}
