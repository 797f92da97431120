// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/resources"
	"github.com/writebehind/operator/internal/flusher/journal"
	"github.com/writebehind/operator/internal/flusher/journal/journaltest"
	"github.com/writebehind/operator/test/programs"
)

func managedRedis() *v1alpha1.WriteBehindCache {
	cache := &v1alpha1.WriteBehindCache{}
	cache.Name, cache.UID = "shop", "6f1c9a52-0000-4000-8000-000000000000"
	cache.Spec.Redis.Managed = &v1alpha1.ManagedRedis{MaxMemory: resource.MustParse("64Mi"), AppendFsync: v1alpha1.AppendFsyncAlways}
	return cache
}

// settingsOf are the lines of a managed Redis' configuration, without where it is and who may
// use it.
func settingsOf(cache *v1alpha1.WriteBehindCache) (lines []string) {
	for line := range strings.Lines(resources.RedisConf(cache)) {
		name, _, _ := strings.Cut(line, " ")
		switch name {
		case "include", "bind", "protected-mode", "port", "dir":
		default:
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}

// A Redis that the operator makes must be durable in the flusher's eyes, with the
// very configuration that it is given.
func TestAManagedRedisIsDurable(t *testing.T) {
	server := journaltest.New(t, journaltest.Config(settingsOf(managedRedis())...))
	persistence, eviction := journal.New(server.Client(t)).Durability(t.Context())
	if !persistence.OK || !eviction.OK {
		t.Errorf("the persistence is %+v, the eviction policy %+v", persistence, eviction)
	}
	limit, err := server.Client(t).ConfigGet(t.Context(), "maxmemory").Result()
	if err != nil || limit["maxmemory"] != "67108864" {
		t.Errorf("maxmemory is %v, %v: the configuration is not in force", limit, err)
	}
}

// probe runs a probe of a managed Redis as the kubelet does, against another server: files is
// the folder that stands for /etc.
func probe(t *testing.T, files string, server *journaltest.Server, live bool) (passes bool, said string) {
	t.Helper()
	set, err := resources.RedisStatefulSet(managedRedis(), nil)
	programs.Must(t, err)
	container := set.Spec.Template.Spec.Containers[0]
	exec := container.ReadinessProbe.Exec
	if live {
		exec = container.LivenessProbe.Exec
	}
	return shell(t, files, server, exec.Command[len(exec.Command)-1])
}

// shell runs a script of the Pod of a managed Redis. Its redis-cli finds the server of the
// test, whose port is another.
func shell(t *testing.T, files string, server *journaltest.Server, script string) (passes bool, said string) {
	t.Helper()
	cli, err := exec.LookPath("redis-cli")
	programs.Must(t, err)
	bin := filepath.Join(files, "bin")
	programs.Must(t, os.MkdirAll(bin, 0o700))
	programs.Must(t, os.WriteFile(filepath.Join(bin, "redis-cli"), []byte("#!/bin/sh\nexec "+cli+" -p "+strconv.Itoa(server.Port())+` "$@"`+"\n"), 0o700)) //nolint:gosec // a program is executable
	command := exec.CommandContext(t.Context(), "/bin/sh", "-c", strings.ReplaceAll(script, "/etc/", files+"/"))
	command.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"))
	output, err := command.CombinedOutput()
	return err == nil, string(output)
}

// Connections that somebody opens and leaves open take all that Redis has. Redis is alive all
// the while: a restart would end what the applications do. They are ended when they have been
// silent for long enough.
func TestAManagedRedisThatHasAllTheClientsItTakesLivesOn(t *testing.T) {
	server := journaltest.New(t, journaltest.Password("password"), journaltest.Config(append(settingsOf(managedRedis()), "maxclients 4")...))
	files := t.TempDir()
	programs.Must(t, os.MkdirAll(filepath.Join(files, "redis-auth"), 0o700))
	programs.Must(t, os.WriteFile(filepath.Join(files, "redis-auth", "password"), []byte("password\n"), 0o600))
	admin := server.Client(t)
	timeout, err := admin.ConfigGet(t.Context(), "timeout").Result()
	programs.Must(t, err)
	if timeout["timeout"] != "300" {
		t.Errorf("silent connections are ended after %v s, want 300", timeout)
	}
	if passes, said := probe(t, files, server, false); !passes {
		t.Fatalf("Redis is not ready: %s", said)
	}

	for range 3 {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", server.Addr())
		programs.Must(t, err)
		t.Cleanup(func() { _ = conn.Close() })
	}
	programs.Usual.Eventually(t, "Redis has as many clients as it takes", func() error {
		clients, err := admin.Info(t.Context(), "clients").Result()
		if err == nil && !strings.Contains(clients, "connected_clients:4\r") {
			err = errors.New(clients)
		}
		return err
	})
	if passes, said := probe(t, files, server, true); !passes {
		t.Errorf("Redis would be restarted: %s", said)
	}
	if passes, said := probe(t, files, server, false); passes || !strings.Contains(said, "max number of clients") {
		t.Errorf("ready: %t, and the probe says %q", passes, said)
	}

	programs.Must(t, admin.ConfigSet(t.Context(), "timeout", "1").Err())
	programs.Usual.Eventually(t, "the silent connections have ended", func() error {
		if passes, said := probe(t, files, server, false); !passes {
			return errors.New(said)
		}
		return nil
	})
}
