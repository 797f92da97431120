// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/test/kube"
	"github.com/writebehind/operator/test/load"
)

const (
	// readyTimeout is how long the cache may take from apply to Ready, with a
	// Redis image that may have to be pulled.
	readyTimeout = 3 * time.Minute
	// drainTimeout is how long the queue may take to be empty once the load has
	// ended; a few seconds are normal.
	drainTimeout = 2 * time.Minute
	// settingsTimeout is how long a changed setting may take until the status
	// says that it is in effect; 2 s are promised for the effect itself.
	settingsTimeout = 15 * time.Second
	// pollInterval separates two looks at something that is waited for.
	pollInterval = 200 * time.Millisecond
	// functionsName is the resource whose application calls the functions.
	functionsName = "functions"
	// databaseSecret is the Secret that the sample names.
	databaseSecret = "shop-db"
	// workers and pipeline are what one busy application does: a few
	// connections, some fifty calls in a round trip.
	workers  = 4
	pipeline = 50
	// deletePercent of the calls are wb_del.
	deletePercent = 2
	// tunedInterval is what the demo tunes the flush interval to.
	tunedInterval = 100
	// differencesShown bounds the rows that are printed when rows differ.
	differencesShown = 20
)

// demo is one run.
type demo struct {
	*options
	*screen

	cluster  *kube.Cluster
	database database
	db       *pgx.Conn
	operator client.ObjectKey
	cache    client.ObjectKey
	mapping  v1alpha1.Mapping
	image    string
	// claimed means that nothing of somebody else is in the way.
	claimed bool
	// native is the resource of capture Replication, nativeRedis how its Redis is reached.
	native      client.ObjectKey
	nativeRedis *redis.Options
	load        *load.Load
	summary     summary
}

// summary is what is printed at the end.
type summary struct {
	stats    load.Stats
	before   load.Stats
	lag      load.Lag
	duration time.Duration
	drain    time.Duration
	rows     int
	// native counts the rows of the resource of capture Replication.
	native int
}

func up(ctx context.Context, o *options) error {
	d := &demo{options: o, screen: newScreen(), image: o.image}
	if d.seed == 0 {
		d.seed = rand.Uint64N(1 << 32)
	}
	// A forwarded port lives as long as this context.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for _, step := range []struct {
		what string
		do   func(context.Context) error
	}{
		{"Kubernetes", d.connect},
		{"Images, without a registry", d.loadImages},
		{"PostgreSQL, as your existing database: table products", d.startDatabase},
		{"The operator: kubectl apply -k config/default", d.deployOperator},
		{"A WriteBehindCache of capture Replication, from config/samples", d.applyNative},
		{fmt.Sprintf("Redis' own commands, by redis-cli: %s, seed %d", grouped(nativeCommands), d.seed), d.writeNatively},
		{"Every row against Redis", d.compareNatively},
		{"A WriteBehindCache of capture Functions, from config/samples", d.applyCache},
		{fmt.Sprintf("Load: %s writes over %s keys, seed %d", grouped(int64(d.writes)), grouped(int64(d.keys)), d.seed), d.runLoad},
		{"Every row against the last acknowledged write of its key", d.compare},
		{"Tuning while it runs: kubectl patch", d.tune},
	} {
		if step.what == "Images, without a registry" && !d.cluster.Local {
			continue
		}
		if err := d.step(step.what, func() error { return step.do(ctx) }); err != nil {
			d.explain(ctx)
			return err
		}
	}
	return d.finish(ctx)
}

func (d *demo) connect(ctx context.Context) (err error) {
	if d.options.cluster == clusterLocal {
		d.cluster, err = kube.Local(ctx, os.Stdout)
		d.claimed = true // the whole cluster is the demo's to remove
		return err
	}
	if d.cluster, err = kube.Current(); err != nil {
		return err
	}
	name, err := d.cluster.Kubectl(ctx, "config", "current-context")
	if err != nil {
		return err
	}
	d.line("kubectl context: %s", indent(name)[3:])
	d.line("image: %s (the cluster has to be able to pull it; IMG=... names another)", d.image)
	return d.claim(ctx)
}

// claim looks that nothing of somebody else is in the way.
func (d *demo) claim(ctx context.Context) error {
	operator, err := d.operatorObjects(ctx)
	if err != nil {
		return err
	}
	for _, name := range []string{nativeName, functionsName} {
		if err := mayMake(ctx, d.cluster.Client, d.namespace, client.ObjectKey{Namespace: d.namespace, Name: name}, operator); err != nil {
			return err
		}
	}
	d.claimed = true
	return nil
}

func (d *demo) loadImages(ctx context.Context) (err error) {
	if d.image, err = d.cluster.LocalImage(d.image); err != nil {
		return err
	}
	return d.cluster.LoadImages(ctx, d.image)
}

func (d *demo) startDatabase(ctx context.Context) (err error) {
	if err := d.cluster.EnsureNamespace(ctx, d.namespace, markLabel, markValue); err != nil {
		return err
	}
	switch {
	case d.databaseURL != "":
		d.database = givenDatabase(d.databaseURL)
	case d.cluster.Local:
		d.database, err = startOnHost(ctx, d.cluster)
	default:
		d.database, err = startInCluster(ctx, d.cluster, d.namespace)
	}
	if err != nil {
		return err
	}
	if d.db, err = pgx.Connect(ctx, d.database.here); err != nil {
		return fmt.Errorf("connect to PostgreSQL: %w", err)
	}
	var exists bool
	if err := d.db.QueryRow(ctx, "SELECT to_regclass('products') IS NOT NULL").Scan(&exists); err != nil {
		return err
	}
	if !exists {
		if _, err := d.db.Exec(ctx, load.CreateTable); err != nil {
			return fmt.Errorf("create the table products: %w", err)
		}
	}
	if err := d.cluster.ApplySecret(ctx, d.namespace, databaseSecret, map[string]string{"uri": d.database.inside}); err != nil {
		return err
	}
	var version string
	if err := d.db.QueryRow(ctx, "SHOW server_version").Scan(&version); err != nil {
		return err
	}
	d.line("PostgreSQL %s, %s", version, d.database.where)
	return nil
}

func (d *demo) deployOperator(ctx context.Context) error {
	deployment, err := d.cluster.DeployOperator(ctx, d.image, mark)
	d.operator = deployment
	if err != nil {
		return err
	}
	d.line("Deployment %s in namespace %s is at work", deployment.Name, deployment.Namespace)
	return nil
}

// sample is the WriteBehindCache of capture Functions.
func (d *demo) sample() (*unstructured.Unstructured, error) {
	manifest, err := os.ReadFile(d.cluster.Path("config", "samples", "cache_v1alpha1_writebehindcache.yaml"))
	if err != nil {
		return nil, err
	}
	return d.sampleOf(manifest, functionsName)
}

func (d *demo) applyCache(ctx context.Context) error {
	object, err := d.sample()
	if err != nil {
		return err
	}
	d.cache = client.ObjectKeyFromObject(object)
	if err := d.applyObject(ctx, object, d.cache); err != nil {
		return err
	}
	cache, err := d.cluster.Cache(ctx, d.cache)
	if err != nil {
		return err
	}
	d.mapping = cache.Spec.Mappings[0]
	return nil
}

func (d *demo) runLoad(ctx context.Context) error {
	cache, err := d.cluster.Cache(ctx, d.cache)
	if err != nil {
		return err
	}
	redisOptions, err := d.cluster.Redis(ctx, cache)
	if err != nil {
		return err
	}
	d.load = load.New(load.Options{
		Redis: redisOptions, Queue: d.mapping.Name, KeyPrefix: d.mapping.KeyPrefix,
		Keys: d.keys, Workers: workers, Pipeline: pipeline, DeletePercent: deletePercent, Seed: d.seed,
	})
	if d.summary.before, err = d.load.Stats(ctx); err != nil {
		return err
	}
	d.line("FCALL wb_set 1 %s1 %s '{...}', %d connections, %d calls in a round trip, popularity after Zipf, %d %% wb_del",
		d.mapping.KeyPrefix, d.mapping.Name, workers, pipeline, deletePercent)
	d.line("flushed every %d ms in batches of %d by %d workers",
		cache.Spec.Flush.IntervalMilliseconds, cache.Spec.Flush.BatchSize, cache.Spec.Flush.Concurrency)
	return d.watch(ctx)
}

// watch runs the load, prints one line a second, and returns when the queue is
// empty. The load's own end is when all sampled writes have arrived, shortly
// after its last write.
func (d *demo) watch(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	started := time.Now()
	ended := make(chan error, 1)
	go func() { ended <- d.load.Run(ctx, load.Volume{Writes: d.writes, Rate: d.rate}) }()
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	d.line("%6s %10s %10s %9s %12s %10s %11s", "", "writes", "writes/s", "queue", "rows in PG", "flushed", "coalesced")
	before, count := started, int64(0)
	for running := true; running; {
		select {
		case <-ticker.C:
		case err := <-ended:
			if err != nil {
				return fmt.Errorf("the load failed: %w", err)
			}
			running = false
		}
		now, writes := time.Now(), d.load.Acknowledged()
		if err := d.printLine(ctx, now.Sub(started), writes, float64(writes-count)/now.Sub(before).Seconds()); err != nil {
			return err
		}
		before, count = now, writes
	}
	d.summary.duration = d.load.LastAcknowledged().Sub(started)
	return d.awaitDrained(ctx)
}

func (d *demo) printLine(ctx context.Context, elapsed time.Duration, writes int64, speed float64) error {
	stats, err := d.load.Stats(ctx)
	if err != nil {
		return err
	}
	var rows int64
	if err := d.db.QueryRow(ctx, "SELECT count(*) FROM products").Scan(&rows); err != nil {
		return fmt.Errorf("count products: %w", err)
	}
	before := d.summary.before
	d.line("%5.0fs %10s %10s %9s %12s %10s %11s", elapsed.Seconds(), grouped(writes), grouped(int64(speed)), grouped(stats.Depth),
		grouped(rows), grouped(stats.Flushed-before.Flushed), share(stats.Coalesced-before.Coalesced, stats.Writes-before.Writes))
	return nil
}

func (d *demo) awaitDrained(ctx context.Context) error {
	err := poll(ctx, drainTimeout, func() (bool, error) {
		stats, err := d.load.Stats(ctx)
		d.summary.stats = stats
		return stats.Depth == 0, err
	})
	if err != nil {
		return fmt.Errorf("entries that are still queued after %s: %d: %w", drainTimeout, d.summary.stats.Depth, err)
	}
	d.summary.drain = time.Since(d.load.LastAcknowledged())
	d.summary.lag = d.load.Lag()
	d.line("The queue is empty %s after the last write.", brief(d.summary.drain))
	return nil
}

func (d *demo) compare(ctx context.Context) error {
	rows, differences, err := load.Compare(ctx, d.db, d.load.Last())
	if err != nil {
		return err
	}
	if len(differences) > 0 {
		fmt.Printf("\n   %s ROWS DIFFER FROM WHAT WAS ACKNOWLEDGED (seed %d)\n", grouped(int64(len(differences))), d.seed)
		for i, difference := range differences {
			if i == differencesShown {
				d.line("... and %d more", len(differences)-i)
				break
			}
			d.line("%s", difference)
		}
		return fmt.Errorf("keys that differ: %d of %d", len(differences), len(d.load.Last()))
	}
	d.summary.rows = rows
	last := d.load.Last()
	d.line("%s rows are equal in every field, %s deleted keys have no row, and there is no other row.",
		grouped(int64(rows)), grouped(int64(len(last)-rows)))
	return nil
}

// explain shows what a person would look at next when a step has failed.
func (d *demo) explain(ctx context.Context) {
	if ctx.Err() != nil || d.cluster == nil || !d.claimed {
		return
	}
	fmt.Println()
	for _, args := range [][]string{
		{"get", "wbc,pods", "-n", d.namespace, "-o", "wide"},
		{"get", "pods", "-n", d.operator.Namespace, "-o", "wide"},
		{"get", "events", "-n", d.namespace, "--sort-by=.lastTimestamp"},
	} {
		printed, err := d.cluster.Kubectl(ctx, args...)
		if err == nil {
			fmt.Println(indent(printed))
		}
	}
}
