// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package service_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	cachev1alpha1 "github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/journal/journaltest"
	"github.com/writebehind/operator/test/programs"
)

// A server keeps connections whose password it takes no longer.
func TestAPasswordThatIsChangedIsProvedByANewConnection(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "password")
	write := func(text string) {
		t.Helper()
		if err := programs.PutFile(path, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	write("first")
	r := run(t, products, func(c *config.Config) {
		c.Flush.IntervalMilliseconds = 100
		c.Redis.External.PasswordFile, c.Redis.External.CredentialsSecret = path, config.SecretKey("shop-redis", "password")
	}, journaltest.Password("first"))
	admin := r.server.Client(t)
	change := func(password string) {
		t.Helper()
		if err := admin.ConfigSet(t.Context(), "requirepass", password).Err(); err != nil {
			t.Fatal(err)
		}
	}
	if err := admin.Ping(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	r.becomes("the first password", "", redisOf)
	r.becomes("the queue", "", mappingOf)

	write("second")
	check := r.becomes("the file is ahead of the server", cachev1alpha1.ReasonAuthenticationFailed, redisOf)
	if !strings.Contains(check.Message, "Secret shop-redis, key password") || strings.Contains(check.Message, "second") {
		t.Errorf("the message is %q", check.Message)
	}
	if err := admin.FCall(t.Context(), "wb_set", []string{"product:1"}, "products", `{"name":"x"}`).Err(); err != nil {
		t.Fatal(err)
	}
	r.flushes("1")
	r.stays(cachev1alpha1.ReasonAuthenticationFailed, redisOf)
	change("second")
	r.becomes("the server follows", "", redisOf)

	change("third")
	r.stays("", redisOf)
	write("third")
	r.stays("", redisOf)
	write("second")
	r.becomes("the password of before", cachev1alpha1.ReasonAuthenticationFailed, redisOf)
}

// flushes waits until the table has so many rows.
func (r *running) flushes(rows string) {
	r.t.Helper()
	programs.Usual.Eventually(r.t, rows+" rows", func() error {
		if got := r.db.Value(r.t, "SELECT count(*) FROM products"); got != rows {
			return fmt.Errorf("there are %s: %+v", got, r.Status())
		}
		return nil
	})
}

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
		c.Redis.External.CredentialsSecret = "Secret shop-redis, key password"
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
