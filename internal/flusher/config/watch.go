// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"bytes"
	"context"
	"os"
	"reflect"
	"time"
)

// watchInterval is how often a watched file is read: often enough that live
// settings are in force within two seconds, and cheap for a file of a few
// kilobytes. Reading finds every way of replacing a file, the switched links of a
// mounted ConfigMap included.
const watchInterval = 500 * time.Millisecond

// Watch calls changed with every new content of the file at path until the
// context ends: with the config, or with the error that makes it unusable. The
// content that known was read from is not reported again.
func Watch(ctx context.Context, path string, known []byte, changed func(*Config, error)) {
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		data, err := os.ReadFile(path)
		if err != nil || bytes.Equal(data, known) {
			// A file that is being replaced may be missing for a moment.
			continue
		}
		known = data
		changed(Read(path))
	}
}

// SameStructure tells whether two configs differ in live settings alone: what a
// running flusher can take over without starting anew.
func (c *Config) SameStructure(other *Config) bool {
	return reflect.DeepEqual(c.Structure(), other.Structure())
}

// Structure is a copy of the config without its live settings: suspend, draining,
// flush, backpressure, and of every mapping the time to live and whether it is
// retired.
func (c *Config) Structure() *Config {
	s := *c
	s.Owner, s.Revision, s.Suspend, s.Draining = "", 0, false, false
	s.Flush, s.Backpressure = Flush{}, Backpressure{}
	s.Mappings = make([]Mapping, len(c.Mappings))
	for i, m := range c.Mappings {
		m.TimeToLiveSeconds, m.Retired = 0, false
		s.Mappings[i] = m
	}
	return &s
}
