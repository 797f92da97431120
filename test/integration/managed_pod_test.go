// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/resources"
	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/journal"
	"github.com/writebehind/operator/test/programs"
)

// probeTimeout is longer than a Pod's, for a machine that is short of CPU.
const probeTimeout = 10 * time.Second

// managedPassword is that of the applications' and of the flushers' user.
const managedPassword = "S3cret"

// managedRedis is a managed Redis as its Pod runs it: the command, the probes and the
// configuration file are those of the operator, in a folder that takes the place of the
// container's root.
type managedRedis struct {
	t       *testing.T
	root    string
	address string
	// command, ready and live are what the container runs.
	command, ready, live []string
}

// managedCache is a resource with a small managed Redis.
func managedCache(edit func(*v1alpha1.ManagedRedis)) *v1alpha1.WriteBehindCache {
	cache := &v1alpha1.WriteBehindCache{}
	cache.Name, cache.Namespace, cache.UID = "shop", "shop-eu", "6f1c9a52"
	cache.Spec.Redis.Managed = &v1alpha1.ManagedRedis{
		MaxMemory: resource.MustParse("64Mi"), Storage: v1alpha1.Storage{Size: resource.MustParse("1Gi")},
		AppendFsync: v1alpha1.AppendFsyncAlways,
	}
	edit(cache.Spec.Redis.Managed)
	return cache
}

// newManagedRedis prepares the folder with all but the Secret of TLS.
func newManagedRedis(t *testing.T, cache *v1alpha1.WriteBehindCache) *managedRedis {
	t.Helper()
	set, err := resources.RedisStatefulSet(cache, nil)
	programs.Must(t, err)
	m := &managedRedis{t: t, root: t.TempDir(), address: programs.FreeAddress(t)}
	container := set.Spec.Template.Spec.Containers[0]
	m.command = m.inRoot(container.Command)
	m.ready, m.live = m.inRoot(container.ReadinessProbe.Exec.Command), m.inRoot(container.LivenessProbe.Exec.Command)
	for _, mount := range container.VolumeMounts {
		programs.Must(t, os.MkdirAll(m.path(*mount.MountPath), 0o700))
	}
	host, port, err := net.SplitHostPort(m.address)
	programs.Must(t, err)
	here := strings.NewReplacer("bind * -::*", "bind "+host, fmt.Sprintf("port %d", resources.RedisPort), "port "+port)
	for key, text := range resources.RedisConfigMap(cache).Data {
		m.put("/etc/redis/"+key, m.inRoot([]string{here.Replace(text)})[0])
	}
	m.giveRights(cache)
	for _, user := range []string{resources.RedisApplication, resources.RedisFlusher} {
		for key, text := range resources.RedisSecret(cache, user, managedPassword).StringData {
			m.put("/etc/redis-auth/"+user+"/"+key, text)
		}
	}
	// The probes ask at the port that a Pod has to itself.
	cli, err := exec.LookPath("redis-cli")
	programs.Must(t, err)
	m.put("/bin/redis-cli", fmt.Sprintf("#!/bin/sh\nexec %s -p %s \"$@\"\n", cli, port))
	programs.Must(t, os.Chmod(m.path("/bin/redis-cli"), 0o700))
	return m
}

// giveRights does what the kubelet does with the ConfigMap of the users' rights.
func (m *managedRedis) giveRights(cache *v1alpha1.WriteBehindCache) {
	m.t.Helper()
	for key, text := range resources.RedisUsersConfigMap(cache, resources.FlusherConfig(cache).Mappings).Data {
		m.put("/etc/redis-users/"+key, text)
	}
}

// as connects as a user, on one connection.
func (m *managedRedis) as(user, password string) *redis.Client {
	client := redis.NewClient(&redis.Options{
		Addr: m.address, Username: user, Password: password, Protocol: 2, DisableIdentity: true, MaxRetries: -1, PoolSize: 1,
		ReadTimeout: programs.Usual.Limit,
	})
	m.t.Cleanup(func() { _ = client.Close() })
	return client
}

// local connects as the user that the Pod has made for itself.
func (m *managedRedis) local() *redis.Client {
	m.t.Helper()
	password, err := os.ReadFile(m.path("/run/redis/local"))
	m.must(err)
	return m.as("local", strings.TrimSpace(string(password)))
}

func (m *managedRedis) path(path string) string { return filepath.Join(m.root, path) }

func (m *managedRedis) put(path, text string) {
	m.t.Helper()
	programs.Must(m.t, os.MkdirAll(filepath.Dir(m.path(path)), 0o700))
	programs.Must(m.t, os.WriteFile(m.path(path), []byte(text), 0o600))
}

// inRoot moves the container's paths into the folder.
func (m *managedRedis) inRoot(texts []string) []string {
	var moved []string
	for _, text := range texts {
		moved = append(moved, strings.NewReplacer("/etc/redis", m.root+"/etc/redis", "/data", m.root+"/data", "/run/redis", m.root+"/run/redis").Replace(text))
	}
	return moved
}

func (m *managedRedis) exec(ctx context.Context, command []string) *exec.Cmd {
	run := exec.CommandContext(ctx, command[0], command[1:]...)
	run.WaitDelay = time.Second // what the shell has started holds the output open
	run.Env = append(os.Environ(), "PATH="+m.path("/bin")+":"+os.Getenv("PATH"))
	return run
}

// start runs the container, and returns when the probe for readiness passes.
func (m *managedRedis) start() *programs.Process {
	m.t.Helper()
	p := programs.Run(m.t, m.exec(m.t.Context(), m.command))
	p.Eventually(m.t, programs.Usual, "the managed Redis is ready", func() error { return m.probe(m.ready) })
	return p
}

// probe runs a probe as the kubelet does, which ends one that takes too long.
func (m *managedRedis) probe(command []string) error {
	ctx, cancel := context.WithTimeout(m.t.Context(), probeTimeout)
	defer cancel()
	said, err := m.exec(ctx, command).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, said)
	}
	return nil
}

// exits runs a container that ends by itself, and returns its exit code and what it said.
func (m *managedRedis) exits() (int, string) {
	m.t.Helper()
	said, err := m.exec(m.t.Context(), m.command).CombinedOutput()
	if ended, ok := errors.AsType[*exec.ExitError](err); ok {
		return ended.ExitCode(), string(said)
	}
	programs.Must(m.t, err)
	return 0, string(said)
}

// mountTLS does what the kubelet does with a Secret: a new folder takes the place of the old
// one by one step.
func (m *managedRedis) mountTLS(revision string, files map[string]string) {
	m.t.Helper()
	for key, file := range files {
		text, err := os.ReadFile(file)
		programs.Must(m.t, err)
		m.put(filepath.Join("/etc/redis-tls", revision, key), string(text))
		link := m.path("/etc/redis-tls/" + key)
		if _, err := os.Lstat(link); err != nil {
			programs.Must(m.t, os.Symlink("..data/"+key, link))
		}
	}
	m.must(os.RemoveAll(m.path("/etc/redis-tls/..new")))
	m.must(os.Symlink(revision, m.path("/etc/redis-tls/..new")))
	m.must(os.Rename(m.path("/etc/redis-tls/..new"), m.path("/etc/redis-tls/..data")))
}

func (m *managedRedis) must(err error) {
	m.t.Helper()
	programs.Must(m.t, err)
}

// settings are the flushers', as the operator writes them, with the files that the test has.
func (m *managedRedis) settings(cache *v1alpha1.WriteBehindCache, authority string) config.RedisExternal {
	r := resources.FlusherConfig(cache).Redis.External
	r.Addresses = []string{m.address}
	r.UsernameFile = m.path("/etc/redis-auth/flusher/" + resources.UsernameKey)
	r.PasswordFile = m.path("/etc/redis-auth/flusher/" + resources.PasswordKey)
	if r.TLS != nil {
		r.TLS.CAFile = authority
	}
	return r
}

// check connects as a flusher does.
func (m *managedRedis) check(settings config.RedisExternal) error {
	client := journal.Dial(settings, 1)
	defer func() { _ = client.Close() }()
	return client.Ping(m.t.Context()).Err()
}
