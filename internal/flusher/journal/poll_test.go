// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package journal_test

import (
	"testing"

	"github.com/writebehind/operator/internal/flusher/entry"
	"github.com/writebehind/operator/internal/flusher/journal/journaltest"
	"github.com/writebehind/operator/test/programs"
)

// TestAPollSeesEachKeyOfAPartition plants one alone: a poll that took the partition for empty
// would tell nothing of it.
func TestAPollSeesEachKeyOfAPartition(t *testing.T) {
	t.Parallel()
	server := journaltest.New(t)
	for key, command := range map[string][]any{
		"ops":   {"HSET", "wb:{products:0}:ops", "product:1", "s0:1:1:1"},
		"q":     {"RPUSH", "wb:{products:0}:q", "product:1"},
		"retry": {"ZADD", "wb:{products:0}:retry", 1, "product:1"},
		"late":  {"ZADD", "wb:{products:0}:late", 1, "product:1"},
		"mend":  {"ZADD", "wb:{products:0}:mend", 1, "product:1"},
		"dlq":   {"HSET", "wb:{products:0}:dlq", "product:1", "{}"},
	} {
		f := open(t, server)
		if load := f.load(); load != (entry.Load{}) {
			t.Fatalf("an empty partition is told as %+v", load)
		}
		programs.Must(t, f.rdb.Do(t.Context(), command...).Err())
		if f.load() == (entry.Load{}) {
			t.Errorf("%s alone is not told", key)
		}
		programs.Must(t, f.rdb.FlushAll(t.Context()).Err())
	}
}
