// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package journaltest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/writebehind/operator/test/programs"
)

const (
	// MasterName is what the Sentinels of a Trio call their primary.
	MasterName = "mymaster"
	// DownAfter is how many milliseconds a server is silent before a Sentinel holds it for
	// down: long enough for a machine that is short of CPU.
	DownAfter = 2000

	trioPassword  = "administrator"
	replicaUser   = "replica"
	sentinelUser  = "sentinel"
	memberSecret  = "member"
	failoverLimit = 6000 // milliseconds until a fail-over that came to nothing is tried again
)

// sentinelsUser is what a Sentinel has to be allowed at the servers that it watches.
const sentinelsUser = sentinelUser + " on >" + memberSecret + " allchannels +multi +slaveof +ping +exec +subscribe +config|rewrite +role " +
	"+publish +info +client|setname +client|kill +script|kill"

// Trio is a primary with two replicas, and three Sentinels of which two elect another one.
// Replicas and Sentinels log in as users of their own, so that a server can be cut off from
// them and go on for its applications.
type Trio struct {
	// Servers are the data's; the first begins as the primary.
	Servers []*Server
	// Sentinels watch it by MasterName.
	Sentinels []*Server
	t         testing.TB
}

// NewTrio starts one until the test ends. The options are of the servers; with TLS all six
// have one authority, and with Password the Sentinels have it too. The default user's
// password at the servers is Password of the Trio.
func NewTrio(t testing.TB, options ...Option) *Trio {
	t.Helper()
	var given Options
	for _, option := range options {
		option(&given)
	}
	trio := &Trio{t: t}
	options = append(options, Password(trioPassword), User(sentinelsUser),
		User(replicaUser+" on >"+memberSecret+" +psync +replconf +ping"),
		Config("masteruser "+replicaUser, "masterauth "+memberSecret, "repl-diskless-sync-delay 0", "repl-timeout 5"))
	for i := range 3 {
		server := options
		if i > 0 {
			server = append(slices.Clip(server), Config(fmt.Sprintf("replicaof 127.0.0.1 %d", trio.Servers[0].Port())), filesOf(trio.Servers[0]))
		}
		trio.Servers = append(trio.Servers, New(t, server...))
	}
	// A Sentinel that finds no replica at once looks for one ten seconds later.
	primary := trio.Servers[0].Client(t)
	programs.Usual.Eventually(t, "the replicas are there", func() error {
		n, err := primary.Wait(t.Context(), 2, 100*time.Millisecond).Result()
		if err == nil && n != 2 {
			err = fmt.Errorf("%d of 2", n)
		}
		return err
	})
	for range 3 {
		trio.Sentinels = append(trio.Sentinels, NewSentinel(t, trio.Servers[0], 2, Password(given.Password), filesOf(trio.Servers[0])))
	}
	for _, s := range trio.Sentinels {
		programs.Usual.Eventually(t, "a Sentinel knows the others", func() error {
			fields, err := trio.watched(s)
			if err == nil && (fields["flags"] != "master" || fields["num-slaves"] != "2" || fields["num-other-sentinels"] != "2") {
				err = fmt.Errorf("it says %s, with %s replicas and %s others", fields["flags"], fields["num-slaves"], fields["num-other-sentinels"])
			}
			return err
		})
	}
	return trio
}

// NewSentinel starts a Sentinel that watches the server by MasterName, until the test ends.
func NewSentinel(t testing.TB, primary *Server, quorum int, options ...Option) *Server {
	t.Helper()
	lines := []string{
		fmt.Sprintf("sentinel monitor %s 127.0.0.1 %d %d", MasterName, primary.Port(), quorum),
		fmt.Sprintf("sentinel down-after-milliseconds %s %d", MasterName, DownAfter),
		fmt.Sprintf("sentinel failover-timeout %s %d", MasterName, failoverLimit),
	}
	if primary.options.Password != "" {
		lines = append(lines, "sentinel auth-user "+MasterName+" "+sentinelUser, "sentinel auth-pass "+MasterName+" "+memberSecret)
	}
	return New(t, append([]Option{Sentinel(), Config(lines...)}, options...)...)
}

// filesOf gives another server the certificates of this one.
func filesOf(s *Server) Option { return func(o *Options) { o.Files = s.files } }

// Addresses are those of the Sentinels.
func (trio *Trio) Addresses() []string {
	var all []string
	for _, s := range trio.Sentinels {
		all = append(all, s.Addr())
	}
	return all
}

// Password is that of the default user at the servers.
func (trio *Trio) Password() string { return trioPassword }

func (trio *Trio) watched(sentinel *Server) (map[string]string, error) {
	client := redis.NewSentinelClient(sentinel.Options())
	defer client.Close()
	return client.Master(context.WithoutCancel(trio.t.Context()), MasterName).Result()
}

// Primary is the server that the first Sentinel which runs holds for the primary.
func (trio *Trio) Primary() *Server {
	trio.t.Helper()
	var found *Server
	programs.Usual.Eventually(trio.t, "the primary is known", func() error {
		for _, sentinel := range trio.Sentinels {
			fields, err := trio.watched(sentinel)
			if err != nil {
				continue
			}
			for _, s := range trio.Servers {
				if s.Addr() == net.JoinHostPort(fields["ip"], fields["port"]) {
					found = s
					return nil
				}
			}
		}
		return errors.New("no Sentinel tells of a server of the trio")
	})
	return found
}

// Elected waits until another server than before is the primary, as each Sentinel and the
// server itself say.
func (trio *Trio) Elected(before *Server) *Server {
	trio.t.Helper()
	var primary *Server
	programs.Usual.Eventually(trio.t, "another primary is elected", func() error {
		for _, sentinel := range trio.Sentinels {
			fields, err := trio.watched(sentinel)
			if err != nil {
				return err
			}
			if fields["port"] == fmt.Sprint(before.Port()) {
				return fmt.Errorf("a Sentinel holds to %s: %s", before.Addr(), fields["flags"])
			}
		}
		primary = trio.Primary()
		role, err := primary.Client(trio.t).Do(trio.t.Context(), "ROLE").Slice()
		if err == nil && role[0] != "master" {
			err = fmt.Errorf("%s is a %s", primary.Addr(), role[0])
		}
		return err
	})
	return primary
}

// FailOver tells the Sentinels to make another server the primary, and returns that. It tells
// them again after a while: they give a fail-over up that a busy machine holds up.
func (trio *Trio) FailOver() *Server {
	trio.t.Helper()
	before := trio.Primary()
	client := redis.NewSentinelClient(trio.Sentinels[0].Options())
	defer client.Close()
	var told time.Time
	programs.Usual.Eventually(trio.t, "a Sentinel has another primary", func() error {
		fields, err := trio.watched(trio.Sentinels[0])
		if err != nil || fields["port"] != fmt.Sprint(before.Port()) {
			return err
		}
		if time.Since(told) > 3*failoverLimit*time.Millisecond {
			if err := client.Failover(context.WithoutCancel(trio.t.Context()), MasterName).Err(); err != nil {
				return err
			}
			told = time.Now()
		}
		return fmt.Errorf("it holds to %s", before.Addr())
	})
	return trio.Elected(before)
}

// CutFromReplicas keeps the replicas from the server, which answers everybody else.
func (trio *Trio) CutFromReplicas(s *Server) { trio.cut(s, replicaUser, "off") }

// CutFromSentinels keeps the Sentinels from the server, who hold it for down soon.
func (trio *Trio) CutFromSentinels(s *Server) { trio.cut(s, sentinelUser, "off") }

// Join undoes both.
func (trio *Trio) Join(s *Server) {
	trio.cut(s, replicaUser, "on")
	trio.cut(s, sentinelUser, "on")
}

func (trio *Trio) cut(s *Server, user, state string) {
	trio.t.Helper()
	client := s.Client(trio.t)
	programs.Must(trio.t, client.Do(trio.t.Context(), "ACL", "SETUSER", user, state).Err())
	programs.Must(trio.t, client.Do(trio.t.Context(), "CLIENT", "KILL", "USER", user).Err())
}

// Client is an application's, which follows the primary by the Sentinels, until the test
// ends.
func (trio *Trio) Client(t testing.TB) *redis.Client {
	t.Helper()
	options := &redis.FailoverOptions{
		MasterName: MasterName, SentinelAddrs: trio.Addresses(), SentinelPassword: trio.Sentinels[0].options.Password,
		Password: trioPassword, Protocol: 2, MaxRetries: -1, DialerRetries: 1, DisableIdentity: true,
	}
	if files := trio.Servers[0].files; files != nil {
		options.TLSConfig = files.config()
	}
	client := redis.NewFailoverClient(options)
	t.Cleanup(func() { _ = client.Close() })
	return client
}
