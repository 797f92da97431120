// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/plural"
	"github.com/writebehind/operator/test/kube"
	"github.com/writebehind/operator/test/load/native"
)

const (
	// nativeName is the resource whose application writes with Redis' own commands. It bears
	// the name that the README's commands have.
	nativeName = "shop"
	// nativeSchema has its tables, apart from that of the functions.
	nativeSchema = "native"
	nativeSample = native.Sample
	// nativeCommands are given in one session of redis-cli, to keys of which each kind has so
	// many.
	nativeCommands, nativeKeys = 30_000, 1_000
	// nativePatience is how long what was written may take to be in PostgreSQL.
	nativePatience = 60 * time.Second
)

// applyNative makes the tables of the sample of capture Replication, and applies it.
func (d *demo) applyNative(ctx context.Context) error {
	text, err := os.ReadFile(d.cluster.Path("config", "samples", nativeSample))
	if err != nil {
		return err
	}
	if err := d.makeNativeTables(ctx, string(text)); err != nil {
		return err
	}
	object, err := d.nativeSample(text)
	if err != nil {
		return err
	}
	d.native = client.ObjectKeyFromObject(object)
	return d.applyObject(ctx, object, d.native)
}

// makeNativeTables makes those that the comment of the sample tells.
func (d *demo) makeNativeTables(ctx context.Context, text string) error {
	if _, err := d.db.Exec(ctx, "CREATE SCHEMA IF NOT EXISTS "+nativeSchema); err != nil {
		return fmt.Errorf("create the schema %s: %w", nativeSchema, err)
	}
	for _, table := range native.Definitions(text) {
		if _, err := d.db.Exec(ctx, "CREATE TABLE IF NOT EXISTS "+nativeSchema+"."+table); err != nil {
			return fmt.Errorf("create a table of the sample: %w", err)
		}
	}
	return nil
}

// nativeSample is the sample as it is applied: with the demo's database, and tables in a schema
// of their own.
func (d *demo) nativeSample(text []byte) (*unstructured.Unstructured, error) {
	object, err := d.sampleOf(text, nativeName)
	if err != nil {
		return nil, err
	}
	mappings, _, err := unstructured.NestedSlice(object.Object, "spec", "mappings")
	if err != nil {
		return nil, err
	}
	for _, m := range mappings {
		mapping, _ := m.(map[string]any)
		mapping["table"] = fmt.Sprintf("%s.%v", nativeSchema, mapping["table"])
	}
	return object, errors.Join(
		unstructured.SetNestedSlice(object.Object, mappings, "spec", "mappings"),
		unstructured.SetNestedField(object.Object, databaseSecret, "spec", "database", "postgres", "urlSecretRef", "name"))
}

// applyObject applies a resource, and waits until it is Ready.
func (d *demo) applyObject(ctx context.Context, object *unstructured.Unstructured, key client.ObjectKey) error {
	manifest, err := yaml.Marshal(object.Object)
	if err != nil {
		return err
	}
	printed, err := d.cluster.Apply(ctx, manifest, "--force-conflicts")
	if err != nil {
		return err
	}
	fmt.Println(indent(printed))
	cache, err := d.awaitReady(ctx, key)
	if err != nil {
		return err
	}
	d.line("Redis for the application: %s, user and password in the Secret %s",
		cache.Status.Redis.Address, cache.Status.Redis.SecretName)
	return nil
}

// writeNatively gives commands to redis-cli in the pod of Redis, which knows nothing of this
// project, and waits by WAIT until they are in PostgreSQL.
func (d *demo) writeNatively(ctx context.Context) error {
	cache, err := d.awaitStream(ctx)
	if err != nil {
		return err
	}
	options, err := d.cluster.Redis(ctx, cache)
	if err != nil {
		return err
	}
	if d.nativeRedis == nil {
		d.nativeRedis = options
	}
	commands, shown := native.Commands(rand.New(rand.NewPCG(d.seed, 1)), nativeKeys, nativeCommands)
	for _, command := range shown {
		d.line("%s", command)
	}
	input := fmt.Sprintf("AUTH %s %s\n%s", options.Username, options.Password, session(commands))
	began := time.Now()
	printed, err := d.cluster.KubectlWithInput(ctx, []byte(input), "exec", "-i", "-n", d.namespace, d.native.Name+"-redis-0", "--", "redis-cli")
	if err != nil {
		return err
	}
	if err := answersOf(printed); err != nil {
		return err
	}
	d.line("%s commands, and WAIT 1: all of them are in PostgreSQL %s after the first one", grouped(int64(len(commands))), brief(time.Since(began)))
	return nil
}

// awaitStream waits until a flusher reads the stream: WAIT is about writes that Redis took while
// it had a replica.
func (d *demo) awaitStream(ctx context.Context) (cache *v1alpha1.WriteBehindCache, err error) {
	err = poll(ctx, readyTimeout, func() (bool, error) {
		cache, err = d.cluster.Cache(ctx, d.native)
		return err == nil && cache.Status.Replication != nil && cache.Status.Replication.History > 0 && !cache.Status.Replication.Scanning, err
	})
	if err != nil {
		return nil, fmt.Errorf("no flusher reads the stream of %s: %w", d.native.Name, err)
	}
	return cache, nil
}

// session is what redis-cli is given: a command a line, and WAIT for the flusher, which is the
// one replica.
func session(commands []string) string {
	return fmt.Sprintf("%s\nWAIT 1 %d\n", strings.Join(commands, "\n"), nativePatience.Milliseconds())
}

// answersOf looks at what redis-cli has printed: the last word is WAIT's, of the one replica
// that the flusher is.
func answersOf(printed string) error {
	lines := strings.Split(strings.TrimSpace(printed), "\n")
	for _, line := range lines {
		code, _, _ := strings.Cut(line, " ")
		if slices.Contains([]string{"ERR", "WRONGTYPE", "WRONGPASS", "NOAUTH", "NOPERM", "OOM", "MISCONF"}, code) {
			return fmt.Errorf("redis-cli: %s", line)
		}
	}
	if last := lines[len(lines)-1]; last != "1" {
		return fmt.Errorf("WAIT 1 answers %q: what was written is not in PostgreSQL after %s", last, nativePatience)
	}
	return nil
}

// compareNatively compares every row with what its key is in Redis.
func (d *demo) compareNatively(ctx context.Context) error {
	rdb := redis.NewClient(d.nativeRedis)
	defer func() { _ = rdb.Close() }()
	tables, err := native.Read(ctx, rdb)
	if err != nil {
		return err
	}
	differ := 0
	for i := range tables {
		t := &tables[i]
		rows, err := t.Rows(ctx, d.db, nativeSchema)
		if err != nil {
			return err
		}
		if difference := native.Difference(t.Keys, rows); difference != "" {
			differ++
			d.line("%s.%s DIFFERS from Redis (seed %d): %s", nativeSchema, t.Name, d.seed, difference)
			continue
		}
		d.line("%-10s %8s, equal to Redis", t.Name, plural.Of(len(rows), "row", "rows"))
		d.summary.native += len(rows)
	}
	if differ > 0 {
		return fmt.Errorf("tables that differ from Redis: %d of %d", differ, len(tables))
	}
	return nil
}

// sampleOf reads the WriteBehindCache of a file of config/samples, as it is applied.
func (d *demo) sampleOf(manifest []byte, name string) (*unstructured.Unstructured, error) {
	objects, err := kube.Objects(manifest)
	if err != nil {
		return nil, fmt.Errorf("config/samples: %w", err)
	}
	for _, object := range objects {
		if object.GetKind() != "WriteBehindCache" {
			continue
		}
		object.SetNamespace(d.namespace)
		object.SetName(name)
		mark(object)
		if d.cluster.Local {
			// The local cluster has nowhere to pull from; its image of Redis is
			// made of Debian's package. The demo's database has no TLS.
			unstructured.RemoveNestedField(object.Object, "spec", "database", "postgres", "tls")
			err := unstructured.SetNestedField(object.Object, kube.RedisImage, "spec", "redis", "managed", "image")
			return object, err
		}
		return object, nil
	}
	return nil, errors.New("config/samples holds no WriteBehindCache")
}
