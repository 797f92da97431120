// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"context"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/journal/journaltest"
	"github.com/writebehind/operator/test/programs"
)

// TestWhatAnApplicationDoesIsTold: with the commands that it has, in pipelines, transactions
// and scripts.
func TestWhatAnApplicationDoesIsTold(t *testing.T) {
	server := journaltest.New(t, atOnce)
	client := server.Client(t)
	run(t, client, "SET k:before v")
	f := attach(t, newLink(t, settingsOf(server)), "", Point{})
	if f.Continued() || f.Start().Offset != offsetOf(t, client) {
		t.Errorf("began at %v, continued %v", f.Start(), f.Continued())
	}
	for _, c := range []struct {
		commands []string
		want     []string
	}{
		{[]string{"SETEX k:a 100 1"}, []string{"SET Written k:a = 1"}},
		{[]string{"GETSET k:a 2", "GETEX k:a PERSIST", "EXPIRE k:a 100", "GETDEL k:a"}, []string{"SET Written k:a = 2", "DEL Deleted k:a"}},
		{[]string{"INCR k:n", "INCRBYFLOAT k:n 1.5"}, []string{"INCR Written k:n", "SET Written k:n = 2.5"}},
		{[]string{"APPEND k:n 0", "SETRANGE k:n 0 3"}, []string{"APPEND Written k:n", "SETRANGE Written k:n"}},
		{[]string{"HSET k:h f 1 g 2", "HINCRBY k:h f 1", "HINCRBYFLOAT k:h g 0.5", "HDEL k:h f"}, []string{
			"HSET Written k:h .f .g", "HINCRBY Written k:h .f", "HSET Written k:h .g", "HDEL Written k:h .f",
		}},
		{[]string{"ZADD k:z 1 a 2 b 3 c", "ZINCRBY k:z 5 a", "ZADD k:z GT 1 a", "ZREM k:z c", "ZPOPMIN k:z"}, []string{
			"ZADD Written k:z /a /b /c", "ZINCRBY Written k:z /a", "ZREM Written k:z /c", "ZPOPMIN Written k:z",
		}},
		{[]string{"XADD k:s MAXLEN ~ 100 7-1 f v", "XGROUP CREATE k:s g 0", "XREADGROUP GROUP g me STREAMS k:s >", "XACK k:s g 7-1", "XDEL k:s 7-1"}, []string{
			"XADD Appended k:s @7-1 :f :v",
		}},
		{[]string{"LPUSH k:l 3 1 2", "SORT k:l STORE k:sorted", "RPOPLPUSH k:l k:m"}, []string{
			"LPUSH Written k:l", "SORT Written k:sorted", "RPOPLPUSH Written k:l", "RPOPLPUSH Written k:m",
		}},
		{[]string{"ZADD k:y 1 q", "ZUNIONSTORE k:u 2 k:y k:z WEIGHTS 1 2", "GEOADD k:g 1 1 p", "GEORADIUS k:g 1 1 9 km STORE k:v"}, []string{
			"ZADD Written k:y /q", "ZUNIONSTORE Written k:u", "ZADD Written k:g /p", "GEORADIUS Written k:v",
		}},
		{[]string{"RENAME k:y k:x", "COPY k:x k:w", "MOVE k:x 1"}, []string{
			"RENAME Written k:y", "RENAME Written k:x", "COPY Written k:w", "MOVE Written k:x",
		}},
		{[]string{"EVAL redis.call('SET',KEYS[1],'s');redis.call('SELECT',1);return(redis.call('SET',KEYS[1],'s')) 1 k:e"}, []string{"SET Written k:e = s"}},
		{[]string{"DEL k:h k:z k:none", "UNLINK k:u k:v"}, []string{
			"DEL Deleted k:h", "DEL Deleted k:z", "DEL Deleted k:none", "UNLINK Unlinked k:u", "UNLINK Unlinked k:v",
		}},
		{[]string{"SET k:gone v PX 1", "SET other v", "PUBLISH k:channel m"}, []string{"SET Written k:gone = v"}},
		{[]string{"SWAPDB 0 1", "FLUSHALL"}, []string{"SWAPDB Unknown", "FLUSHALL Flushed"}},
	} {
		run(t, client, c.commands...)
		if diff := cmp.Diff(c.want, f.now(t, client)); diff != "" {
			t.Errorf("%s: %s", c.commands, diff)
		}
	}

	before := f.last.Safe
	_, err := client.TxPipelined(t.Context(), func(p redis.Pipeliner) error {
		p.Do(t.Context(), "SELECT", 3)
		p.Set(t.Context(), "k:there", "1", 0)
		p.Do(t.Context(), "SELECT", 0)
		p.Set(t.Context(), "k:1", "a", 0)
		p.MSet(t.Context(), "k:2", "b", "k:3", "c")
		return nil
	})
	programs.Must(t, err)
	if diff := cmp.Diff([]string{"SET Written k:1 = a", "MSET Written k:2 = b", "MSET Written k:3 = c"}, f.now(t, client)); diff != "" {
		t.Error(diff)
	}
	if f.last.Safe.Offset != f.last.Read || f.last.Safe == before {
		t.Errorf("the safe point is %v behind a transaction that ends at %d", f.last.Safe, f.last.Read)
	}
}

// TestAFullResyncSendsNoKeys: its snapshot is as small for a server that is full.
func TestAFullResyncSendsNoKeys(t *testing.T) {
	server := journaltest.New(t, atOnce)
	client := server.Client(t)
	run(t, client, "SET k:a "+strings.Repeat("v", 8<<20))
	attach(t, newLink(t, settingsOf(server)), "", Point{})
	sent, err := client.Info(t.Context(), "stats").Result()
	programs.Must(t, err)
	match := regexp.MustCompile(`total_net_repl_output_bytes:(\d+)`).FindStringSubmatch(sent)
	if match == nil {
		t.Fatal("the server does not say how much it sent")
	}
	if n, err := strconv.Atoi(match[1]); err != nil || n > 64<<10 {
		t.Errorf("%d bytes were sent: %v", n, err)
	}
}

// TestAStreamGoesOnWhereItWasLeft: nothing in between is missing, and the database that was
// selected is the one that the point says.
func TestAStreamGoesOnWhereItWasLeft(t *testing.T) {
	server := journaltest.New(t, atOnce)
	client := server.Client(t)
	link := newLink(t, settingsOf(server))
	f := attach(t, link, "", Point{})
	run(t, client, "SET k:a 1", "SET k:b 1")
	f.now(t, client)
	programs.Must(t, f.Close())
	run(t, client, "SET k:a 2", "DEL k:b")
	next := attach(t, link, f.ID(), f.last.Safe)
	if !next.Continued() || next.ID() != f.ID() || next.Start() != f.last.Safe {
		t.Errorf("goes on at %v of %s, want %v of %s", next.Start(), next.ID(), f.last.Safe, f.ID())
	}
	if diff := cmp.Diff([]string{"SET Written k:a = 2", "DEL Deleted k:b"}, next.now(t, client)); diff != "" {
		t.Error(diff)
	}
	elsewhere := f.last.Safe
	elsewhere.Database = 5
	if got := attach(t, link, f.ID(), elsewhere).now(t, client); len(got) > 0 {
		t.Errorf("what was written where another database is selected is told: %q", got)
	}
}

// TestAStreamThatGoesOnElsewhereIsNoticed: the server does not complain of an offset that
// lies inside of a command.
func TestAStreamThatGoesOnElsewhereIsNoticed(t *testing.T) {
	server := journaltest.New(t, atOnce)
	client := server.Client(t)
	link := newLink(t, settingsOf(server))
	f := attach(t, link, "", Point{})
	run(t, client, "SET k:a *1", "SET k:a 2")
	f.now(t, client)
	last := int64(len(stream([]string{"SET", "k:a", "2"})))
	for back := int64(1); back < 2*last; back++ {
		if back == last {
			continue
		}
		at := f.last.Safe
		at.Offset -= back
		s := attach(t, link, f.ID(), at)
		if _, err := s.Next(); !errors.Is(err, ErrMisaligned) || !s.Continued() {
			t.Errorf("%d bytes before the end of the last command: continued %v, then %v", back, s.Continued(), err)
		}
	}
}

func TestAHistoryThatIsGoneBeginsAnew(t *testing.T) {
	server := journaltest.New(t, atOnce, journaltest.Config("repl-backlog-size 16kb"))
	client := server.Client(t)
	link := newLink(t, settingsOf(server))
	f := attach(t, link, "", Point{})
	run(t, client, "SET k:a 1")
	f.now(t, client)
	for name, c := range map[string]struct {
		id string
		at Point
	}{
		"another history":        {strings.Repeat("0", 40), f.last.Safe},
		"behind the history":     {f.ID(), Point{Offset: f.last.Safe.Offset + 1000}},
		"in front of the stream": {f.ID(), Point{Offset: -5}},
	} {
		s := attach(t, link, c.id, c.at)
		if s.Continued() || s.ID() != f.ID() || s.Start().Offset < f.last.Safe.Offset {
			t.Errorf("%s: continued %v at %v", name, s.Continued(), s.Start())
		}
		programs.Must(t, s.Close())
	}
	programs.Must(t, f.Close())
	for range 10 {
		run(t, client, "SET big "+strings.Repeat("v", 40<<10))
	}
	if s := attach(t, link, f.ID(), f.last.Safe); s.Continued() {
		t.Error("a stream is continued that its backlog does not hold any more")
	}
}

// TestAnotherPrimaryGoesOn: a replica that becomes the primary knows the history that was,
// and has a name of its own for what follows.
func TestAnotherPrimaryGoesOn(t *testing.T) {
	first, second := journaltest.New(t, atOnce), journaltest.New(t, atOnce)
	client, other := first.Client(t), second.Client(t)
	run(t, other, fmt.Sprintf("REPLICAOF 127.0.0.1 %d", first.Port()))
	programs.Usual.Eventually(t, "the replica follows", func() error {
		if infoNumber(t, other, `(?s)master_link_status:up.*master_repl_offset:(\d+)`) < 0 {
			return errors.New("it is not connected")
		}
		return nil
	})
	f := attach(t, newLink(t, settingsOf(first)), "", Point{})
	run(t, client, "SET k:a 1")
	if n, err := client.Wait(t.Context(), 1, time.Minute).Result(); err != nil || n < 1 {
		t.Fatalf("%d replicas have it: %v", n, err)
	}
	f.now(t, client)

	_, err := newLink(t, settingsOf(second)).Attach(t.Context(), f.ID(), f.last.Safe)
	if check := newLink(t, settingsOf(second)).Explain(err); check.Reason != "ReadOnlyReplica" || !strings.Contains(check.Message, first.Addr()) {
		t.Errorf("a replica is attached to: %v, explained as %+v", err, check)
	}

	programs.Usual.Eventually(t, "the replica has read it", func() error {
		if other.Get(t.Context(), "k:a").Val() != "1" {
			return errors.New("it has not")
		}
		return nil
	})
	run(t, other, "REPLICAOF NO ONE", "SET k:a 2")
	next := attach(t, newLink(t, settingsOf(second)), f.ID(), f.last.Safe)
	if !next.Continued() || next.ID() == f.ID() {
		t.Errorf("continued %v as %s, which was %s", next.Continued(), next.ID(), f.ID())
	}
	if diff := cmp.Diff([]string{"SET Written k:a = 2"}, next.now(t, other)); diff != "" {
		t.Error(diff)
	}
	if again := attach(t, newLink(t, settingsOf(second)), next.ID(), next.last.Safe); !again.Continued() {
		t.Error("the history is not known by its new name")
	}
}

// TestOnlyWhatIsCommittedIsAcknowledged: WAIT counts the flusher once it says so, and not
// for having read.
func TestOnlyWhatIsCommittedIsAcknowledged(t *testing.T) {
	server := journaltest.New(t, atOnce)
	client := server.Client(t)
	link := newLink(t, settingsOf(server))
	// A server counts from its first replica on.
	programs.Must(t, attach(t, link, "", Point{}).Close())
	run(t, client, "SET k:a 0")
	f := attach(t, link, "", Point{})
	if f.Start().Offset == 0 {
		t.Fatal("the stream begins at 0")
	}
	conn := client.Conn()
	t.Cleanup(func() { _ = conn.Close() })
	programs.Must(t, conn.Set(t.Context(), "k:a", "1", 0).Err())
	f.now(t, client)
	acknowledged := func() int64 { return infoNumber(t, client, `slave\d:.*offset=(\d+)`) }
	if n, err := conn.Wait(t.Context(), 1, 300*time.Millisecond).Result(); err != nil || n != 0 {
		t.Errorf("WAIT counts %d before anything is committed: %v", n, err)
	}
	if n := acknowledged(); n != 0 {
		t.Errorf("%d is acknowledged after a full resync, before anything is committed", n)
	}
	committed := f.last.Safe.Offset
	f.Acknowledge(committed)
	f.Acknowledge(committed - 1)
	if n, err := conn.Wait(t.Context(), 1, time.Minute).Result(); err != nil || n != 1 {
		t.Errorf("WAIT counts %d when it is committed: %v", n, err)
	}
	if n := acknowledged(); n != committed {
		t.Errorf("%d is acknowledged, want %d", n, committed)
	}
	// WAITAOF came later than the oldest server.
	if places, err := (serverCatalogue{client}).places(t.Context(), "WAITAOF"); err != nil {
		t.Error(err)
	} else if !places.unknown {
		got, err := conn.Do(t.Context(), "WAITAOF", 0, 1, 60000).Slice()
		if err != nil || len(got) != 2 || got[1] != int64(1) {
			t.Errorf("WAITAOF says %v: %v", got, err)
		}
	}

	programs.Must(t, f.Close())
	next := attach(t, link, f.ID(), f.last.Safe)
	if n := acknowledged(); n != 0 {
		t.Errorf("%d is acknowledged of a stream that goes on, before anything is said to be committed", n)
	}
	next.Acknowledge(next.Start().Offset)
	programs.Usual.Eventually(t, "the start is acknowledged", func() error {
		if info := client.Info(t.Context(), "replication").Val(); !strings.Contains(info, fmt.Sprintf(",offset=%d,", next.Start().Offset)) {
			return errors.New(info)
		}
		return nil
	})
}

// TestLinkUsesTLSAndCredentials with no more rights than a message says.
func TestLinkUsesTLSAndCredentials(t *testing.T) {
	server := journaltest.New(t, atOnce, journaltest.RequireClientCertificate(), journaltest.Password("wrong"), journaltest.User("flusher on >secret "+rights))
	client := server.Client(t)
	dir := t.TempDir()
	settings := settingsOf(server)
	settings.TLS = &config.TLS{CAFile: server.TLS().CA, CertFile: server.TLS().ClientCert, KeyFile: server.TLS().ClientKey}
	settings.UsernameFile, settings.PasswordFile = file(t, dir, "username", "flusher"), file(t, dir, "password", "secret")
	f := attach(t, newLink(t, settings), "", Point{})
	value := strings.Repeat("v", 1<<20)
	run(t, client, "SET k:a "+value, "LPUSH k:l 1", "SORT k:l STORE k:b")
	if diff := cmp.Diff([]string{"SET Written k:a = " + value, "LPUSH Written k:l", "SORT Written k:b"}, f.now(t, client)); diff != "" {
		t.Errorf("%.500s", diff)
	}
}

// TestSentinelDoesNotTakeItForAReplica, which it might make the primary, and would miss for
// ever.
func TestSentinelDoesNotTakeItForAReplica(t *testing.T) {
	server := journaltest.New(t, atOnce)
	attach(t, newLink(t, settingsOf(server)), "", Point{})
	programs.Usual.Eventually(t, "the server has a replica", func() error {
		if infoNumber(t, server.Client(t), `connected_slaves:(\d+)`) != 1 {
			return errors.New("it has none")
		}
		return nil
	})
	sentinel := journaltest.New(t, journaltest.Sentinel()).Client(t)
	run(t, sentinel, fmt.Sprintf("SENTINEL MONITOR primary 127.0.0.1 %d 1", server.Port()))
	programs.Usual.Eventually(t, "Sentinel has looked at the server", func() error {
		state, err := sentinel.Do(t.Context(), "SENTINEL", "MASTER", "primary").Slice()
		programs.Must(t, err)
		for i := 0; i+1 < len(state); i += 2 {
			if state[i] == "runid" && state[i+1] != "" {
				return nil
			}
		}
		return fmt.Errorf("it knows %v", state)
	})
	replicas, err := sentinel.Do(t.Context(), "SENTINEL", "REPLICAS", "primary").Slice()
	if err != nil || len(replicas) > 0 {
		t.Errorf("Sentinel counts on %v: %v", replicas, err)
	}
}

// TestTheStreamEndsWithTheServer, and with Close.
func TestTheStreamEndsWithTheServer(t *testing.T) {
	server := journaltest.New(t, atOnce)
	link := newLink(t, settingsOf(server))
	f := attach(t, link, "", Point{})
	server.MustKill(t)
	_, err := f.Next()
	if check := link.Explain(err); check.OK || check.Reason != "ConnectionFailed" || !strings.Contains(check.Message, "ended the connection of its replica") {
		t.Errorf("ended with %v, explained as %+v", err, check)
	}
	if _, again := f.Next(); !errors.Is(again, err) {
		t.Errorf("ended with %v, then with %v", err, again)
	}
	programs.Must(t, f.Close())

	server.MustRestart(t)
	f = attach(t, link, "", Point{})
	ended := make(chan error)
	go func() {
		_, err := f.Next()
		ended <- err
	}()
	programs.Must(t, f.Close())
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("a closed stream ends with %v", err)
	}
	programs.Must(t, f.Close())
}

func TestAttachingEndsWithItsContext(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	programs.Must(t, err)
	defer listener.Close()
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		conn, err := listener.Accept()
		if err == nil {
			defer conn.Close()
			cancel()
			<-t.Context().Done()
		}
	}()
	_, err = newLink(t, config.RedisExternal{Addresses: []string{listener.Addr().String()}}).Attach(ctx, "", Point{})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
}
