// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package config_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/writebehind/operator/internal/flusher/config"
)

// TestManyWritesAtOnceAreOneChange writes the file again and again, lets it be
// missing for a while, and leaves it alone for an hour.
func TestManyWritesAtOnceAreOneChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "config.yaml")
		put := func(text string) {
			if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(path+".new", path); err != nil {
				t.Fatal(err)
			}
		}
		put(minimal)
		file, first, err := config.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		var changes []*config.Config
		var failures []error
		watched := make(chan struct{})
		go func() {
			defer close(watched)
			file.Watch(ctx, func(c *config.Config, err error) {
				changes, failures = append(changes, c), append(failures, err)
			})
		}()
		// told waits as long as a change may take to be seen, and says how many were.
		told := func() int {
			time.Sleep(2 * time.Second)
			synctest.Wait()
			return len(changes)
		}
		if n := told(); n != 0 {
			t.Fatalf("%d changes of a file that nobody touched", n)
		}
		for i := range 100 {
			put(minimal + fmt.Sprintf("flush: {batchSize: %d}\n", i+1))
		}
		if n := told(); n != 1 || failures[0] != nil || changes[0].Flush.BatchSize != 100 || changes[0].Revision <= first.Revision {
			t.Fatalf("a hundred writes at once are %d changes, %v, the last to %+v", n, failures, changes)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if n := told(); n != 1 {
			t.Errorf("a missing file is a change: %v", failures[n-1])
		}
		put(minimal + "flush: {batchSize: 100}\n")
		time.Sleep(time.Hour)
		if n := told(); n != 1 {
			t.Errorf("a file that came back as it was is a change")
		}
		put("flush: [\n")
		if n := told(); n != 2 || failures[1] == nil {
			t.Errorf("%d changes after nonsense, %v", n, failures)
		}
		// Nonsense is told once, not at every look.
		time.Sleep(time.Hour)
		if n := told(); n != 2 {
			t.Errorf("%d changes an hour after nonsense", n)
		}
		put(minimal)
		if n := told(); n != 3 || failures[2] != nil || changes[2].Revision <= changes[0].Revision {
			t.Errorf("%d changes after the file was mended, %v", n, failures)
		}
		stop()
		<-watched
	})
}
