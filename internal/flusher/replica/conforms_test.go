// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replica_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/enginetest"
	"github.com/writebehind/operator/internal/flusher/replica"
	"github.com/writebehind/operator/internal/flusher/replica/replicatest"
	"github.com/writebehind/operator/test/programs"
)

func products(partitions int) config.Mapping {
	m := config.DefaultMapping()
	m.Name, m.KeyPrefix, m.Table, m.KeyColumn, m.Partitions = "products", "product:", "products", "id", partitions
	return m
}

func TestTheSourceConforms(t *testing.T) {
	t.Parallel()
	enginetest.SourceConforms(t, func(t *testing.T) enginetest.SourceUnderTest {
		redis := replicatest.NewRedis()
		s := replica.New([]config.Mapping{products(1)}, redis, redis, &replicatest.Store{}, replica.Options{Name: "source"})
		t.Cleanup(func() { _ = s.Close() })
		if err := s.Prepare(t.Context()); err != nil {
			t.Fatal(err)
		}
		programs.Usual.Eventually(t, "a stream that is read", func() error {
			if p := s.Progress(); !p.Attached || !p.Scanned {
				return fmt.Errorf("%+v", p)
			}
			return nil
		})
		write := func(command func(c *replicatest.Commands)) int64 {
			redis.Do(command)
			_, end := redis.End()
			programs.Usual.Eventually(t, "a stream that is read to its end", func() error {
				if s.Progress().Read < end {
					return errors.New("it is not")
				}
				return nil
			})
			return end
		}
		return enginetest.SourceUnderTest{
			Source: s, Stream: true,
			Set: func(_, key, value string) int64 {
				return write(func(c *replicatest.Commands) { c.Set(key, value) })
			},
			Delete: func(_, key string) int64 {
				return write(func(c *replicatest.Commands) { c.Set(key, "{}"); c.Delete(key) })
			},
		}
	})
}
