// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package journal_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	cachev1alpha1 "github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/entry"
	"github.com/writebehind/operator/internal/flusher/journal"
	"github.com/writebehind/operator/internal/flusher/journal/journaltest"
	"github.com/writebehind/operator/test/programs"
)

// commandPattern finds the command that a message says to run.
var commandPattern = regexp.MustCompile(`(?:CONFIG SET|ACL SETUSER|FUNCTION DELETE|BGSAVE)[^,;]*`)

// remedy runs the command that a message says to run, as it stands.
func remedy(t *testing.T, rdb *redis.Client, message string) {
	t.Helper()
	command := commandPattern.FindString(message)
	if command == "" {
		t.Fatalf("the message %q has no command to run", message)
	}
	var args []any
	for word := range strings.FieldsSeq(command) {
		args = append(args, word)
	}
	if err := rdb.Do(t.Context(), args...).Err(); err != nil {
		t.Fatalf("%s: %v", command, err)
	}
}

// dialAs opens the journal as a flusher with that user's credentials does.
func dialAs(t *testing.T, server *journaltest.Server, user string) (*journal.Journal, *redis.Client) {
	t.Helper()
	dir := t.TempDir()
	rdb := journal.Dial(config.RedisExternal{
		Addresses:    []string{server.Addr()},
		UsernameFile: write(t, dir, "username", user), PasswordFile: write(t, dir, "password", "secret"),
	}, 2)
	t.Cleanup(func() { _ = rdb.Close() })
	return journal.New(rdb).WithMappings([]config.Mapping{settings().Mapping}), rdb
}

// What a message gives the user is enough for everything that a flusher does, and
// for what `flusher dlq` does.
func TestTheRightsInAMessageAreEnough(t *testing.T) {
	for name, c := range map[string]struct{ rights, says string }{
		"nothing":            {"", "Redis user flusher lacks a right (command info)"},
		"no function":        {"~* +info +fcall_ro", "lacks a right (command function|load)"},
		"no call":            {"~* +@all -fcall", "lacks a right (command fcall)"},
		"no command":         {"~* +@all -set", "that function wb_engine_probe runs)"},
		"no key":             {"+@all", "lacks a right (a key that function wb_engine_probe works with)"},
		"the prefix's alone": {"~product:* +@all", "lacks a right (a key that function wb_engine_probe works with)"},
	} {
		t.Run(name, func(t *testing.T) {
			server := journaltest.New(t, journaltest.User("flusher on >secret "+c.rights))
			admin := server.Client(t)
			if strings.Contains(c.rights, "fcall_ro") {
				// Where there is no library, one has to be loaded.
				if err := admin.FunctionFlush(t.Context()).Err(); err != nil {
					t.Fatal(err)
				}
			}
			j, rdb := dialAs(t, server, "flusher")
			check := j.Check(t.Context())
			says := c.says
			// A command is missed before a key: where both are, there are two remedies.
			for remedies := 0; !check.OK && remedies < 2; remedies++ {
				keys := ""
				if strings.Contains(check.Message, "(a key") {
					keys = "~product:* ~wb:{products}:* ~wb:{products:*}:* ~wb:probe ~wb:queues "
				}
				said(t, check, cachev1alpha1.ReasonPrivilegeMissing, says, "run as an administrator: ACL SETUSER flusher "+keys+"+info ")
				if len(check.Message) > 1024 {
					t.Errorf("the message has %d bytes, and a condition holds 1024", len(check.Message))
				}
				if err := rdb.Close(); err != nil {
					t.Error(err)
				}
				remedy(t, admin, check.Message)
				j, rdb = dialAs(t, server, "flusher")
				check, says = j.Check(t.Context()), "a key"
			}
			said(t, check, "")
			persistence, eviction := j.Durability(t.Context())
			said(t, persistence, cachev1alpha1.ReasonAppendOnlyOff)
			said(t, eviction, "")

			f := &fixture{t: t, rdb: rdb, j: j}
			f.check(j.Open(t.Context(), settings(onePartition), "journal-1", false))
			f.set("product:1", "{}")
			l := f.lease("a", 0, 1)
			f.acknowledge(f.claim(l, 10), entry.Refused)
			f.acknowledge(f.claim(l, 10), entry.Refused)
			f.set("product:2", "{}")
			f.set("product:1", "{}")
			// By hand, so that the order has to be made again.
			if err := admin.Del(t.Context(), "wb:{products:0}:q").Err(); err != nil {
				t.Fatal(err)
			}
			f.acknowledge(f.claim(l, 10), entry.Done)
			for _, key := range []string{"product:3", "product:4"} {
				f.bury(l, key, "{}")
			}
			letters := f.deadLetters()
			f.check(j.Replay(t.Context(), queue, letters["product:3"]))
			f.check(nil, j.Discard(t.Context(), queue, letters["product:4"]))
			f.acknowledge(f.claim(l, 10), entry.Done)
			f.del("product:1")
			f.check(rdb.FCall(t.Context(), "wb_fill", []string{"product:9"}, queue, "{}").Result())
			f.check(rdb.FCallRO(t.Context(), "wb_pending", []string{"product:1"}, queue).Result())
			f.acknowledge(f.claim(l, 10), entry.Done)
			if s := f.stats(); s.Depth != 0 || s.Dead != 0 {
				t.Errorf("stats are %+v", s)
			}
			f.check(nil, j.Release(t.Context(), queue, "a", 0))
			f.check(nil, j.Leave(t.Context(), queue, "a"))
		})
	}
}

// The probe touches no key of an application; the calls that do say what is missing.
func TestARightThatOnlyAClaimNeeds(t *testing.T) {
	server := journaltest.New(t, journaltest.User("flusher on >secret ~wb:* +@all"))
	admin := open(t, server, onePartition)
	admin.set("product:1", "{}")
	l := admin.lease("a", 0, 1)
	j, _ := dialAs(t, server, "flusher")
	said(t, j.Check(t.Context()), "")
	_, err := j.Claim(t.Context(), l, "product:", entry.Bounds{Entries: 1, Bytes: 1000})
	if err == nil {
		t.Fatal("a claim needs no right to the values")
	}
	check := j.Explain(err)
	said(t, check, cachev1alpha1.ReasonPrivilegeMissing, "Redis user flusher lacks a right (a key that function wb_engine_claim works with)")
	remedy(t, admin.rdb, check.Message)
	admin.claim(l, 1)
}

func TestARemedyNamesNoUserThatIsNoPlainWord(t *testing.T) {
	server := journaltest.New(t, journaltest.User("a;b on >secret +ping"))
	j, _ := dialAs(t, server, "a;b")
	said(t, j.Check(t.Context()), cachev1alpha1.ReasonPrivilegeMissing, "ACL SETUSER name +info ")
}

// A remedy opens no more of a Redis than the queues whose keys were refused, whatever
// their prefixes look like.
func TestARemedyGivesTheKeysOfTheQueuesAlone(t *testing.T) {
	mappings := func(prefixes ...string) []config.Mapping {
		var all []config.Mapping
		for i, prefix := range prefixes {
			all = append(all, config.Mapping{Name: fmt.Sprintf("q%d", i), KeyPrefix: prefix})
		}
		return all
	}
	refused := answered("NOPERM No permissions to access a key")
	for name, c := range map[string]struct {
		mappings []config.Mapping
		says     string
	}{
		"two":           {mappings("a:", "b:"), "SETUSER default ~a:* ~wb:{q0}:* ~wb:{q0:*}:* ~b:* ~wb:{q1}:* ~wb:{q1:*}:* ~wb:probe ~wb:queues +info "},
		"of a pattern":  {mappings(`a*b?[c]\`), `SETUSER default ~a\*b\?\[c]\\* ~wb:`},
		"of a shell":    {mappings("a b\"ü'\n"), "SETUSER default ~a?b?????* ~wb:"},
		"more than fit": {mappings(strings.Split(strings.Repeat("a,", 30), ",")...), "; if others use this Redis too, give the patterns of docs/security.md#the-flushers-user instead of ~*"},
	} {
		rdb := redis.NewClient(&redis.Options{})
		check := journal.New(rdb).WithMappings(c.mappings).Explain(refused)
		said(t, check, cachev1alpha1.ReasonPrivilegeMissing, c.says)
		if len(check.Message) > 1024 {
			t.Errorf("%s: the message has %d bytes, and a condition holds 1024", name, len(check.Message))
		}
		if err := rdb.Close(); err != nil {
			t.Error(err)
		}
	}
	// Of no queue in particular.
	said(t, journal.Explain(refused), cachev1alpha1.ReasonPrivilegeMissing, "ACL SETUSER name ~* +info ", "docs/security.md#the-flushers-user")
	// Redis takes what is no plain word as it is meant.
	server := journaltest.New(t, journaltest.User("flusher on >secret"))
	j, _ := dialAs(t, server, "flusher")
	admin := server.Client(t)
	remedy(t, admin, j.WithMappings(mappings("a*b c:")).Explain(refused).Message)
	for key, want := range map[string]bool{"a*b c:1": true, "a*b c:": true, "axb c:1": false, "wb:{q0}:queue": true, "wb:{q0:3}:q": true, "wb:{q00}:queue": false} {
		allowed, err := admin.Do(t.Context(), "ACL", "DRYRUN", "flusher", "GET", key).Text()
		if err != nil || (allowed == "OK") != want {
			t.Errorf("GET of %s: %s, %v", key, allowed, err)
		}
	}
}

func TestDurabilityIsMendedByItsRemedy(t *testing.T) {
	rdb := journaltest.New(t, journaltest.MaxMemory("100mb", "allkeys-lru")).Client(t)
	j := journal.New(rdb)
	persistence, eviction := j.Durability(t.Context())
	said(t, persistence, cachev1alpha1.ReasonAppendOnlyOff)
	said(t, eviction, cachev1alpha1.ReasonEvictionUnsafe)
	remedy(t, rdb, persistence.Message)
	remedy(t, rdb, eviction.Message)
	for _, check := range both(j.Durability(t.Context())) {
		said(t, check, "")
	}
}

// until waits for a check of the reason, empty for OK.
func until(t *testing.T, j *journal.Journal, reason string) (check config.Check) {
	t.Helper()
	programs.Usual.Eventually(t, "the check of Redis", func() error {
		if check = j.Check(t.Context()); check.Reason != reason {
			return fmt.Errorf("it is %+v, want reason %q", check, reason)
		}
		return nil
	})
	return check
}

func TestASnapshotThatFailsIsToldFromAFileThatCannotBeWritten(t *testing.T) {
	t.Run("a snapshot", func(t *testing.T) {
		server := journaltest.New(t, journaltest.Config("enable-protected-configs yes", "save 3600 1"))
		rdb := server.Client(t)
		j := journal.New(rdb)
		said(t, j.Check(t.Context()), "")
		setConfig(t, rdb, "dir", "/proc")
		if err := rdb.BgSave(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		check := until(t, j, cachev1alpha1.ReasonPersistenceFailing)
		said(t, check, cachev1alpha1.ReasonPersistenceFailing, "RDB snapshot", "run BGSAVE")
		setConfig(t, rdb, "dir", server.Dir())
		remedy(t, rdb, check.Message)
		until(t, j, "")
	})
	t.Run("an append-only file", func(t *testing.T) {
		server := journaltest.New(t)
		rdb := server.Client(t)
		j := journal.New(rdb)
		said(t, j.Check(t.Context()), "")
		// The file of the first seconds is one that is always full.
		dir := filepath.Join(server.Dir(), "appendonlydir")
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink("/dev/full", filepath.Join(dir, "temp-appendonly.aof.incr")); err != nil {
			t.Fatal(err)
		}
		setConfig(t, rdb, "rdb-key-save-delay", "10000000")
		setConfig(t, rdb, "appendonly", "yes")
		check := until(t, j, cachev1alpha1.ReasonPersistenceFailing)
		said(t, check, cachev1alpha1.ReasonPersistenceFailing, "append-only file", "make room on its disk")
	})
}

func TestAReplicaNamesItsPrimary(t *testing.T) {
	primary := journaltest.New(t)
	replica := journaltest.New(t, journaltest.Config(fmt.Sprintf("replicaof 127.0.0.1 %d", primary.Port())))
	said(t, journal.New(replica.Client(t)).Check(t.Context()), cachev1alpha1.ReasonReadOnlyReplica, "the primary, which is "+primary.Addr())
}

func TestAClusterIsNotTaken(t *testing.T) {
	server := journaltest.New(t, journaltest.Config("cluster-enabled yes"))
	said(t, journal.New(server.Client(t)).Check(t.Context()), cachev1alpha1.ReasonClusterMode, "Redis Cluster", "cluster-enabled no")
}

func TestASentinelIsNotTaken(t *testing.T) {
	server := journaltest.New(t, journaltest.Sentinel())
	said(t, journal.New(server.Client(t)).Check(t.Context()), cachev1alpha1.ReasonClusterMode, "leads to a Sentinel")
}

func TestACommandThatIsRenamedIsNamed(t *testing.T) {
	for _, name := range []string{"FCALL", "FCALL_RO", "FUNCTION"} {
		server := journaltest.New(t, journaltest.Config("rename-command "+name+` ""`))
		said(t, journal.New(server.Client(t)).Check(t.Context()), cachev1alpha1.ReasonCommandFailed, "does not know the command "+name, "rename-command")
	}
	// Of one that only a function runs Redis does not tell the name.
	server := journaltest.New(t, journaltest.Config(`rename-command SET ""`))
	said(t, journal.New(server.Client(t)).Check(t.Context()), cachev1alpha1.ReasonCommandFailed, "one of ", " SET,", "rename-command")
}

func TestAClientThatRedisHangsUpOnIsToldWhy(t *testing.T) {
	full := journaltest.New(t)
	other := full.Client(t)
	setConfig(t, other, "maxclients", "1")
	secure := journaltest.New(t, journaltest.RequireClientCertificate())
	for name, c := range map[string]struct {
		settings config.RedisExternal
		says     string
	}{
		"at maxclients":       {config.RedisExternal{Addresses: []string{full.Addr()}}, "maxclients"},
		"TLS only":            {config.RedisExternal{Addresses: []string{secure.Addr()}}, "accept only TLS"},
		"no certificate":      {config.RedisExternal{Addresses: []string{secure.Addr()}, TLS: &config.TLS{CAFile: secure.TLS().CA}}, "certFile and keyFile"},
		"another's authority": {config.RedisExternal{Addresses: []string{secure.Addr()}, TLS: &config.TLS{}}, "caSecretRef to the right one (in a config file: tls.caFile)"},
	} {
		t.Run(name, func(t *testing.T) {
			client := journal.Dial(c.settings, 1)
			defer func() { _ = client.Close() }()
			check := journal.New(client).Check(t.Context())
			said(t, check, cachev1alpha1.ReasonConnectionFailed, c.says)
			if strings.Contains(check.Message, "%!") {
				t.Errorf("the message is %q", check.Message)
			}
		})
	}
}

// answering is a server that answers INFO with the text, and everything else with an
// error, as one that knows nothing newer.
func answering(t *testing.T, info string) *redis.Client {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			serveInfo(conn, info)
		}
	}()
	client := journal.Dial(config.RedisExternal{Addresses: []string{listener.Addr().String()}}, 1)
	t.Cleanup(func() {
		_ = client.Close()
		_ = listener.Close()
		<-ended
	})
	return client
}

func serveInfo(conn net.Conn, info string) {
	defer func() { _ = conn.Close() }()
	r := bufio.NewReader(conn)
	line := func() string {
		text, _ := r.ReadString('\n')
		return strings.TrimSpace(text)
	}
	for {
		count, err := strconv.Atoi(strings.TrimPrefix(line(), "*"))
		if err != nil {
			return
		}
		var words []string
		for range count {
			line()
			words = append(words, strings.ToUpper(line()))
		}
		answer := fmt.Sprintf("-ERR unknown command '%s', with args beginning with: \r\n", words[0])
		if words[0] == "INFO" {
			answer = fmt.Sprintf("$%d\r\n%s\r\n", len(info), info)
		}
		if _, err := conn.Write([]byte(answer)); err != nil {
			return
		}
	}
}

func TestAServerThatIsNoneForQueues(t *testing.T) {
	for name, c := range map[string]struct{ info, reason, says string }{
		"an old version": {"redis_version:6.2.14\r\nredis_mode:standalone\r\nrole:master", cachev1alpha1.ReasonVersionTooOld, "Redis has version 6.2.14: version 7 or later is needed"},
		"no version":     {"role:master", cachev1alpha1.ReasonVersionTooOld, "version 7 or later"},
		"a Sentinel":     {"redis_version:7.2.4\r\nredis_mode:sentinel", cachev1alpha1.ReasonClusterMode, "leads to a Sentinel"},
		"Valkey's":       {"redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:9.0.1\r\nserver_mode:sentinel", cachev1alpha1.ReasonClusterMode, "leads to a Sentinel"},
		"Valkey Cluster": {"redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:8.1.1\r\nserver_mode:cluster", cachev1alpha1.ReasonClusterMode, "Redis Cluster"},
		"Valkey replica": {
			"redis_version:7.2.4\r\nserver_mode:standalone\r\nrole:slave\r\nmaster_host:10.0.0.1\r\nmaster_port:6379",
			cachev1alpha1.ReasonReadOnlyReplica, "which is 10.0.0.1:6379",
		},
		"another product": {"redis_version:7.4.0\r\nredis_mode:standalone\r\nrole:master", cachev1alpha1.ReasonCommandFailed, "Redis does not know the command FCALL"},
	} {
		t.Run(name, func(t *testing.T) {
			said(t, journal.New(answering(t, c.info)).Check(t.Context()), c.reason, c.says)
		})
	}
}

// Flushers of two releases meet on one Redis during every upgrade. One that cannot
// work with the newer library must say so, and go on when it is told how.
func TestALibraryOfAnotherReleaseIsNamed(t *testing.T) {
	functions := []string{"wb_engine_probe", "wb_engine_open", "wb_engine_beat", "wb_engine_begin", "wb_engine_claim", "wb_engine_poll", "wb_stats"}
	calls := map[string]func(context.Context, *journal.Journal) error{
		"open": func(ctx context.Context, j *journal.Journal) error {
			_, err := j.Open(ctx, settings(), "journal-2", false)
			return err
		},
		"beat": func(ctx context.Context, j *journal.Journal) error {
			_, err := j.Beat(ctx, settings(), "m", leaseTime, entry.Seen{})
			return err
		},
		"begin": func(ctx context.Context, j *journal.Journal) error {
			_, err := j.Begin(ctx, lease(0, "m", 1), 0, 0, nil, false)
			return err
		},
		"poll": func(ctx context.Context, j *journal.Journal) error {
			_, err := j.Poll(ctx, queue, []int{0})
			return err
		},
		"claim": func(ctx context.Context, j *journal.Journal) error {
			_, err := j.Claim(ctx, lease(0, "m", 1), "product:", entry.Bounds{Entries: 1, Bytes: 1000})
			return err
		},
		"stats": func(ctx context.Context, j *journal.Journal) error {
			_, err := j.Stats(ctx, queue)
			return err
		},
	}
	rdb := journaltest.New(t).Client(t)
	j := journal.New(rdb)
	for name, body := range map[string]string{
		"a text": "return 'x'", "too little": "return { 1 }", "other types": "return { {}, {}, {} }",
		"more arguments wanted": "return redis.error_reply('WBARGS wrong number of arguments')",
	} {
		code := fmt.Sprintf("#!lua name=writebehind\nlocal function answer() %s end\n"+
			"redis.register_function{function_name='wb_engine_library',callback=function() return %d end,flags={'no-writes'}}", body, journal.LibraryVersion+1)
		for _, function := range functions {
			code += fmt.Sprintf("\nredis.register_function{function_name='%s',callback=answer,flags={'no-writes'}}", function)
		}
		if err := rdb.FunctionLoadReplace(t.Context(), code).Err(); err != nil {
			t.Fatal(err)
		}
		for call, do := range calls {
			err := do(t.Context(), j)
			if err == nil {
				t.Errorf("%s: %s understands it", name, call)
				continue
			}
			said(t, j.Explain(err), cachev1alpha1.ReasonLibraryMismatch, "of another release", "FUNCTION DELETE writebehind")
		}
	}
	// What it lacks shows at once, before it is called.
	newer := strings.Replace(journal.Library, fmt.Sprintf("LIBRARY = %d", journal.LibraryVersion), fmt.Sprintf("LIBRARY = %d", journal.LibraryVersion+1), 1)
	newer = strings.Replace(newer, "register('wb_engine_ack'", "register('wb_engine_done'", 1)
	if err := rdb.FunctionLoadReplace(t.Context(), newer).Err(); err != nil {
		t.Fatal(err)
	}
	check := j.Check(t.Context())
	said(t, check, cachev1alpha1.ReasonLibraryMismatch)
	remedy(t, rdb, check.Message)
	said(t, j.Check(t.Context()), "")
	if version, err := rdb.FCallRO(t.Context(), "wb_engine_library", nil).Int64(); err != nil || version != journal.LibraryVersion {
		t.Errorf("the library has number %d, %v; want the flusher's own, %d", version, err, journal.LibraryVersion)
	}
}

func TestAnErrorWithoutANameShowsItsKind(t *testing.T) {
	said(t, journal.Explain(fmt.Errorf("claim: %w", errors.New("secret value"))), cachev1alpha1.ReasonCommandFailed, "*errors.errorString")
	if check := journal.Explain(errors.New("secret value")); strings.Contains(check.Message, "secret") {
		t.Errorf("the message is %q", check.Message)
	}
}
