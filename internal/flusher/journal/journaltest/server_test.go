// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package journaltest_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/writebehind/operator/internal/flusher/journal/journaltest"
	"github.com/writebehind/operator/test/programs"
)

func TestServersAreApart(t *testing.T) {
	t.Parallel()
	first, second := journaltest.New(t), journaltest.New(t)
	if first.Addr() == second.Addr() {
		t.Fatalf("two servers share the address %s", first.Addr())
	}
	programs.Must(t, first.Client(t).Set(t.Context(), "k", "v", 0).Err())
	if n := second.Client(t).Exists(t.Context(), "k").Val(); n != 0 {
		t.Fatal("a key of the first server is in the second")
	}
}

func TestRestart(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		options []journaltest.Option
		end     func(*journaltest.Server) error
		want    string
	}{
		"always, killed":             {[]journaltest.Option{journaltest.AppendOnly("always")}, (*journaltest.Server).Kill, "v"},
		"everysec, shut down":        {[]journaltest.Option{journaltest.AppendOnly("everysec")}, (*journaltest.Server).Stop, "v"},
		"no append-only file, ended": {nil, (*journaltest.Server).Kill, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := journaltest.New(t, tc.options...)
			client, addr := s.Client(t), s.Addr()
			programs.Must(t, client.Set(t.Context(), "k", "v", 0).Err())
			programs.Must(t, tc.end(s))
			if s.PID() != 0 {
				t.Error("the server is still running")
			}
			if err := client.Ping(t.Context()).Err(); err == nil {
				t.Error("an ended server still answers")
			}
			s.MustRestart(t)
			if s.Addr() != addr {
				t.Errorf("the address has changed from %s to %s", addr, s.Addr())
			}
			if got := client.Get(t.Context(), "k").Val(); got != tc.want {
				t.Errorf("after the restart k is %q, want %q", got, tc.want)
			}
		})
	}
}

func TestPausedServerDoesNotAnswer(t *testing.T) {
	t.Parallel()
	s := journaltest.New(t)
	options := s.Options()
	options.MaxRetries = -1
	options.ReadTimeout = 50 * time.Millisecond
	client := s.ClientWith(t, options)
	programs.Must(t, client.Ping(t.Context()).Err())
	s.Pause()
	if err := client.Ping(t.Context()).Err(); err == nil {
		t.Error("a paused server answers")
	}
	s.Resume()
	programs.Must(t, s.Client(t).Ping(t.Context()).Err())
}

func TestPasswordAndUsers(t *testing.T) {
	t.Parallel()
	s := journaltest.New(t, journaltest.Password(`p"w \d`), journaltest.User("app on >secret ~product:* +@all"))
	programs.Must(t, s.Client(t).Set(t.Context(), "wb:x", "v", 0).Err())
	app := s.ClientAs(t, "app", "secret")
	programs.Must(t, app.Set(t.Context(), "product:1", "v", 0).Err())
	if err := app.Set(t.Context(), "wb:x", "v", 0).Err(); !redis.HasErrorPrefix(err, "NOPERM") {
		t.Errorf("a key outside the user's pattern gave %v, want NOPERM", err)
	}
	options := s.Options()
	options.Password = ""
	if err := s.ClientWith(t, options).Ping(t.Context()).Err(); !redis.HasErrorPrefix(err, "NOAUTH") {
		t.Errorf("a client without password got %v, want NOAUTH", err)
	}
}

func TestMaxMemory(t *testing.T) {
	t.Parallel()
	client := journaltest.New(t, journaltest.MaxMemory("3mb", "noeviction")).Client(t)
	value := strings.Repeat("x", 1<<20)
	var err error
	for i := 0; err == nil && i < 10; i++ {
		err = client.Set(t.Context(), strconv.Itoa(i), value, 0).Err()
	}
	if !redis.HasErrorPrefix(err, "OOM") {
		t.Errorf("filling the memory gave %v, want OOM", err)
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	s := journaltest.New(t, journaltest.RequireClientCertificate())
	programs.Must(t, s.Client(t).Ping(t.Context()).Err())
	for _, file := range []string{s.TLS().CA, s.TLS().ClientCert, s.TLS().ClientKey} {
		if _, err := os.Stat(file); err != nil {
			t.Error(err)
		}
	}
	options := s.Options()
	options.TLSConfig.Certificates = nil
	if err := s.ClientWith(t, options).Ping(t.Context()).Err(); err == nil {
		t.Error("a client without certificate is let in")
	}
	options = s.Options()
	options.TLSConfig = nil
	if err := s.ClientWith(t, options).Ping(t.Context()).Err(); err == nil {
		t.Error("a client without TLS is let in")
	}
}

func TestCloseRemovesTheDirectory(t *testing.T) {
	t.Parallel()
	s, err := journaltest.Start(t.Context(), journaltest.Options{})
	programs.Must(t, err)
	s.Close()
	if _, err := os.Stat(s.Dir()); !os.IsNotExist(err) {
		t.Errorf("the directory %s is still there", s.Dir())
	}
}

func TestStartSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		options journaltest.Options
		want    string
	}{
		"no program":   {journaltest.Options{Binary: "no-such-redis"}, "apt-get install redis-server"},
		"wrong config": {journaltest.Options{Config: []string{"no-such-directive 1"}}, "no-such-directive"},
		"certificates": {journaltest.Options{RequireClientCertificate: true}, "needs TLS"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := journaltest.Start(t.Context(), tc.options)
			if err == nil {
				s.Close()
				t.Fatal("the server was started")
			}
			if !strings.Contains(err.Error(), tc.want) {
				t.Errorf("the error does not name %q: %v", tc.want, err)
			}
		})
	}
}

// childVariable turns a run of the test binary into a process that starts a
// server, says its process id and waits to be killed.
const childVariable = "JOURNALTEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) == "" {
		os.Exit(m.Run())
	}
	s, err := journaltest.Start(context.Background(), journaltest.Options{Dir: os.Getenv(childVariable)})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(s.PID())
	select {}
}

func TestServerEndsWithAKilledTest(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("only Linux ends a child together with its killed parent")
	}
	child := exec.CommandContext(t.Context(), os.Args[0])
	child.Env = append(os.Environ(), childVariable+"="+t.TempDir())
	output, err := child.StdoutPipe()
	programs.Must(t, err)
	programs.Must(t, child.Start())
	line, err := bufio.NewReader(output).ReadString('\n')
	programs.Must(t, err)
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatalf("the child says %q", line)
	}
	programs.Must(t, child.Process.Kill())
	_ = child.Wait()
	tick, deadline := time.Tick(5*time.Millisecond), time.After(10*time.Second)
	for alive(pid) {
		select {
		case <-tick:
		case <-deadline:
			t.Fatalf("redis-server %d has outlived the process that started it", pid)
		}
	}
}

// alive reports whether a process runs; one that only waits to be reaped does not.
func alive(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(stat), ") Z ")
}
