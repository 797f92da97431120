// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package flusher

import (
	"os"
	"path/filepath"
	"testing"

	cachev1alpha1 "github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/journal/journaltest"
)

// A flusher that ends flushes what it can over the connections that are open.
func TestARedisWithoutItsSecretIsUsable(t *testing.T) {
	t.Parallel()
	password := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(password, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	server := journaltest.New(t, journaltest.Password("secret"))
	c := config.Default()
	c.Redis.External.Addresses = []string{server.Addr()}
	c.Redis.External.PasswordFile = password
	f := New(c, Options{})
	defer f.database.Close()
	defer func() { _ = f.rdb.Close() }()
	looks := func(what, reason string, answers bool) {
		t.Helper()
		f.probeRedis(t.Context())
		if redis, _ := f.usable(); redis != answers || f.redisCheck.Reason != reason {
			t.Fatalf("%s: usable is %v, want %v, and the check is %+v, want reason %q", what, redis, answers, f.redisCheck, reason)
		}
	}
	looks("the password is there", "", true)
	if err := os.Remove(password); err != nil {
		t.Fatal(err)
	}
	looks("the password is gone", cachev1alpha1.ReasonSecretMissing, true)
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	looks("Redis is gone too", cachev1alpha1.ReasonConnectionFailed, false)
}
