// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package journal_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	cachev1alpha1 "github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/journal"
	"github.com/writebehind/operator/internal/flusher/journal/journaltest"
	"github.com/writebehind/operator/test/programs"
)

// settingsOf are a flusher's for the trio.
func settingsOf(t *testing.T, trio *journaltest.Trio) config.RedisExternal {
	t.Helper()
	return config.RedisExternal{
		Mode: config.ModeSentinel, MasterName: journaltest.MasterName, Addresses: trio.Addresses(),
		PasswordFile: write(t, t.TempDir(), "password", trio.Password()),
	}
}

func dialed(t *testing.T, settings config.RedisExternal, connections int) *redis.Client {
	t.Helper()
	client := journal.Dial(settings, connections)
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// server tells which one answers the client.
func server(ctx context.Context, client *redis.Client) (port string, err error) {
	info, err := client.InfoMap(ctx, "server", "replication").Result()
	if err != nil {
		return "", err
	}
	if role := info["Replication"]["role"]; role != "master" {
		return "", fmt.Errorf("a %s answers", role)
	}
	return info["Server"]["tcp_port"], nil
}

// leadsTo waits until the client is at the server, and wants that it never comes to a replica.
func leadsTo(t *testing.T, client *redis.Client, want *journaltest.Server) {
	t.Helper()
	programs.Usual.Eventually(t, "the client is at "+want.Addr(), func() error {
		port, err := server(t.Context(), client)
		if err == nil && port != fmt.Sprint(want.Port()) {
			err = fmt.Errorf("it is at port %s", port)
		}
		return err
	})
}

func TestAConnectionFollowsThePrimary(t *testing.T) {
	t.Parallel()
	trio := journaltest.NewTrio(t)
	client := dialed(t, settingsOf(t, trio), 4)
	first := trio.Servers[0]
	leadsTo(t, client, first)

	// The old primary answers all the time, until the Sentinels make it a replica.
	second := trio.FailOver()
	leadsTo(t, client, second)
	if err := client.Set(t.Context(), "k", "v", 0).Err(); err != nil {
		t.Errorf("the new primary takes no write: %v", err)
	}

	second.MustKill(t)
	third := trio.Elected(second)
	leadsTo(t, client, third)
}

// TestAConnectionToAnOldPrimaryEnds has a server go on for everybody but its Sentinels and
// replicas. What is open to it has to end, though it answers.
func TestAConnectionToAnOldPrimaryEnds(t *testing.T) {
	t.Parallel()
	trio := journaltest.NewTrio(t)
	client := dialed(t, settingsOf(t, trio), 2)
	old := trio.Servers[0]
	leadsTo(t, client, old)
	// A blocked call has the connection for itself, and no other call finds out for it.
	ended := make(chan error, 1)
	go func() { ended <- client.BLPop(context.WithoutCancel(t.Context()), 0, "nothing").Err() }()
	programs.Usual.Eventually(t, "the call is blocked", func() error {
		info, err := old.Client(t).InfoMap(t.Context(), "clients").Result()
		if err == nil && info["Clients"]["blocked_clients"] != "1" {
			err = errors.New("nobody is")
		}
		return err
	})
	trio.CutFromReplicas(old)
	trio.CutFromSentinels(old)
	elected := trio.Elected(old)
	leadsTo(t, client, elected)
	select {
	case err := <-ended:
		if err == nil || errors.Is(err, redis.Nil) {
			t.Errorf("the call ended with %v", err)
		}
	case <-time.After(programs.Usual.Limit):
		t.Error("the connection to the old primary is still there")
	}
	if port, err := server(t.Context(), old.Client(t)); err != nil || port != fmt.Sprint(old.Port()) {
		t.Fatalf("the old primary is not one any more (%s, %v), so this shows nothing", port, err)
	}
	trio.Join(old)
	programs.Usual.Eventually(t, "the old primary is a replica", func() error {
		if _, err := server(t.Context(), old.Client(t)); err == nil {
			return errors.New("it is a primary")
		}
		return nil
	})
	leadsTo(t, client, elected)
}

// TestWhoHearsFewSentinelsTrustsNoPrimary: they may be those that are cut off with an old
// one.
func TestWhoHearsFewSentinelsTrustsNoPrimary(t *testing.T) {
	t.Parallel()
	trio := journaltest.NewTrio(t)
	j := journal.New(dialed(t, settingsOf(t, trio), 2))
	said(t, j.Check(t.Context()), "")
	trio.Sentinels[0].Pause()
	said(t, j.Check(t.Context()), "")
	trio.Sentinels[2].MustKill(t)
	programs.Usual.Eventually(t, "nothing is written", func() error {
		check := j.Check(t.Context())
		if check.Reason != cachev1alpha1.ReasonSentinelsUnreachable || !strings.Contains(check.Message, "1 of 3 Sentinels tell of a primary") {
			return fmt.Errorf("check is %+v", check)
		}
		return nil
	})
	if err := trio.Servers[0].Client(t).Ping(t.Context()).Err(); err != nil {
		t.Fatalf("the primary is gone too, so this shows nothing: %v", err)
	}
	trio.Sentinels[0].Resume()
	programs.Usual.Eventually(t, "it goes on", func() error {
		if check := j.Check(t.Context()); !check.OK {
			return fmt.Errorf("check is %+v", check)
		}
		return nil
	})
}

// TestWhatIsInTheWayOfAPrimaryIsTold has one Sentinel for each, which is most of one.
func TestWhatIsInTheWayOfAPrimaryIsTold(t *testing.T) {
	t.Parallel()
	primary := journaltest.New(t)
	dead := journaltest.New(t)
	secure := journaltest.New(t, journaltest.TLS())
	other := journaltest.New(t, journaltest.TLS())
	plain := journaltest.NewSentinel(t, primary, 1)
	secured := journaltest.NewSentinel(t, primary, 1, journaltest.Password("right"), journaltest.User("weak on >secret"))
	ofTheDead := journaltest.NewSentinel(t, dead, 2)
	encrypted := journaltest.NewSentinel(t, secure, 1, func(o *journaltest.Options) { o.Files = secure.TLS() })
	gone := journaltest.NewSentinel(t, primary, 1)
	gone.MustKill(t)
	dead.MustKill(t)
	dir := t.TempDir()
	at := func(s *journaltest.Server, edits ...func(*config.RedisExternal)) config.RedisExternal {
		settings := config.RedisExternal{Mode: config.ModeSentinel, MasterName: journaltest.MasterName, Addresses: []string{s.Addr()}}
		for _, edit := range edits {
			edit(&settings)
		}
		return settings
	}
	as := func(user, password string) func(*config.RedisExternal) {
		return func(r *config.RedisExternal) {
			if user != "" {
				r.SentinelUsernameFile = write(t, dir, user, user)
			}
			r.SentinelPasswordFile, r.SentinelCredentialsSecret = write(t, dir, password, password), "Secret sentinel, key password"
		}
	}
	trusting := func(ca string) func(*config.RedisExternal) {
		return func(r *config.RedisExternal) { r.TLS = &config.TLS{CAFile: ca} }
	}
	for name, c := range map[string]struct {
		settings config.RedisExternal
		reason   string
		says     []string
	}{
		"nothing":                {at(plain), "", nil},
		"nothing, with TLS":      {at(encrypted, trusting(secure.TLS().CA)), "", nil},
		"nothing, with password": {at(secured, as("", "right")), "", nil},
		"nobody is there":        {at(gone), "SentinelsUnreachable", []string{"0 of 1 Sentinels", "Sentinel " + gone.Addr() + " cannot be reached", "refused", "redis.external.addresses"}},
		"an unknown host": {
			at(gone, func(r *config.RedisExternal) { r.Addresses = []string{"sentinel.invalid:26379"} }),
			"SentinelsUnreachable",
			[]string{"the name sentinel.invalid is not known"},
		},
		"an unknown name": {
			at(plain, func(r *config.RedisExternal) { r.MasterName = "mymistress" }),
			"PrimaryUnknown",
			[]string{"Sentinel " + plain.Addr(), "by the name mymistress", "redis.external.masterName", "SENTINEL MASTERS"},
		},
		"no password":      {at(secured), "SentinelAuthenticationFailed", []string{"redis.external.sentinelCredentialsSecretRef (in a config file: sentinelPasswordFile)"}},
		"a wrong password": {at(secured, as("", "wrong")), "SentinelAuthenticationFailed", []string{"refuses the user name or the password", "(Secret sentinel, key password)"}},
		"no Secret": {
			at(secured, func(r *config.RedisExternal) {
				r.SentinelPasswordFile, r.SentinelCredentialsSecret = dir+"/none", "Secret sentinel, key password"
			}), "SecretMissing", []string{"Secret sentinel, key password is missing"},
		},
		"too few rights":            {at(secured, as("weak", "secret")), "PrivilegeMissing", []string{"ACL SETUSER <user> +sentinel|master"}},
		"a Sentinel without TLS":    {at(plain, trusting(secure.TLS().CA)), "SentinelTLSFailed", []string{"Sentinel " + plain.Addr() + " does not answer the TLS handshake: it may not speak TLS"}},
		"another authority":         {at(encrypted, trusting(other.TLS().CA)), "SentinelTLSFailed", []string{"certificate of an unknown authority"}},
		"a Sentinel with TLS alone": {at(encrypted), "SentinelsUnreachable", []string{"accept only TLS"}},
		"a server":                  {at(primary), "ClusterMode", []string{"is a server and no Sentinel", "26379"}},
		"none is elected":           {at(ofTheDead), "NoPrimary", []string{dead.Addr(), "have elected no other", "SENTINEL CKQUORUM mymaster"}},
	} {
		t.Run(name, func(t *testing.T) {
			j := journal.New(dialed(t, c.settings, 2)).WithMaster(c.settings.MasterName)
			var check config.Check
			programs.Usual.Eventually(t, "it is told", func() error {
				if check = j.Check(t.Context()); check.Reason != c.reason {
					return fmt.Errorf("check is %+v", check)
				}
				return nil
			})
			said(t, check, c.reason, c.says...)
			if strings.Contains(check.Message, "%!") {
				t.Errorf("the message is %q", check.Message)
			}
		})
	}
}

// TestTheRightsAtASentinelAreEnough for asking and for being told.
func TestTheRightsAtASentinelAreEnough(t *testing.T) {
	t.Parallel()
	primary := journaltest.New(t)
	sentinel := journaltest.NewSentinel(t, primary, 1, journaltest.Password("administrator"), journaltest.User("flusher on >secret"))
	dir := t.TempDir()
	settings := config.RedisExternal{
		Mode: config.ModeSentinel, MasterName: journaltest.MasterName, Addresses: []string{sentinel.Addr()},
		SentinelUsernameFile: write(t, dir, "user", "flusher"), SentinelPasswordFile: write(t, dir, "password", "secret"),
	}
	check := journal.New(dialed(t, settings, 2)).Check(t.Context())
	said(t, check, cachev1alpha1.ReasonPrivilegeMissing)
	admin := sentinel.Client(t)
	remedy(t, admin, strings.ReplaceAll(check.Message, "<user>", "flusher"))
	j := journal.New(dialed(t, settings, 2))
	said(t, j.Check(t.Context()), "")
	programs.Usual.Eventually(t, "it listens", func() error {
		clients, err := admin.ClientList(t.Context()).Result()
		if err == nil && (!strings.Contains(clients, " sub=2 ") || !strings.Contains(clients, "user=flusher")) {
			err = fmt.Errorf("clients are %s", clients)
		}
		return err
	})
}

// TestAPrimaryThatBecomesAReplicaIsAFailOver: nothing is written to it, and the words are
// no advice to give another address.
func TestAPrimaryThatBecomesAReplicaIsAFailOver(t *testing.T) {
	t.Parallel()
	primary := journaltest.New(t)
	sentinel := journaltest.NewSentinel(t, primary, 1)
	j := journal.New(dialed(t, config.RedisExternal{
		Mode: config.ModeSentinel, MasterName: journaltest.MasterName, Addresses: []string{sentinel.Addr()},
	}, 1)).WithMaster(journaltest.MasterName)
	said(t, j.Check(t.Context()), "")
	if err := primary.Client(t).ReplicaOf(t.Context(), "127.0.0.1", "1").Err(); err != nil {
		t.Fatal(err)
	}
	tells := func() {
		t.Helper()
		said(t, j.Check(t.Context()), cachev1alpha1.ReasonReadOnlyReplica, "was the primary of mymaster", "as in a fail-over", "SENTINEL MASTER mymaster")
	}
	tells()
	// A connection that is new is not even taken.
	if err := primary.Client(t).Do(t.Context(), "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes").Err(); err != nil {
		t.Fatal(err)
	}
	tells()
}

func TestDurabilitySpeaksOfThePrimary(t *testing.T) {
	t.Parallel()
	rdb := journaltest.New(t, journaltest.MaxMemory("100mb", "allkeys-lru")).Client(t)
	persistence, eviction := journal.New(rdb).WithMaster(journaltest.MasterName).Durability(t.Context())
	const also = "this was seen at the present primary of mymaster: set it at the replicas too"
	said(t, persistence, cachev1alpha1.ReasonAppendOnlyOff, also)
	said(t, eviction, cachev1alpha1.ReasonEvictionUnsafe, also)
}

// TestSentinelsAreTrustedByTLSAsServersAre, with users and passwords of their own.
func TestSentinelsAreTrustedByTLSAsServersAre(t *testing.T) {
	t.Parallel()
	trio := journaltest.NewTrio(t, journaltest.RequireClientCertificate(), journaltest.Password("watcher"))
	settings, files, dir := settingsOf(t, trio), trio.Servers[0].TLS(), t.TempDir()
	settings.TLS = &config.TLS{CAFile: files.CA, CertFile: files.ClientCert, KeyFile: files.ClientKey}
	settings.SentinelPasswordFile = write(t, dir, "sentinel", "watcher")
	client := dialed(t, settings, 2)
	said(t, journal.New(client).Check(t.Context()), "")
	leads := func(want *journaltest.Server) {
		t.Helper()
		programs.Usual.Eventually(t, "the client is at "+want.Addr(), func() error {
			tcp, err := client.ConfigGet(t.Context(), "tls-port").Result()
			if err == nil && tcp["tls-port"] != fmt.Sprint(want.Port()) {
				err = fmt.Errorf("it is at %v", tcp)
			}
			return err
		})
	}
	leads(trio.Servers[0])
	leads(trio.FailOver())
}
