// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"reflect"
	"slices"
	"time"
)

// watchInterval is how often a watched file is read: often enough that live
// settings are in force within two seconds, and cheap for a file of a few
// kilobytes. Reading finds every way of replacing a file, the switched links of a
// mounted ConfigMap included.
const watchInterval = 500 * time.Millisecond

// File is a config file that a flusher follows.
type File struct {
	path     string
	known    []byte
	revision int64
}

// Open reads the config file at path, as Read does, to follow it from there.
func Open(path string) (*File, *Config, error) {
	f := &File{path: path}
	data, modified, err := readFile(path)
	if err != nil {
		return nil, nil, fmt.Errorf("read config: %w", err)
	}
	c, err := f.take(data, modified)
	if err != nil {
		return nil, nil, err
	}
	return f, c, nil
}

// take makes data the file's known content.
func (f *File) take(data []byte, modified time.Time) (*Config, error) {
	f.known = data
	c, err := Parse(data)
	if err != nil {
		return nil, fmt.Errorf("config %s: %w", f.path, err)
	}
	if c.Revision == 0 {
		c.Revision = ownRevision(modified, f.revision)
	}
	f.revision = c.Revision
	return c, nil
}

// ownRevision is the revision of settings that name none: the file's modification
// time in milliseconds, so that all flushers give one file the same revision, but
// always above the last one, so that a file which is put back with its old time,
// as a backup is, still takes effect.
func ownRevision(modified time.Time, last int64) int64 {
	return max(modified.UnixMilli(), last+1)
}

// readFile reads content and modification time of one and the same file, whatever
// takes its place meanwhile.
func readFile(path string) ([]byte, time.Time, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, time.Time{}, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, time.Time{}, err
	}
	data, err := io.ReadAll(file)
	return data, info.ModTime(), err
}

// Watch calls changed with every new content of the file until the context ends:
// with the config, or with the error that makes it unusable. New settings without
// a revision of their own have a higher one than those before, whatever the file's
// modification time.
func (f *File) Watch(ctx context.Context, changed func(*Config, error)) {
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		data, modified, err := readFile(f.path)
		if err != nil || bytes.Equal(data, f.known) {
			// A file that is being replaced may be missing for a moment.
			continue
		}
		changed(f.take(data, modified))
	}
}

// SameStructure reports whether two configs differ only in live settings, which a running
// flusher applies without a restart.
func (c *Config) SameStructure(other *Config) bool {
	return reflect.DeepEqual(c.Structure(), other.Structure())
}

// Structure is a copy of the config without its live settings: suspend, draining,
// flush, backpressure, and of every mapping the time to live and whether it is
// retired. Addresses are in order, since theirs means nothing.
func (c *Config) Structure() *Config {
	s := *c
	s.Owner, s.Revision, s.Suspend, s.Draining = "", 0, false, false
	s.Flush, s.Backpressure = Flush{}, Backpressure{}
	s.Redis.External.Addresses = slices.Sorted(slices.Values(c.Redis.External.Addresses))
	s.Mappings = make([]Mapping, len(c.Mappings))
	for i, m := range c.Mappings {
		m.TimeToLiveSeconds, m.Retired = 0, false
		s.Mappings[i] = m
	}
	return &s
}
