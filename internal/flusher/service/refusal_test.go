// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package service_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	cachev1alpha1 "github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/journal/journaltest"
)

func redisOf(s config.Status) config.Check { return s.Redis }
func mappingOf(s config.Status) config.Check {
	return s.Queues[0].Ready
}

// stays looks for the time of many probes whether the check keeps its reason.
func (r *running) stays(reason string, of func(config.Status) config.Check) {
	r.t.Helper()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for range 100 {
		<-ticker.C
		if check := of(r.Status()); check.Reason != reason {
			r.t.Fatalf("the check became %+v, want reason %s to stay", check, reason)
		}
	}
}

func (r *running) set(key, value string) {
	r.t.Helper()
	if err := r.server.Client(r.t).FCall(r.t.Context(), "wb_set", []string{key}, "products", value).Err(); err != nil {
		r.t.Fatal(err)
	}
}

// The catalogue shows nothing of what a function does that makes a default, and the
// table is read again with every probe. An immutable function is called when the
// statement is planned, before any row.
func TestWhatOnlyABatchFindsOutStaysTold(t *testing.T) {
	t.Parallel()
	const refusing = "ALTER TABLE products ALTER COLUMN note SET DEFAULT refuse()"
	r := run(t, products+`; ALTER TABLE products ADD COLUMN note text; CREATE FUNCTION refuse() RETURNS text IMMUTABLE LANGUAGE plpgsql AS
'BEGIN RAISE feature_not_supported; END'; `+refusing, func(c *config.Config) { c.Flush.IntervalMilliseconds = 100 })
	r.becomes("an empty queue", "", mappingOf)
	r.set("product:1", `{"name":"x"}`)
	check := r.becomes("a table with a default that fails", cachev1alpha1.ReasonSchemaMismatch, mappingOf)
	if !strings.Contains(check.Message, "mapping products: no batch can be written") || !strings.Contains(check.Message, "0A000") {
		t.Errorf("the message is %q", check.Message)
	}
	r.stays(cachev1alpha1.ReasonSchemaMismatch, mappingOf)
	if letters := r.Status().Queues[0].DeadLetters; letters != 0 {
		t.Errorf("%d rows pay for their table", letters)
	}
	r.db.Exec(t, "ALTER TABLE products ALTER COLUMN note DROP DEFAULT")
	r.becomes("a table without it", "", mappingOf)

	r.db.Exec(t, refusing)
	r.set("product:2", `{"name":"y"}`)
	r.becomes("a table with it again", cachev1alpha1.ReasonSchemaMismatch, mappingOf)
	r.db.Exec(t, "ALTER TABLE products RENAME TO others")
	for !strings.Contains(mappingOf(r.Status()).Message, "does not exist") {
		r.becomes("a table that is gone", cachev1alpha1.ReasonSchemaMismatch, mappingOf)
	}
	r.db.Exec(t, products)
	r.becomes("another table", "", mappingOf)
}

// The probe touches no key of an application, so it is content where a claim is not.
func TestARightThatOnlyAClaimLacksStaysTold(t *testing.T) {
	t.Parallel()
	file := secretFiles(t)
	r := run(t, products, func(c *config.Config) {
		c.Flush.IntervalMilliseconds = 100
		c.Redis.External.UsernameFile, c.Redis.External.PasswordFile = file("username", "flusher"), file("password", "secret")
	}, journaltest.User("flusher on >secret ~wb:* +@all"))
	r.becomes("an empty queue", "", mappingOf)
	r.set("product:1", `{"name":"x"}`)
	check := r.becomes("a user without a right", cachev1alpha1.ReasonPrivilegeMissing, redisOf)
	if !strings.Contains(check.Message, "Redis user flusher lacks a right (a key") {
		t.Errorf("the message is %q", check.Message)
	}
	r.stays(cachev1alpha1.ReasonPrivilegeMissing, redisOf)
	if said := r.Status().Queues[0].LastError; said != check.Message {
		t.Errorf("lastError is %q", said)
	}
	if err := r.server.Client(t).Do(t.Context(), "ACL", "SETUSER", "flusher", "~product:*").Err(); err != nil {
		t.Fatal(err)
	}
	r.becomes("a user with the right", "", redisOf)
}

func TestARefusedPasswordNamesItsSecret(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(path, []byte("wrong"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := run(t, products, func(c *config.Config) {
		c.Revision = 7
		c.Redis.External.PasswordFile, c.Redis.External.CredentialsSecret = path, "Secret shop-redis, key password"
	}, journaltest.Password("right"))
	check := r.becomes("a wrong password", cachev1alpha1.ReasonAuthenticationFailed, redisOf)
	if !strings.Contains(check.Message, "Secret shop-redis, key password") || strings.Contains(check.Message, "wrong") {
		t.Errorf("the message is %q", check.Message)
	}
	refused := r.Status()
	if refused.Tried() != 7 || refused.Revision == 7 {
		t.Errorf("the check speaks of revision %d, want 7; in force is %d, want none", refused.Tried(), refused.Revision)
	}
	if err := os.WriteFile(path, []byte("right"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.becomes("the right password", "", redisOf)
	r.becomes("the queue", "", mappingOf)
	if taken := r.Status(); taken.Revision != 7 {
		t.Errorf("revision %d is in force, want 7", taken.Revision)
	}
}

// A batch has an altered table read again: that it fits no longer is no fault of Redis.
func TestATableThatFitsNoLongerIsToldOfTheMapping(t *testing.T) {
	t.Parallel()
	r := run(t, products, func(c *config.Config) { c.Flush.IntervalMilliseconds = 100 })
	r.becomes("a table", "", mappingOf)
	r.db.Exec(t, "ALTER TABLE products RENAME TO others")
	r.set("product:1", `{"name":"x","extra":1}`)
	r.becomes("a table that is gone", cachev1alpha1.ReasonSchemaMismatch, mappingOf)
	s := r.Status()
	if !s.Redis.OK {
		t.Errorf("Redis is said to be at fault: %+v", s.Redis)
	}
	if said := s.Queues[0].LastError; !strings.Contains(said, "does not exist") {
		t.Errorf("lastError is %q", said)
	}
	r.db.Exec(t, products)
	r.becomes("another table", "", mappingOf)
}

// The race detector looks on.
func TestNewSettingsWhileTheProbesLook(t *testing.T) {
	t.Parallel()
	var settings config.Config
	r := run(t, products, func(c *config.Config) { settings = *c })
	for n := int64(1); n <= 3 || !redisOf(r.Status()).OK; n++ {
		next := settings
		next.Revision = n
		r.Apply(&next)
	}
}
