// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package service_test

import (
	"fmt"
	"os"
	"slices"
	"testing"

	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/journal/journaltest"
	"github.com/writebehind/operator/test/programs"
)

// warned waits until the status has these warnings, and both servers work.
func (r *running) warned(redis, database []string) {
	r.t.Helper()
	programs.Usual.Eventually(r.t, fmt.Sprintf("the warnings %v and %v", redis, database), func() error {
		s := r.Status()
		if !s.Redis.OK || !s.Database.OK || !slices.Equal(s.Warnings.Redis, redis) || !slices.Equal(s.Warnings.Database, database) {
			return fmt.Errorf("the status says %+v, %+v, %+v", s.Warnings, s.Redis, s.Database)
		}
		return nil
	})
}

var administrator = []string{config.WarningAdministrator}

// The way to both servers is within this machine, so that only what the users may do is told.
func TestUsersThatMayDoEverythingAreTold(t *testing.T) {
	t.Parallel()
	t.Run("the default user, and a superuser", func(t *testing.T) {
		t.Parallel()
		run(t, products, nil).warned(administrator, administrator)
	})
	t.Run("an administrator by name, and a superuser", func(t *testing.T) {
		t.Parallel()
		file := secretFiles(t)
		run(t, products, func(c *config.Config) {
			c.Redis.External.UsernameFile, c.Redis.External.PasswordFile = file("user", "root"), file("password", "secret")
		}, journaltest.User("root on >secret ~* &* +@all")).warned(administrator, administrator)
	})
	for name, rights := range map[string]string{
		"a user without administration":    "~* +@all -@admin",
		"a user of the documents":          "~product:* ~wb:* +@all -@admin -@dangerous +info",
		"one who may ask, and give nobody": "~* +@all -@admin +acl|getuser",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := secretFiles(t)
			run(t, products, func(c *config.Config) {
				c.Redis.External.UsernameFile, c.Redis.External.PasswordFile = file("user", "flusher"), file("password", "secret")
			}, journaltest.User("flusher on >secret "+rights)).warned(nil, administrator)
		})
	}
}

// A role without more rights than it needs is none to tell of; and what a URL that changes
// leads to is looked at anew.
func TestARoleWithoutMoreRightsThanItNeedsIsNotTold(t *testing.T) {
	t.Parallel()
	file := secretFiles(t)
	var path string
	r := run(t, products, func(c *config.Config) {
		c.Redis.External.UsernameFile, c.Redis.External.PasswordFile = file("user", "flusher"), file("password", "secret")
		path = c.Database.Postgres.URLFile
	}, journaltest.User("flusher on >secret ~* +@all -@admin"))
	r.warned(nil, administrator)
	role, url := r.db.NewRole(t)
	r.db.Exec(t, "GRANT SELECT, INSERT, UPDATE, DELETE ON products TO "+role+"; GRANT ALL ON SCHEMA writebehind TO "+role+"; GRANT ALL ON ALL TABLES IN SCHEMA writebehind TO "+role)
	programs.Must(t, os.WriteFile(path, []byte(url), 0o600))
	r.warned(nil, nil)
}
