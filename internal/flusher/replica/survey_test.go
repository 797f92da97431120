// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"fmt"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/journal/journaltest"
)

// Whoever looks at a key of any number of members holds so many of them at most, and is told that
// there are more.
func TestASurveyHoldsSoManyMembers(t *testing.T) {
	server := journaltest.New(t)
	rdb := server.Client(t)
	for n := range 1500 {
		rdb.ZAdd(t.Context(), "board:1", redis.Z{Score: float64(n), Member: fmt.Sprint(n)})
		rdb.XAdd(t.Context(), &redis.XAddArgs{Stream: "events:1", ID: fmt.Sprintf("%d-1", n+1), Values: []string{"n", fmt.Sprint(n)}})
	}
	for key, encoding := range map[string]string{"board:1": config.EncodingSortedSet, "events:1": config.EncodingStream} {
		m := config.DefaultMapping()
		m.Name, m.Encoding = "queue", encoding
		c := NewClient(settingsOf(server), rdb)
		for most, want := range map[int]struct {
			entries int
			all     bool
		}{7: {7, false}, 1200: {1200, false}, 1500: {1500, true}, 2000: {1500, true}} {
			c.most = most
			all, err := c.Survey(t.Context(), &m, []string{key})
			if err != nil {
				t.Fatal(err)
			}
			if s := &all[0]; len(s.Entries) != want.entries || (s.Members > len(s.Entries)) == want.all {
				t.Errorf("%s: of at most %d there are %d entries of %d members", key, most, len(s.Entries), s.Members)
			}
		}
	}
}
