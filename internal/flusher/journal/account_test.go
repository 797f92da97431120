// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package journal_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/journal"
	"github.com/writebehind/operator/internal/flusher/journal/journaltest"
	"github.com/writebehind/operator/test/programs"
)

// TestAWayInClearIsTold by what the settings say of it: the servers of this test are on this
// machine whatever their names are.
func TestAWayInClearIsTold(t *testing.T) {
	t.Parallel()
	plain, secured := journaltest.New(t), journaltest.New(t, journaltest.TLS())
	files := &config.TLS{CAFile: secured.TLS().CA}
	for name, c := range map[string]struct {
		addresses []string
		server    *journaltest.Server
		tls       *config.TLS
		told      bool
	}{
		"by a name":                   {[]string{"redis.shop:6379"}, plain, nil, true},
		"by an address":               {[]string{"10.0.0.1:6379"}, plain, nil, true},
		"by TLS":                      {[]string{"redis.shop:6379"}, secured, files, false},
		"within the machine":          {[]string{"127.0.0.1:6379"}, plain, nil, false},
		"within the machine, IPv6":    {[]string{"[::1]:6379"}, plain, nil, false},
		"within the machine, by name": {[]string{"localhost:6379"}, plain, nil, false},
		"one Sentinel elsewhere":      {[]string{"localhost:26379", "sentinel.shop:26379"}, plain, nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			account := journal.NewAccount(config.RedisExternal{Addresses: c.addresses, TLS: c.tls}, c.server.Client(t))
			if told := account.Warnings(); told != nil {
				t.Errorf("before a look it warns of %v", told)
			}
			account.Look(t.Context())
			if told := account.Warnings(); slices.Contains(told, config.WarningUnencrypted) != c.told || !slices.Contains(told, config.WarningAdministrator) {
				t.Errorf("it warns of %v", told)
			}
		})
	}
}

// A user without the right is refused, which an administrator reads in ACL LOG.
func TestTheRightsAreAskedForOnce(t *testing.T) {
	t.Parallel()
	server := journaltest.New(t, journaltest.User("flusher on >secret ~* +@all -@admin"))
	admin := server.Client(t)
	user := filepath.Join(t.TempDir(), "user")
	programs.Must(t, os.WriteFile(user, []byte("flusher"), 0o600))
	account := journal.NewAccount(config.RedisExternal{Addresses: []string{server.Addr()}, UsernameFile: user}, server.ClientAs(t, "flusher", "secret"))
	for range 5 {
		account.Look(t.Context())
	}
	if told := account.Warnings(); len(told) > 0 {
		t.Errorf("it warns of %v", told)
	}
	log, err := admin.Do(t.Context(), "ACL", "LOG").Slice()
	programs.Must(t, err)
	if len(log) != 1 {
		t.Fatalf("ACL LOG has %v", log)
	}
	if entry := fmt.Sprint(log[0]); !strings.Contains(entry, "acl|getuser") || !strings.Contains(entry, "count:1 ") && !strings.Contains(entry, "count 1 ") {
		t.Errorf("ACL LOG has %s", entry)
	}
}
