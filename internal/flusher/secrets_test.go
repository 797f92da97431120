// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package flusher_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	cachev1alpha1 "github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/journal/journaltest"
)

func TestAPasswordThatIsGoneIsToldWhileConnectionsLive(t *testing.T) {
	t.Parallel()
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	user, password := filepath.Join(t.TempDir(), "username"), filepath.Join(t.TempDir(), "password")
	write(user, "flusher")
	write(password, "secret\n")
	r := run(t, products, func(c *config.Config) {
		c.Redis.External.UsernameFile, c.Redis.External.PasswordFile = user, password
		c.Redis.External.PasswordSecret = "Secret shop-redis, key password"
	}, journaltest.Config("user flusher on >secret ~* &* +@all"))
	redis := func(s config.Status) config.Check { return s.Redis }
	r.becomes("the password is there", "", redis)
	for range 2 {
		if err := os.Remove(password); err != nil {
			t.Fatal(err)
		}
		check := r.becomes("the password is gone", cachev1alpha1.ReasonSecretMissing, redis)
		if !strings.Contains(check.Message, "Secret shop-redis, key password is missing") {
			t.Errorf("The message does not name the Secret: %s", check.Message)
		}
		write(password, "secret")
		r.becomes("the password is back", "", redis)
	}
}
