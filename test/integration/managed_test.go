// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/resources"
	"github.com/writebehind/operator/internal/flusher/journal"
	"github.com/writebehind/operator/internal/flusher/journal/journaltest"
)

// A Redis that the operator makes must be durable in the flusher's eyes, with the
// very configuration that it is given.
func TestAManagedRedisIsDurable(t *testing.T) {
	cache := &v1alpha1.WriteBehindCache{}
	cache.Spec.Redis.Managed = &v1alpha1.ManagedRedis{MaxMemory: resource.MustParse("64Mi"), AppendFsync: v1alpha1.AppendFsyncAlways}
	var lines []string
	for line := range strings.Lines(resources.RedisConf(cache)) {
		name, _, _ := strings.Cut(line, " ")
		switch name {
		case "include", "bind", "protected-mode", "port", "dir": // where it is and who may use it
		default:
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	server := journaltest.New(t, journaltest.Config(lines...))
	persistence, eviction := journal.New(server.Client(t)).Durability(t.Context())
	if !persistence.OK || !eviction.OK {
		t.Errorf("the persistence is %+v, the eviction policy %+v", persistence, eviction)
	}
	limit, err := server.Client(t).ConfigGet(t.Context(), "maxmemory").Result()
	if err != nil || limit["maxmemory"] != "67108864" {
		t.Errorf("maxmemory is %v, %v: the configuration is not in force", limit, err)
	}
}
