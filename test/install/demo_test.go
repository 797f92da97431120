// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package install

import (
	"testing"

	"github.com/writebehind/operator/internal/flusher/postgres/postgrestest"
	"github.com/writebehind/operator/test/load"
)

// The sample's write is the README's first one too, and the demo, in whose table it
// is tried, has columns that it does not name.
func TestTheFirstWriteFitsTheDemosTable(t *testing.T) {
	s := samples(t)[0]
	if s.file != "cache_v1alpha1_writebehindcache.yaml" {
		t.Fatalf("the first sample is %s, and not the one that the demo applies", s.file)
	}
	cache := applySample(t, installedCluster(t), &s)
	authority := postgrestest.NewAuthority(t)
	db := postgrestest.NewTLSServer(t, authority, "127.0.0.1").NewDatabase(t)
	db.Exec(t, load.CreateTable)
	server, addresses, rdb := sampleRedis(t, &s, cache)
	startFlusher(t, build(t, "flusher"), cache, server, addresses, db, authority.File)
	tryCommands(t, &s, cache, rdb, db)
}
