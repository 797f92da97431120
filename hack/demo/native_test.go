// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"sigs.k8s.io/yaml"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/resources"
	"github.com/writebehind/operator/internal/flusher"
	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/journal/journaltest"
	"github.com/writebehind/operator/internal/flusher/service"
	"github.com/writebehind/operator/test/load/native"
	"github.com/writebehind/operator/test/programs"
	"github.com/writebehind/operator/test/servers"
)

// TestTheCommandsOfTheDemo gives them to redis-cli beside a flusher, without a cluster: WAIT
// answers, and what is compared then is equal.
func TestTheCommandsOfTheDemo(t *testing.T) {
	text, err := os.ReadFile("../../config/samples/" + nativeSample)
	programs.Must(t, err)
	pair := servers.Start(t, "CREATE SCHEMA "+nativeSchema, journaltest.Config("lazyfree-lazy-expire yes", "lazyfree-lazy-eviction yes"))
	d := &demo{options: &options{seed: 7}, screen: newScreen(), nativeRedis: pair.Redis.Options()}
	d.db, err = pgx.Connect(t.Context(), pair.Database.URL())
	programs.Must(t, err)
	defer func() { _ = d.db.Close(context.WithoutCancel(t.Context())) }()
	programs.Must(t, d.makeNativeTables(t.Context(), string(text)))

	cache := &v1alpha1.WriteBehindCache{}
	programs.Must(t, yaml.Unmarshal(text, cache))
	c := pair.Config
	c.Capture, c.Flush.IntervalMilliseconds = config.CaptureReplication, 100
	c.Mappings = resources.FlusherConfig(cache).Mappings
	for i := range c.Mappings {
		// The API server fills in what the sample leaves out.
		m, given := &c.Mappings[i], config.DefaultMapping()
		m.Table, m.Partitions, m.OnDelete, m.TimeToLiveSeconds = nativeSchema+"."+m.Table, given.Partitions, given.OnDelete, given.TimeToLiveSeconds
		m.Mode, m.Encoding = cmp.Or(m.Mode, given.Mode), cmp.Or(m.Encoding, given.Encoding)
	}
	programs.Must(t, c.Validate())
	f := service.New(c, flusher.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		f.Run(ctx)
	}()
	defer func() {
		cancel()
		<-ended
	}()
	// WAIT is about writes that Redis took while it had a replica.
	programs.Usual.Eventually(t, "a flusher that is attached", func() error {
		if now := f.Status().Replication; now == nil || !now.Attached {
			return fmt.Errorf("%+v", now)
		}
		return nil
	})
	commands, _ := native.Commands(rand.New(rand.NewPCG(d.seed, 1)), nativeKeys, 2000)
	cli := exec.CommandContext(t.Context(), "redis-cli", "-p", strconv.Itoa(pair.Redis.Port()))
	cli.Stdin = strings.NewReader(session(commands))
	printed, err := cli.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, printed)
	}
	programs.Must(t, answersOf(string(printed)))
	programs.Must(t, d.compareNatively(t.Context()))
	if d.summary.native < 1000 {
		t.Errorf("only %d rows were compared", d.summary.native)
	}
	pair.Database.Exec(t, "DELETE FROM "+nativeSchema+".views WHERE page = (SELECT min(page) FROM "+nativeSchema+".views)")
	if err := d.compareNatively(t.Context()); err == nil || !strings.Contains(err.Error(), "tables that differ from Redis: 1 of 5") {
		t.Errorf("of a row that is missing it says %v", err)
	}
}
