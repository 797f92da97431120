// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/writebehind/operator/internal/flusher/config"
)

const (
	// lookInterval is how often the Sentinels are asked while there are connections: a
	// fail-over that none of them could be heard to tell is noticed as soon.
	lookInterval = time.Second
	// deafTime is how long connections outlive the last word from most of the Sentinels. A
	// look may last a second on top. Sentinels wait for longer before they elect another
	// primary, 30 s unless they are told otherwise and 5 s in many set-ups: so who is cut off
	// with the old one lets it go before there is a new one.
	deafTime = 2 * time.Second
)

// follower makes connections to the primary that the Sentinels tell, and ends them as
// soon as they tell another, or when they are not heard any more. A connection that is open to
// an old primary would otherwise go on: an isolated server is silent to nobody on its own
// side, and takes writes that are lost later.
//
// While there is a connection, or one is being made, the Sentinels are watched. So who
// closes the client ends the watch.
type follower struct {
	settings config.RedisExternal

	mu sync.Mutex
	// users are the connections that are there or being made.
	users     int
	newest    newest
	sentinels *sentinels
	stop      context.CancelFunc
	open      map[*followed]string
}

func follow(settings config.RedisExternal) *follower {
	return &follower{settings: settings, open: make(map[*followed]string)}
}

// followed is a connection to the primary.
type followed struct {
	net.Conn
	ended func()
}

// NetConn is the connection itself.
func (c *followed) NetConn() net.Conn { return c.Conn }

func (c *followed) Close() error {
	defer c.ended()
	return c.Conn.Close()
}

// dial makes a connection for the client library, whatever address that has in mind.
func (f *follower) dial(ctx context.Context, network, _ string) (net.Conn, error) {
	conn, err := f.connect(ctx, network)
	if err != nil {
		return nil, err
	}
	return makePatient(conn.Conn, conn.Close), nil
}

// connect makes a connection to the primary.
func (f *follower) connect(ctx context.Context, network string) (*followed, error) {
	s := f.enter()
	conn, err := f.dialPrimary(ctx, network, s)
	if err != nil {
		f.leave()
		return nil, err
	}
	return conn, nil
}

func (f *follower) dialPrimary(ctx context.Context, network string, s *sentinels) (*followed, error) {
	primary, err := s.ask(ctx)
	if err != nil {
		return nil, err
	}
	conn, err := dial(ctx, f.settings.TLS, network, primary.address)
	if err != nil {
		return nil, &primaryError{master: f.settings.MasterName, address: primary.address, down: primary.down, err: err}
	}
	c := &followed{Conn: conn}
	c.ended = sync.OnceFunc(func() {
		f.mu.Lock()
		delete(f.open, c)
		f.mu.Unlock()
		f.leave()
	})
	f.mu.Lock()
	f.open[c] = primary.address
	f.mu.Unlock()
	return c, nil
}

// verify makes sure that a new connection leads to a primary. An old one that is back, or
// one that is just being replaced, may be told by Sentinels for some seconds.
func verify(ctx context.Context, conn *redis.Conn) error {
	info, err := conn.Info(ctx, "replication").Result()
	if err != nil {
		return err
	}
	return checkRole(info)
}

// enter makes the caller a user, and begins the watch with the first.
func (f *follower) enter() *sentinels {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.users++
	if f.users == 1 {
		ctx, cancel := context.WithCancel(context.Background())
		f.sentinels, f.stop = askSentinels(f.settings, &f.newest), cancel
		go f.watch(ctx, f.sentinels)
	}
	return f.sentinels
}

// leave takes a user away, and ends the watch with the last.
func (f *follower) leave() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.users--
	if f.users == 0 {
		f.stop()
	}
}

// watch ends connections that lead to another server than the primary, until the context
// ends.
func (f *follower) watch(ctx context.Context, s *sentinels) {
	defer s.close()
	heard := make(chan struct{}, 1)
	var listeners sync.WaitGroup
	defer listeners.Wait()
	for i := range s.clients {
		listeners.Go(func() { s.listen(ctx, i, heard) })
	}
	ticker := time.NewTicker(lookInterval)
	defer ticker.Stop()
	last := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-heard:
		case <-ticker.C:
		}
		asking, cancel := context.WithTimeout(ctx, lookInterval)
		primary, err := s.ask(asking)
		cancel()
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			last = time.Now()
			f.keepOnly(primary.address)
		case time.Since(last) > deafTime:
			f.keepOnly("")
		}
	}
}

// keepOnly ends the connections that lead elsewhere. Who waits for an answer on one gets
// an error at once.
func (f *follower) keepOnly(address string) {
	var old []*followed
	f.mu.Lock()
	for c, at := range f.open {
		if at != address {
			old = append(old, c)
		}
	}
	f.mu.Unlock()
	for _, c := range old {
		_ = c.Close()
	}
}

// primaryError says that the primary which the Sentinels tell cannot be reached.
type primaryError struct {
	master, address string
	// down says that they hold it for down too.
	down bool
	err  error
}

func (e *primaryError) Error() string {
	return fmt.Sprintf("connect to %s, the primary of %s: %v", e.address, e.master, e.err)
}

func (e *primaryError) Unwrap() error { return e.err }
