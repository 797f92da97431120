// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	cachev1alpha1 "github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/journal/journaltest"
	"github.com/writebehind/operator/test/programs"
)

// TestWhatIsInTheWayIsSaid with what helps.
func TestWhatIsInTheWayIsSaid(t *testing.T) {
	free := programs.FreeAddress(t)
	for name, c := range map[string]struct {
		option   journaltest.Option
		settings func(*config.RedisExternal)
		reason   string
		says     string
	}{
		"no right": {
			journaltest.User("default on nopass ~* +@all -psync"), nil,
			cachev1alpha1.ReasonPrivilegeMissing, "Redis user default lacks a right (command psync): run as an administrator: ACL SETUSER default +psync +replconf",
		},
		"no right that anybody has": {
			journaltest.User("default on nopass ~* +@all -psync"), nil,
			cachev1alpha1.ReasonPrivilegeMissing, "a managed service that does not let anybody have it takes no replicas: use capture Functions there",
		},
		"no PSYNC": {
			journaltest.Config(`rename-command PSYNC ""`), nil,
			cachev1alpha1.ReasonCommandFailed, "Redis refuses the command PSYNC, and with it any replica, as managed services do: give the address of a Redis that takes replicas, or use capture Functions",
		},
		"no REPLCONF": {
			journaltest.Config(`rename-command REPLCONF ""`), nil, cachev1alpha1.ReasonCommandFailed, "Redis refuses the command REPLCONF",
		},
		"a replica": {
			journaltest.Config("replicaof " + strings.ReplaceAll(free, ":", " ")), nil, cachev1alpha1.ReasonReadOnlyReplica, free,
		},
		"a Sentinel": {journaltest.Sentinel(), nil, cachev1alpha1.ReasonClusterMode, "give the address of the primary that it watches"},
		"a password": {journaltest.Password("secret"), nil, cachev1alpha1.ReasonAuthenticationFailed, "asks for a password"},
		"another password": {
			journaltest.Password("secret"), func(s *config.RedisExternal) { s.PasswordFile = file(t, t.TempDir(), "password", "other") },
			cachev1alpha1.ReasonAuthenticationFailed, "refuses the user name or the password",
		},
		"no file": {
			journaltest.Password("secret"), func(s *config.RedisExternal) { s.PasswordFile = "/nowhere" }, cachev1alpha1.ReasonSecretMissing, "/nowhere is missing",
		},
		"TLS only": {journaltest.TLS(), nil, cachev1alpha1.ReasonConnectionFailed, "maxclients"},
		"nobody": {
			atOnce, func(s *config.RedisExternal) { s.Addresses = []string{free} }, cachev1alpha1.ReasonConnectionFailed, "connection refused",
		},
	} {
		t.Run(name, func(t *testing.T) {
			settings := settingsOf(journaltest.New(t, c.option))
			if c.settings != nil {
				c.settings(&settings)
			}
			link := newLink(t, settings)
			_, err := link.Attach(t.Context(), "", Point{})
			if err == nil {
				t.Fatal("it was attached to")
			}
			check := link.Explain(err)
			if check.OK || check.Reason != c.reason || !strings.Contains(check.Message, c.says) || strings.Contains(check.Message, "secret") {
				t.Errorf("%v is explained as %+v", err, check)
			}
		})
	}
}

// TestARightThatIsMissingLaterIsSaid: commands are asked about while the stream runs.
func TestARightThatIsMissingLaterIsSaid(t *testing.T) {
	server := journaltest.New(t, atOnce, journaltest.User("flusher on >secret "+strings.ReplaceAll(rights, "+command", "")))
	settings, dir := settingsOf(server), t.TempDir()
	settings.UsernameFile, settings.PasswordFile = file(t, dir, "username", "flusher"), file(t, dir, "password", "secret")
	link := newLink(t, settings)
	f := attach(t, link, "", Point{})
	run(t, server.Client(t), "SET k:a v", "LPUSH k:l v")
	var err error
	for err == nil {
		f.last, err = f.Next()
	}
	check := link.Explain(err)
	if check.Reason != cachev1alpha1.ReasonPrivilegeMissing || !strings.Contains(check.Message, "Redis user flusher lacks a right (command command): ") {
		t.Errorf("%v is explained as %+v", err, check)
	}
	run(t, server.Client(t), "ACL SETUSER flusher "+rights)
	next := attach(t, link, f.ID(), f.last.Safe)
	if got := next.now(t, server.Client(t)); len(got) == 0 || got[len(got)-1] != "LPUSH Written k:l" {
		t.Errorf("with the right, %q is told", got)
	}
}

// TestOthersThanPrimariesAreToldApart: what answers may be a proxy that passes some commands
// on, and knows others itself.
func TestOthersThanPrimariesAreToldApart(t *testing.T) {
	bulk := func(text string) string { return fmt.Sprintf("$%d\r\n%s\r\n", len(text), text) }
	info := bulk("redis_version:7.2.4\r\nredis_mode:standalone\r\nrole:master\r\n")
	for name, c := range map[string]struct {
		answers string
		reason  string
		says    string
	}{
		"another answer":         {info + "+OK\r\n+OK\r\n+OK\r\n+OK\r\n", cachev1alpha1.ReasonCommandFailed, "as a proxy in front of it may"},
		"a number":               {info + "+OK\r\n:1\r\n", cachev1alpha1.ReasonCommandFailed, "as a proxy in front of it may"},
		"CONTINUE of nothing":    {info + "+OK\r\n+OK\r\n+OK\r\n+CONTINUE\r\n", cachev1alpha1.ReasonCommandFailed, "as a proxy in front of it may"},
		"an offset of no number": {info + "+OK\r\n+OK\r\n+OK\r\n+FULLRESYNC a b\r\n", cachev1alpha1.ReasonCommandFailed, "as a proxy in front of it may"},
		"no snapshot":            {info + "+OK\r\n+OK\r\n+OK\r\n+FULLRESYNC a 1\r\n+OK\r\n", cachev1alpha1.ReasonCommandFailed, "as a proxy in front of it may"},
		"no filter":              {info + "+OK\r\n+OK\r\n-ERR Unrecognized REPLCONF option: rdb-filter-only\r\n", cachev1alpha1.ReasonCommandFailed, "refuses the command REPLCONF"},
		"no primary of its own":  {info + "+OK\r\n+OK\r\n+OK\r\n-NOMASTERLINK Can't SYNC\r\n", cachev1alpha1.ReasonReadOnlyReplica, "has lost its primary"},
		"an old server":          {bulk("redis_version:6.2.14\r\n"), cachev1alpha1.ReasonVersionTooOld, "Redis has version 6.2.14"},
		"no PSYNC, in other words": {
			info + "+OK\r\n+OK\r\n+OK\r\n-ERR Command is not available: 'PSYNC'. See https://service.example/commands\r\n", cachev1alpha1.ReasonCommandFailed,
			"refuses the command PSYNC, and with it any replica, as managed services do: give the address of a Redis that takes replicas, or use capture Functions",
		},
		"not allowed to anybody": {
			info + "+OK\r\n+OK\r\n+OK\r\n-NOPERM this user has no permissions to run the 'psync' command\r\n", cachev1alpha1.ReasonPrivilegeMissing, "use capture Functions there",
		},
		"the end of the connection": {info + "+OK\r\n+OK\r\n+OK\r\n", cachev1alpha1.ReasonConnectionFailed, "does not answer the command PSYNC, or ends the connection"},
		"loading":                   {"-LOADING Redis is loading the dataset in memory\r\n", cachev1alpha1.ReasonConnectionFailed, "is loading its data"},
	} {
		t.Run(name, func(t *testing.T) {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			programs.Must(t, err)
			defer listener.Close()
			go func() {
				conn, err := listener.Accept()
				if err != nil {
					return
				}
				defer conn.Close()
				_, _ = io.WriteString(conn, c.answers)
				if tcp, ok := conn.(*net.TCPConn); ok {
					_ = tcp.CloseWrite()
				}
				_, _ = io.Copy(io.Discard, conn)
			}()
			link := newLink(t, config.RedisExternal{Addresses: []string{listener.Addr().String()}})
			_, err = link.Attach(t.Context(), "", Point{})
			if err == nil {
				t.Fatal("it was attached to")
			}
			if check := link.Explain(err); check.OK || check.Reason != c.reason || !strings.Contains(check.Message, c.says) {
				t.Errorf("%v is explained as %+v", err, check)
			}
		})
	}
}
