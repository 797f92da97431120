// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/test/load"
)

// finish prints the summary, and what a person may type next.
func (d *demo) finish(ctx context.Context) error {
	printed, err := d.cluster.Kubectl(ctx, "get", "wbc", "-n", d.namespace)
	if err != nil {
		return err
	}
	before, after := d.summary.before, d.summary.stats
	writes, rows := after.Writes-before.Writes, after.Flushed-before.Flushed
	lag := d.summary.lag
	fmt.Printf("\nSummary\n")
	d.line("Redis' commands   %s by redis-cli; %s rows equal to Redis", grouped(nativeCommands), grouped(int64(d.summary.native)))
	d.line("writes            %s in %s, %s/s; %s of them wb_del; %s refused", grouped(writes), brief(d.summary.duration),
		grouped(int64(float64(writes)/d.summary.duration.Seconds())), grouped(d.load.Deletes()), grouped(d.load.Refused()))
	d.line("rows written      %s: one for %.1f writes", grouped(rows), float64(writes)/float64(max(rows, 1)))
	d.line("coalesced away    %s of the writes", share(after.Coalesced-before.Coalesced, writes))
	d.line("lag               p50 %s, p99 %s, longest %s", brief(lag.P50), brief(lag.P99), brief(lag.Longest))
	d.line("                  (%d sampled writes, from acknowledgement until wb_pending says that it is in", lag.Samples)
	d.line("                  PostgreSQL, to within %s)", brief(load.LagResolution))
	d.line("drain             %s from the last write to an empty queue", brief(d.summary.drain))
	d.line("verified          %s rows equal in every field to the last acknowledged write", grouped(int64(d.summary.rows)))
	d.line("dead letters      %d; data-loss events %d", after.Dead, after.DataLoss)
	d.line("whole demo        %s", brief(time.Since(d.started)))
	fmt.Printf("\n%s\n", indent(printed))
	native, err := d.cluster.Cache(ctx, d.native)
	if err != nil {
		return err
	}
	cache, err := d.cluster.Cache(ctx, d.cache)
	if err != nil {
		return err
	}
	d.printCommands(native.Status.Redis, cache.Status.Redis)
	return nil
}

// printCommands prints commands to be copied: the system stays up. native and functions are
// where applications find a managed Redis of each capture.
func (d *demo) printCommands(native, functions *v1alpha1.RedisStatus) {
	fmt.Printf("\nThe system stays up.")
	if d.cluster.Local {
		fmt.Printf(" To talk to it:\n")
		d.line("export KUBECONFIG=%s", d.cluster.Kubeconfig)
		d.line("export PATH=%s:%s:$PATH   # kubectl, and its plugin writebehind",
			filepath.Dir(d.cluster.KubectlPath()), d.cluster.Path("bin"))
		d.line("kubectl config set-context --current --namespace %s", d.namespace)
	} else {
		fmt.Println()
	}
	name, ns := d.cache.Name, d.namespace
	fmt.Printf("\nLook at it:\n")
	d.line("kubectl get wbc -n %s -w", ns)
	d.line("kubectl describe wbc %s -n %s", name, ns)
	if d.cluster.Local {
		d.line("kubectl writebehind status %s -n %s", name, ns)
		d.line("kubectl writebehind explain %s %s1 -n %s   # what became of a write", name, d.mapping.KeyPrefix, ns)
	}
	d.line("%s -c 'SELECT * FROM products LIMIT 5'", d.database.psql)
	if native != nil {
		fmt.Printf("\nWrite with Redis' own commands, with the application's Secret:\n")
		d.printAccess(native, 6379)
		d.line(`redis-cli --user application SET product:123 '{"name":"lamp","price":19.90}'`)
		d.line("%s -c \"SELECT * FROM %s.products WHERE id = '123'\"", d.database.psql, nativeSchema)
	}
	if functions != nil {
		fmt.Printf("\nWrite with the functions:\n")
		d.printAccess(functions, 6380)
		d.line(`redis-cli --user application -p 6380 FCALL wb_set 1 %s123 %s '{"name":"lamp","price":19.90}'`, d.mapping.KeyPrefix, d.mapping.Name)
		d.line("redis-cli --user application -p 6380 FCALL_RO wb_pending 1 %s123 %s", d.mapping.KeyPrefix, d.mapping.Name)
		d.line("redis-cli --user application -p 6380 FCALL_RO wb_stats 0 %s", d.mapping.Name)
	}
	fmt.Printf("\nTune it, without a restart:\n")
	d.line(`kubectl patch wbc %s -n %s --type merge -p '{"spec":{"flush":{"intervalMilliseconds":2000,"batchSize":1000}}}'`, name, ns)
	d.line(`kubectl patch wbc %s -n %s --type merge -p '{"spec":{"suspend":true}}'`, name, ns)
	d.line("kubectl scale wbc %s -n %s --replicas 3", name, ns)
	fmt.Printf("\nRemove it (the queue is drained first):\n")
	down := "make demo-down"
	if !d.cluster.Local {
		down += " CLUSTER=current"
	}
	d.line("%s", down)
}

// printAccess prints what leads to a Redis from this machine.
func (d *demo) printAccess(redis *v1alpha1.RedisStatus, port int) {
	service, _, _ := strings.Cut(redis.Address, ".")
	ports := "6379"
	if port != 6379 {
		ports = fmt.Sprintf("%d:6379", port)
	}
	d.line("kubectl port-forward -n %s svc/%s %s &", d.namespace, service, ports)
	d.line("export REDISCLI_AUTH=$(kubectl get secret %s -n %s -o jsonpath='{.data.password}' | base64 -d)",
		redis.SecretName, d.namespace)
}
