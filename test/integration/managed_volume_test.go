// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/test/programs"
)

// A managed Redis whose volume is full still ends at SIGTERM: it would stay until it is killed
// if it wanted to write a snapshot first. The folder that takes no file is what a full volume is
// for a snapshot.
func TestAManagedRedisEndsThoughItCanWriteNoSnapshot(t *testing.T) {
	m := newManagedRedis(t, managedCache(func(*v1alpha1.ManagedRedis) {}))
	p := m.start()
	c := m.local()
	m.must(c.Set(t.Context(), "product:1", "{}", 0).Err())
	// The temporary file of a snapshot cannot be made where a folder has its name.
	m.must(os.Mkdir(filepath.Join(m.path("/data"), fmt.Sprintf("temp-%d.rdb", p.PID())), 0o700))
	if err := c.Save(t.Context()).Err(); err == nil {
		t.Fatal("the snapshot was written: the test shows nothing")
	}
	if code := p.Stop(t, programs.Usual.Limit); code != 0 {
		t.Errorf("Redis ends with %d: %s", code, p.Said())
	}

	// What was acknowledged is in the append-only file.
	m.start()
	if value, err := m.local().Get(t.Context(), "product:1").Result(); err != nil || value != "{}" {
		t.Errorf("after the restart the value is %q, %v", value, err)
	}
}

// The files of a managed Redis fit a volume of 4 times its memory: the append-only file of the
// smallest is rewritten before it outgrows the data by more than a half, or half of maxMemory.
func TestTheFilesOfAManagedRedisFitItsVolume(t *testing.T) {
	const document, memory = 1 << 10, 16 << 20
	cache := managedCache(func(r *v1alpha1.ManagedRedis) { r.MaxMemory.Set(memory) })
	m := newManagedRedis(t, cache)
	m.start()
	c := m.local()
	value := strings.Repeat("x", document)
	m.must(c.ConfigSet(t.Context(), "rdbcompression", "no").Err())
	var rewrites, largest int64
	// Five times what Redis may hold is written, so that only a rewrite keeps the file small.
	for i := range 5 * memory / document / 100 {
		pipe := c.Pipeline()
		for j := range 100 {
			pipe.Set(t.Context(), fmt.Sprintf("product:%d", (i*100+j)%8000), value, 0)
		}
		_, err := pipe.Exec(t.Context())
		m.must(err)
		// A rewrite that has begun is waited for: how much is written meanwhile is not bounded.
		programs.Usual.Eventually(t, "no rewrite is under way", func() error {
			info, err := c.InfoMap(t.Context(), "persistence").Result()
			if err != nil {
				return err
			}
			if p := info["Persistence"]; p["aof_rewrite_in_progress"] != "0" || p["aof_rewrite_scheduled"] != "0" {
				rewrites++
				return fmt.Errorf("a rewrite is under way: %v", p)
			}
			return nil
		})
		size, err := sizeOf(m.path("/data"))
		m.must(err)
		largest = max(largest, size)
	}
	if largest == 0 {
		t.Error("nothing was measured")
	}
	if rewrites == 0 {
		t.Error("the append-only file was never rewritten")
	}
	// Beside it a rewrite needs the data once more, and a snapshot stays.
	if room := int64(4*memory - 2*memory); largest > room {
		t.Errorf("the append-only file takes %d bytes, and there is room for %d", largest, room)
	}
}

// sizeOf is what the files of a folder take, in bytes. Redis removes and renames files there
// meanwhile: one that is gone by then is left out.
func sizeOf(folder string) (size int64, err error) {
	err = filepath.WalkDir(folder, func(path string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			var info os.FileInfo
			if info, err = entry.Info(); err == nil {
				size += info.Size()
			}
		}
		if path != folder && errors.Is(err, os.ErrNotExist) {
			return nil
		}
		return err
	})
	return size, err
}
