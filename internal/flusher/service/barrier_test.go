// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package service_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/writebehind/operator/api/writebehind"
	"github.com/writebehind/operator/internal/flusher/journal/journaltest"
	"github.com/writebehind/operator/test/programs"
)

// The client's own module requires no server, so that its barrier is tried here.

// conn is one connection of an application.
func (r *replicated) conn() *redis.Conn {
	conn := r.app.Conn()
	r.t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// shortly ends soon after what is tried should have been over.
func shortly(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

// replica starts another server that follows, and waits until it has what there is.
func (r *replicated) replica() *redis.Client {
	r.t.Helper()
	port := strconv.Itoa(r.Redis.Port())
	other := journaltest.New(r.t, journaltest.AppendOnly("always"), journaltest.Config("replicaof 127.0.0.1 "+port)).Client(r.t)
	programs.Usual.Eventually(r.t, "a replica that follows", func() error {
		text, err := other.Info(r.t.Context(), "replication").Result()
		if err != nil || !strings.Contains(text, "master_link_status:up") {
			return fmt.Errorf("it says %s, %w", text, err)
		}
		return nil
	})
	return other
}

func TestWhatIsFlushedIsInTheDatabase(t *testing.T) {
	t.Parallel()
	r := startReplicated(t)
	r.flush()
	for _, others := range []int{0, 1} {
		if others > 0 {
			r.replica()
		}
		var writers sync.WaitGroup
		for writer := range 4 {
			conn := r.conn()
			writers.Go(func() {
				for i := range 10 {
					key := fmt.Sprintf("%d-%d-%d", others, writer, i)
					if err := conn.Set(t.Context(), "product:"+key, `{"name":"x","price":1}`, 0).Err(); err != nil {
						t.Error(err)
						return
					}
					if err := writebehind.Flushed(t.Context(), conn); err != nil {
						t.Error(err)
						return
					}
					if got := r.Database.Value(t, "SELECT count(*) FROM products WHERE id = $1", key); got != "1" {
						t.Errorf("with %d other replicas there are %s rows of %s", others, got, key)
					}
				}
			})
		}
		writers.Wait()
	}
}

// Another replica, which has everything, must not be taken for the database.
func TestWhatIsNotFlushedIsNotToldAsSuch(t *testing.T) {
	t.Parallel()
	r := startReplicated(t)
	f, _ := r.flush()
	conn := r.conn()
	r.must(conn.Set(t.Context(), "product:1", `{"name":"x","price":1}`, 0).Err())
	r.must(writebehind.Flushed(t.Context(), conn))
	suspended := *r.Config
	suspended.Suspend, suspended.Revision = true, 2
	f.Apply(&suspended)
	programs.Usual.Eventually(t, "a flusher that is suspended", func() error {
		if !f.Status().Suspended {
			return errors.New("it is not")
		}
		return nil
	})
	r.must(conn.Set(t.Context(), "product:2", `{"name":"x","price":1}`, 0).Err())
	for range 2 {
		err := writebehind.Flushed(shortly(t), conn)
		if !errors.Is(err, writebehind.ErrNotFlushed) || !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "bytes of the stream") {
			t.Errorf("of a flusher that is suspended it says %v", err)
		}
		r.replica()
	}
	suspended.Suspend, suspended.Revision = false, 3
	f.Apply(&suspended)
	r.must(writebehind.Flushed(t.Context(), conn))
	if got := r.Database.Value(t, "SELECT count(*) FROM products"); got != "2" {
		t.Errorf("there are %s rows", got)
	}
}

func TestADeadLetterIsFlushed(t *testing.T) {
	t.Parallel()
	r := startReplicated(t)
	r.Config.Flush.MaxRetries = 0
	r.flush()
	conn := r.conn()
	r.must(conn.Set(t.Context(), "product:1", "no document", 0).Err())
	r.must(writebehind.Flushed(t.Context(), conn))
	if got := r.Database.Value(t, "SELECT count(*) FROM writebehind.dead_letter"); got != "1" {
		t.Errorf("there are %s dead letters", got)
	}
}

func TestWhoeverCannotKnowSaysSo(t *testing.T) {
	t.Parallel()
	r := startReplicated(t)
	conn := r.conn()
	r.must(conn.Set(t.Context(), "product:1", `{"name":"x"}`, 0).Err())
	err := writebehind.Flushed(shortly(t), conn)
	if !errors.Is(err, writebehind.ErrNoFlusher) || !errors.Is(err, writebehind.ErrNotFlushed) {
		t.Errorf("without a flusher it says %v", err)
	}
	replica := r.replica()
	if err := writebehind.Flushed(shortly(t), conn); !errors.Is(err, writebehind.ErrNoFlusher) || !strings.Contains(err.Error(), "it has other replicas: 1") {
		t.Errorf("of another replica it says %v", err)
	}
	asked := replica.Conn()
	defer func() { _ = asked.Close() }()
	if err := writebehind.Flushed(t.Context(), asked); err == nil || !strings.Contains(err.Error(), "conn leads to a replica") {
		t.Errorf("to a replica it says %v", err)
	}
	r.must(r.app.Do(t.Context(), "ACL", "SETUSER", "app", "on", "nopass", "~*", "+set", "+hello", "+client").Err())
	other := r.Redis.ClientAs(t, "app", "any").Conn()
	defer func() { _ = other.Close() }()
	if err := writebehind.Flushed(t.Context(), other); err == nil || !strings.Contains(err.Error(), "NOPERM") {
		t.Errorf("without a right it says %v", err)
	}
	// Another history begins while it is waited for.
	id := strconv.FormatInt(conn.ClientID(t.Context()).Val(), 10)
	waiting := make(chan error, 1)
	go func() { waiting <- writebehind.Flushed(t.Context(), conn) }()
	programs.Usual.Eventually(t, "a connection that has asked", func() error {
		if list := r.app.Do(t.Context(), "CLIENT", "LIST", "ID", id).String(); !strings.Contains(list, "cmd=info") {
			return errors.New(list)
		}
		return nil
	})
	r.must(r.app.Do(t.Context(), "REPLICAOF", "127.0.0.1", "1").Err())
	r.must(r.app.Do(t.Context(), "REPLICAOF", "NO", "ONE").Err())
	if err := <-waiting; err == nil || !errors.Is(err, writebehind.ErrMoved) && !strings.Contains(err.Error(), "leads to a replica") {
		t.Errorf("of another history it says %v", err)
	}
}
