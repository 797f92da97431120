// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package journal_test

import (
	"context"
	"encoding/pem"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/entry"
	"github.com/writebehind/operator/internal/flusher/journal"
	"github.com/writebehind/operator/internal/flusher/journal/journaltest"
)

func TestWritesReturnGrowingVersionsAndPinTheValue(t *testing.T) {
	f := open(t, journaltest.New(t))
	before := time.Now().UnixMicro()
	first := f.set("product:1", `{"n":1}`)
	second := f.set("product:1", `{"n":2}`)
	if first < before || second <= first || second > time.Now().Add(time.Minute).UnixMicro() {
		t.Errorf("versions %d, %d are not growing µs since 1970 (now %d)", first, second, before)
	}
	if got := f.rdb.Get(t.Context(), "product:1").Val(); got != `{"n":2}` {
		t.Errorf("value is %s", got)
	}
	if ttl := f.rdb.TTL(t.Context(), "product:1").Val(); ttl != -1 {
		t.Errorf("a dirty key has the TTL %v", ttl)
	}
	pending, err := f.rdb.FCallRO(t.Context(), "wb_pending", []string{"product:1"}, queue).Int64()
	if err != nil || pending != first {
		t.Errorf("wb_pending is %d, %v; want the first version %d", pending, err, first)
	}
	if err := f.rdb.FCallRO(t.Context(), "wb_pending", []string{"product:2"}, queue).Err(); err != redis.Nil { //nolint:errorlint // redis.Nil is never wrapped
		t.Errorf("wb_pending of a clean key answers %v, want nil", err)
	}
	s := f.stats()
	if s.Depth != 1 || s.Writes != 2 || s.Coalesced != 1 || s.Flushed != 0 || s.State != config.StateOpen || s.Incarnation != "journal-1" {
		t.Errorf("stats are %+v", s)
	}
}

func TestDeletionIsAnEntryOfItsOwn(t *testing.T) {
	f := open(t, journaltest.New(t), onePartition)
	set := f.set("product:1", `{"n":1}`)
	deleted := f.del("product:1")
	if deleted <= set {
		t.Errorf("deletion has version %d, not above %d", deleted, set)
	}
	if n := f.rdb.Exists(t.Context(), "product:1").Val(); n != 0 {
		t.Error("the key is still there")
	}
	l := f.lease("a", 0, 1)
	claim := f.claim(l, 10)
	if len(claim.Entries) != 1 || claim.Entries[0].Operation != entry.Delete || claim.Entries[0].Lost {
		t.Fatalf("claim is %+v", claim.Entries)
	}
	f.acknowledge(claim, entry.Done)
	if s := f.stats(); s.Depth != 0 || s.Flushed != 1 || s.Coalesced != 1 {
		t.Errorf("stats are %+v", s)
	}
}

func TestFillOnlyWhereNothingIsKnown(t *testing.T) {
	f := open(t, journaltest.New(t))
	fill := func(key string) int64 {
		n, err := f.rdb.FCall(t.Context(), "wb_fill", []string{key}, queue, `{"from":"database"}`).Int64()
		f.check(nil, err)
		return n
	}
	f.set("product:dirty", `{"n":1}`)
	f.del("product:deleted")
	for key, want := range map[string]int64{"product:dirty": 0, "product:deleted": 0, "product:absent": 1} {
		if got := fill(key); got != want {
			t.Errorf("wb_fill of %s is %d, want %d", key, got, want)
		}
	}
	if got := fill("product:absent"); got != 0 {
		t.Errorf("wb_fill of a cached key is %d", got)
	}
	if ttl := f.rdb.TTL(t.Context(), "product:absent").Val(); ttl <= 0 || ttl > time.Hour {
		t.Errorf("a filled key has the TTL %v", ttl)
	}
	if s := f.stats(); s.Writes != 2 {
		t.Errorf("filling counts as writing: %+v", s)
	}
}

func TestACleanEntryGetsItsTimeToLive(t *testing.T) {
	for name, seconds := range map[string]int{"an hour": 3600, "for ever": 0} {
		t.Run(name, func(t *testing.T) {
			f := open(t, journaltest.New(t), onePartition, func(s *config.QueueSettings) { s.Mapping.TimeToLiveSeconds = seconds })
			f.set("product:1", `{}`)
			f.acknowledge(f.claim(f.lease("a", 0, 1), 10), entry.Done)
			ttl := f.rdb.TTL(t.Context(), "product:1").Val()
			if seconds == 0 && ttl != -1 || seconds > 0 && (ttl <= 0 || ttl > time.Hour) {
				t.Errorf("TTL is %v", ttl)
			}
			f.set("product:1", `{"again":true}`)
			if ttl := f.rdb.TTL(t.Context(), "product:1").Val(); ttl != -1 {
				t.Errorf("written again, it keeps the TTL %v", ttl)
			}
		})
	}
}

// refusals are calls that must fail, each with the code that tells why.
func TestARefusedCallChangesNothing(t *testing.T) {
	server := journaltest.New(t,
		journaltest.User("noqueue on >secret ~product:* +@all"),
		journaltest.User("halfway on >secret ~product:* %R~wb:* +@all"),
		journaltest.User("noset on >secret ~* +@all -set -del"),
		journaltest.User("norpush on >secret ~* +@all -rpush"),
		journaltest.User("nocount on >secret ~* +@all -hincrby"),
		journaltest.User("nolate on >secret ~* +@all -zrem"),
		journaltest.User("nodue on >secret ~* +@all -zscore"),
		journaltest.User("novalue on >secret ~wb:* %R~product:* +@all"),
	)
	f := open(t, server, func(s *config.QueueSettings) { s.MaxDepth = 3 })
	ctx := t.Context()
	f.set("product:1", `{"n":1}`)
	f.rdb.RPush(ctx, "product:list", "x")
	f.set("product:refused", `{"n":1}`)
	refused := partitionOf(f, "product:refused")
	f.acknowledge(f.claim(f.lease("a", int(refused), 1), 10), entry.Refused)
	// These journal keys belong to partitions that hold nothing yet.
	broken := partitionOf(f, "product:brokenq")
	f.rdb.Set(ctx, fmt.Sprintf("wb:{%s:%d}:q", queue, broken), "not a list", 0)
	as := func(user string) *redis.Client { return server.ClientAs(t, user, "secret") }

	cases := map[string]struct {
		call func() redis.Cmder
		code string
	}{
		"no value":                   {func() redis.Cmder { return f.rdb.FCall(ctx, "wb_set", []string{"product:1"}, queue) }, "WBARGS"},
		"a value too many":           {func() redis.Cmder { return f.rdb.FCall(ctx, "wb_set", []string{"product:1"}, queue, "{}", "{}") }, "WBARGS"},
		"no key":                     {func() redis.Cmder { return f.rdb.FCall(ctx, "wb_set", nil, queue, "{}") }, "WBARGS"},
		"two keys":                   {func() redis.Cmder { return f.rdb.FCall(ctx, "wb_del", []string{"product:1", "product:2"}, queue) }, "WBARGS"},
		"a key of another prefix":    {func() redis.Cmder { return f.rdb.FCall(ctx, "wb_set", []string{"order:1"}, queue, "{}") }, "WBARGS"},
		"a key that is the prefix":   {func() redis.Cmder { return f.rdb.FCall(ctx, "wb_set", []string{"product:"}, queue, "{}") }, "WBARGS"},
		"fill outside the prefix":    {func() redis.Cmder { return f.rdb.FCall(ctx, "wb_fill", []string{"order:1"}, queue, "{}") }, "WBARGS"},
		"pending without queue":      {func() redis.Cmder { return f.rdb.FCallRO(ctx, "wb_pending", []string{"product:1"}) }, "WBARGS"},
		"stats with a key":           {func() redis.Cmder { return f.rdb.FCallRO(ctx, "wb_stats", []string{"product:1"}, queue) }, "WBARGS"},
		"no such queue":              {func() redis.Cmder { return f.rdb.FCall(ctx, "wb_set", []string{"product:1"}, "nope", "{}") }, "WBNOQUEUE"},
		"stats of no queue":          {func() redis.Cmder { return f.rdb.FCallRO(ctx, "wb_stats", nil, "nope") }, "WBNOQUEUE"},
		"a list at KEY":              {func() redis.Cmder { return f.rdb.FCall(ctx, "wb_set", []string{"product:list"}, queue, "{}") }, "WRONGTYPE"},
		"a list at KEY to delete":    {func() redis.Cmder { return f.rdb.FCall(ctx, "wb_del", []string{"product:list"}, queue) }, "WRONGTYPE"},
		"a string at a journal key":  {func() redis.Cmder { return f.rdb.FCall(ctx, "wb_set", []string{"product:brokenq"}, queue, "{}") }, "WRONGTYPE"},
		"no right to the journal":    {func() redis.Cmder { return as("noqueue").FCall(ctx, "wb_set", []string{"product:2"}, queue, "{}") }, scriptDenied},
		"no right to write it":       {func() redis.Cmder { return as("halfway").FCall(ctx, "wb_set", []string{"product:2"}, queue, "{}") }, scriptDenied},
		"no right to write it again": {func() redis.Cmder { return as("halfway").FCall(ctx, "wb_set", []string{"product:1"}, queue, "{}") }, scriptDenied},
		"no right to write the key":  {func() redis.Cmder { return as("novalue").FCall(ctx, "wb_set", []string{"product:1"}, queue, "{}") }, "NOPERM"},
		"SET refused, a clean key":   {func() redis.Cmder { return as("noset").FCall(ctx, "wb_set", []string{"product:2"}, queue, "{}") }, scriptDenied},
		"SET refused, a dirty key":   {func() redis.Cmder { return as("noset").FCall(ctx, "wb_set", []string{"product:1"}, queue, "{}") }, scriptDenied},
		"SET refused, a refused key": {func() redis.Cmder { return as("noset").FCall(ctx, "wb_set", []string{"product:refused"}, queue, "{}") }, scriptDenied},
		"DEL refused, a dirty key":   {func() redis.Cmder { return as("noset").FCall(ctx, "wb_del", []string{"product:1"}, queue) }, scriptDenied},
		"RPUSH refused":              {func() redis.Cmder { return as("norpush").FCall(ctx, "wb_set", []string{"product:2"}, queue, "{}") }, scriptDenied},
		"HINCRBY refused, clean":     {func() redis.Cmder { return as("nocount").FCall(ctx, "wb_set", []string{"product:2"}, queue, "{}") }, scriptDenied},
		"HINCRBY refused, dirty":     {func() redis.Cmder { return as("nocount").FCall(ctx, "wb_set", []string{"product:1"}, queue, "{}") }, scriptDenied},
		"ZREM refused":               {func() redis.Cmder { return as("nolate").FCall(ctx, "wb_set", []string{"product:refused"}, queue, "{}") }, scriptDenied},
		"ZSCORE refused":             {func() redis.Cmder { return as("nodue").FCall(ctx, "wb_set", []string{"product:refused"}, queue, "{}") }, scriptDenied},
		"RPUSH refused, refused key": {func() redis.Cmder {
			return as("norpush").FCall(ctx, "wb_set", []string{"product:refused"}, queue, "{}")
		}, scriptDenied},
		"HINCRBY, a refused key": {func() redis.Cmder {
			return as("nocount").FCall(ctx, "wb_set", []string{"product:refused"}, queue, "{}")
		}, scriptDenied},
		"a read-only call": {func() redis.Cmder { return f.rdb.FCallRO(ctx, "wb_set", []string{"product:1"}, queue, "{}") }, "ERR"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			before := dump(t, f.rdb)
			mustFail(t, c.call(), c.code)
			if after := dump(t, f.rdb); !maps.Equal(before, after) {
				t.Errorf("Redis has changed:\nbefore %v\nafter  %v", before, after)
			}
		})
	}
}

// partitionOf finds where a key goes by asking Redis, as the library does.
func partitionOf(f *fixture, key string) int64 {
	f.t.Helper()
	n, err := f.rdb.Eval(f.t.Context(), `return tonumber(string.sub(redis.sha1hex(ARGV[1]),1,8),16) % 4`, nil, key).Int64()
	f.check(nil, err)
	return n
}

func TestAtMaxmemoryWritesAreRefusedWholeAndTheQueueStillDrains(t *testing.T) {
	f := open(t, journaltest.New(t, journaltest.MaxMemory("3mb", "noeviction")), onePartition, func(s *config.QueueSettings) { s.MaxDepth = 1_000_000 })
	ctx := t.Context()
	value := `{"filler":"` + strings.Repeat("x", 10_000) + `"}`
	written := 0
	for ; written < 10_000; written++ {
		if err := f.rdb.FCall(ctx, "wb_set", []string{fmt.Sprintf("product:%d", written)}, queue, value).Err(); err != nil {
			break
		}
	}
	// What connections hold counts too and goes up and down: from here on there is no room
	// whatever they do.
	f.check(nil, f.rdb.ConfigSet(ctx, "maxmemory", "1").Err())
	before := dump(t, f.rdb)
	mustFail(t, f.rdb.FCall(ctx, "wb_set", []string{"product:more"}, queue, value), "OOM")
	mustFail(t, f.rdb.FCall(ctx, "wb_set", []string{"product:0"}, queue, value), "OOM")
	mustFail(t, f.rdb.FCall(ctx, "wb_del", []string{"product:0"}, queue), "OOM")
	if after := dump(t, f.rdb); !maps.Equal(before, after) {
		t.Error("a refused write has changed Redis")
	}
	if s := f.stats(); s.Depth != int64(written) {
		t.Errorf("depth is %d, want the %d that were accepted", s.Depth, written)
	}
	l := f.lease("a", 0, 1)
	for drained := 0; drained < written; {
		claim := f.claim(l, 50)
		drained += len(claim.Entries)
		f.acknowledge(claim, entry.Done)
	}
	if s := f.stats(); s.Depth != 0 || s.Flushed != int64(written) {
		t.Errorf("after the drain stats are %+v", s)
	}
}

func TestAFullQueueRefusesNewKeysOnly(t *testing.T) {
	full := func(s *config.QueueSettings) { s.MaxDepth = 2; s.Mapping.Partitions = 1 }
	f := open(t, journaltest.New(t), full)
	ctx := t.Context()
	f.set("product:1", "{}")
	f.set("product:2", "{}")
	mustFail(t, f.rdb.FCall(ctx, "wb_set", []string{"product:3"}, queue, "{}"), "WBFULL")
	mustFail(t, f.rdb.FCall(ctx, "wb_del", []string{"product:4"}, queue), "WBFULL")
	f.set("product:1", `{"n":2}`)
	f.del("product:2")
	f.acknowledge(f.claim(f.lease("a", 0, 1), 1), entry.Done)
	f.set("product:3", "{}")
	mustFail(t, f.rdb.FCall(ctx, "wb_set", []string{"product:4"}, queue, "{}"), "WBFULL")
	f.check(f.j.Open(ctx, settings(full, func(s *config.QueueSettings) { s.Revision, s.WhenFull = 2, config.WhenFullAccept }), "", false))
	f.set("product:4", "{}")
}

func TestAPausedQueueTakesNoWrites(t *testing.T) {
	f := open(t, journaltest.New(t))
	f.set("product:1", "{}")
	f.check(f.j.Open(t.Context(), settings(func(s *config.QueueSettings) { s.Revision, s.State = 2, config.StatePaused }), "", false))
	mustFail(t, f.rdb.FCall(t.Context(), "wb_set", []string{"product:1"}, queue, "{}"), "WBPAUSED")
	if filled := f.rdb.FCall(t.Context(), "wb_fill", []string{"product:2"}, queue, "{}").Val(); filled != int64(0) {
		t.Errorf("wb_fill of a paused queue answers %v", filled)
	}
	mustFail(t, f.rdb.FCall(t.Context(), "wb_del", []string{"product:1"}, queue), "WBPAUSED")
}

func TestTheHighestRevisionOfAnOwnerWinsAndAnotherOwnerReplaces(t *testing.T) {
	f := open(t, journaltest.New(t))
	with := func(owner string, revision int64, depth int) entry.Opened {
		opened, err := f.j.Open(t.Context(), settings(func(s *config.QueueSettings) { s.Owner, s.Revision, s.MaxDepth = owner, revision, depth }), "other", false)
		f.check(nil, err)
		return opened
	}
	for _, step := range []struct {
		owner    string
		revision int64
		depth    int
		want     int64
	}{
		{"test", 3, 30, 30},
		{"test", 2, 20, 30},
		{"test", 10, 100, 100},
		{"test", 9, 90, 100},
		{"new", 1, 10, 10},
	} {
		opened := with(step.owner, step.revision, step.depth)
		if opened.Revision < step.revision {
			t.Errorf("revision %d is said to be in force after %d was given", opened.Revision, step.revision)
		}
		if opened.Made || opened.Incarnation != "journal-1" {
			t.Errorf("opening again made a new queue: %+v", opened)
		}
		if got := f.stats().Max; got != step.want {
			t.Errorf("after %s revision %d the limit is %d, want %d", step.owner, step.revision, got, step.want)
		}
	}
}

func TestAQueueKeepsPartitionsAndRefusesAnotherShapeWhileItHoldsEntries(t *testing.T) {
	f := open(t, journaltest.New(t))
	opened, err := f.j.Open(t.Context(), settings(func(s *config.QueueSettings) { s.Mapping.Partitions = 9 }), "other", false)
	if err != nil || opened.Partitions != 4 {
		t.Errorf("opened %+v, %v; want the 4 partitions it was made with", opened, err)
	}
	f.set("product:1", "{}")
	other := settings(func(s *config.QueueSettings) { s.Mapping.KeyPrefix = "item:" })
	if _, err := f.j.Open(t.Context(), other, "other", false); err == nil || journal.Explain(err).Reason != "JournalMismatch" {
		t.Errorf("another prefix over a dirty queue answers %v", err)
	}
}

func TestAnOlderLibraryIsReplacedAndANewerOneLeftAlone(t *testing.T) {
	rdb := journaltest.New(t).Client(t)
	ctx := t.Context()
	j := journal.New(rdb)
	load := func(version int64) {
		code := fmt.Sprintf("#!lua name=writebehind\nredis.register_function{function_name='wb_engine_library',callback=function() return %d end,flags={'no-writes'}}", version)
		if err := rdb.FunctionLoadReplace(ctx, code).Err(); err != nil {
			t.Fatal(err)
		}
	}
	loadNewer := func() {
		code := strings.Replace(journal.Library, fmt.Sprintf("LIBRARY = %d", journal.LibraryVersion), fmt.Sprintf("LIBRARY = %d", journal.LibraryVersion+1), 1)
		if err := rdb.FunctionLoadReplace(ctx, code).Err(); err != nil {
			t.Fatal(err)
		}
	}
	steps := []struct {
		name    string
		before  func()
		loads   bool
		version int64
	}{
		{"absent", func() {}, true, journal.LibraryVersion},
		{"of this version", func() {}, false, journal.LibraryVersion},
		{"older", func() { load(journal.LibraryVersion - 1) }, true, journal.LibraryVersion},
		{"newer", loadNewer, false, journal.LibraryVersion + 1},
	}
	for _, step := range steps {
		step.before()
		loaded, err := j.EnsureLibrary(ctx)
		if err != nil || loaded != step.loads {
			t.Errorf("library %s: loaded %v, %v", step.name, loaded, err)
		}
		if got := rdb.FCallRO(ctx, "wb_engine_library", nil).Val(); got != step.version {
			t.Errorf("library %s: version is %v afterwards, want %d", step.name, got, step.version)
		}
	}
}

func TestCheckSaysWhatIsInTheWay(t *testing.T) {
	plain := journaltest.New(t)
	secured := journaltest.New(t, journaltest.Password("right"), journaltest.User("weak on >secret ~* +ping +info +hello"))
	replica := journaltest.New(t, journaltest.Config(fmt.Sprintf("replicaof 127.0.0.1 %d", plain.Port())))
	gone := journaltest.New(t)
	gone.MustKill(t)
	dir := t.TempDir()
	file := func(name, text string) string { return write(t, dir, name, text) }

	for name, c := range map[string]struct {
		settings config.RedisExternal
		reason   string
		message  string
	}{
		"well":              {config.RedisExternal{Addresses: []string{plain.Addr()}}, "", ""},
		"right password":    {config.RedisExternal{Addresses: []string{secured.Addr()}, PasswordFile: file("right", "right\n")}, "", ""},
		"no password":       {config.RedisExternal{Addresses: []string{secured.Addr()}}, "AuthenticationFailed", "credentialsSecretRef (in a config file: passwordFile)"},
		"wrong password":    {config.RedisExternal{Addresses: []string{secured.Addr()}, PasswordFile: file("wrong", "wrong")}, "AuthenticationFailed", "credentials"},
		"missing user":      {config.RedisExternal{Addresses: []string{secured.Addr()}, UsernameFile: dir + "/none", UsernameSecret: "Secret redis, key user", PasswordFile: dir + "/none"}, "SecretMissing", "Secret redis, key user is missing"},
		"missing secret":    {config.RedisExternal{Addresses: []string{secured.Addr()}, PasswordFile: dir + "/none", CredentialsSecret: "Secret redis, key password"}, "SecretMissing", "Secret redis, key password is missing"},
		"empty secret":      {config.RedisExternal{Addresses: []string{secured.Addr()}, PasswordFile: file("empty", "\n")}, "SecretMissing", "is empty"},
		"too few rights":    {config.RedisExternal{Addresses: []string{secured.Addr()}, UsernameFile: file("user", "weak"), PasswordFile: file("secret", "secret")}, "PrivilegeMissing", "ACL SETUSER"},
		"a replica":         {config.RedisExternal{Addresses: []string{replica.Addr()}}, "ReadOnlyReplica", "primary"},
		"nobody there":      {config.RedisExternal{Addresses: []string{gone.Addr()}}, "ConnectionFailed", "refused"},
		"an unknown name":   {config.RedisExternal{Addresses: []string{"redis.invalid:6379"}}, "ConnectionFailed", "redis.invalid"},
		"TLS where is none": {config.RedisExternal{Addresses: []string{plain.Addr()}, TLS: &config.TLS{}}, "ConnectionFailed", "does not answer the TLS handshake: it may not speak TLS"},
	} {
		t.Run(name, func(t *testing.T) {
			client := journal.Dial(c.settings, 2)
			defer func() { _ = client.Close() }()
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			got := journal.New(client).Check(ctx)
			if got.OK != (c.reason == "") || got.Reason != c.reason || !strings.Contains(got.Message, c.message) {
				t.Errorf("check is %+v, want reason %q and a message with %q", got, c.reason, c.message)
			}
		})
	}
}

func TestTLSWithAClientCertificate(t *testing.T) {
	server := journaltest.New(t, journaltest.RequireClientCertificate())
	files := server.TLS()
	other := journaltest.New(t, journaltest.TLS()).TLS()
	locked := filepath.Join(t.TempDir(), "locked.key")
	encrypted := pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte("of no use without its passphrase")})
	if err := os.WriteFile(locked, encrypted, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		tls          config.TLS
		reason, says string
	}{
		"both":                 {config.TLS{CAFile: files.CA, CertFile: files.ClientCert, KeyFile: files.ClientKey}, "", ""},
		"another authority":    {config.TLS{CAFile: other.CA, CertFile: files.ClientCert, KeyFile: files.ClientKey}, "ConnectionFailed", ""},
		"authority is missing": {config.TLS{CAFile: files.CA + ".gone"}, "SecretMissing", ""},
		"an encrypted key":     {config.TLS{CAFile: files.CA, CertFile: files.ClientCert, KeyFile: locked}, "SecretMissing", "locked.key holds a private key that is encrypted"},
		"a key that is gone":   {config.TLS{CAFile: files.CA, CertFile: files.ClientCert, KeyFile: locked + ".gone"}, "SecretMissing", "locked.key.gone is missing"},
		"swapped files":        {config.TLS{CAFile: files.CA, CertFile: files.ClientKey, KeyFile: files.ClientCert}, "SecretMissing", "the wrong way round"},
		"another's key":        {config.TLS{CAFile: files.CA, CertFile: files.ClientCert, KeyFile: other.ClientKey}, "SecretMissing", "holds no pair of certificate and key"},
	} {
		t.Run(name, func(t *testing.T) {
			client := journal.Dial(config.RedisExternal{Addresses: []string{server.Addr()}, TLS: &c.tls}, 2)
			defer func() { _ = client.Close() }()
			if got := journal.New(client).Check(t.Context()); got.Reason != c.reason || !strings.Contains(got.Message, c.says) {
				t.Errorf("check is %+v, want reason %q and a message with %q", got, c.reason, c.says)
			}
		})
	}
}
