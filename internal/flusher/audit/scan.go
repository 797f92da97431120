// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"
)

// scanned is one step of a scan.
type scanned struct {
	keys []string
	next uint64
	// run names the life of the server that has answered.
	run string
}

// errOtherRun says that a cursor means nothing any more: whoever went on with it would miss keys,
// and not know it.
var errOtherRun = errors.New("another Redis answers than the one whose keys were being listed: it was restarted, or has failed over; run it again")

// scanCount is about how many keys Redis looks at in one step: 1,000 take it less than a
// millisecond.
const scanCount = 1000

var globs = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`)

// scan makes one step, and asks who makes it on the same connection.
func scan(ctx context.Context, rdb *redis.Client, prefix string, cursor uint64) (scanned, error) {
	pipe := rdb.Pipeline()
	step, info := pipe.Scan(ctx, cursor, globs.Replace(prefix)+"*", scanCount), pipe.Info(ctx, "server")
	if _, err := pipe.Exec(ctx); err != nil {
		return scanned{}, fmt.Errorf("scan keys of prefix %q: %w", prefix, err)
	}
	var s scanned
	s.keys, s.next = step.Val()
	for line := range strings.Lines(info.Val()) {
		if run, is := strings.CutPrefix(line, "run_id:"); is {
			s.run = strings.TrimSpace(run)
		}
	}
	return s, nil
}
