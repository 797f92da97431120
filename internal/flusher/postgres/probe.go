// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// longestProbe bounds one check of the server: a server that hangs is to be reported within
// a few seconds, and every mapping's table is checked in turn.
const longestProbe = 3 * time.Second

// prober is the connection that checks the server. It is none of the pool's:
// there it would wait for batches, and a loaded database, or one that hangs in
// the middle of them, would look like one that is away.
type prober struct {
	source *source
	// turn is held by the caller that checks.
	turn chan struct{}
	conn *pgx.Conn
	// made is when the connection was made.
	made time.Time
}

func newProber(s *source) *prober {
	return &prober{source: s, turn: make(chan struct{}, 1)}
}

// use runs f on the connection. One that was there before may have been closed
// by the server since, which says nothing of now: then f runs once more, on a new
// one.
func (p *prober) use(ctx context.Context, f func(context.Context, *pgx.Conn) error) error {
	select {
	case p.turn <- struct{}{}:
		defer func() { <-p.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if p.conn != nil && (!p.source.made(p.conn) || time.Since(p.made) > lifeTime) {
		p.drop()
	}
	for {
		reused := p.conn != nil
		if err := p.connect(ctx); err != nil {
			return err
		}
		err := f(ctx, p.conn)
		lost := p.conn.IsClosed()
		if lost || p.conn.PgConn().TxStatus() != 'I' {
			p.drop()
		}
		if !reused || !lost || ctx.Err() != nil {
			return err
		}
	}
}

func (p *prober) connect(ctx context.Context) error {
	if p.conn != nil {
		return nil
	}
	c, err := p.source.config()
	if err != nil {
		return err
	}
	// Every host must have its turn within one check.
	within := longestProbe
	if deadline, ok := ctx.Deadline(); ok {
		within = time.Until(deadline)
	}
	c.ConnectTimeout = min(c.ConnectTimeout, within/time.Duration(1+len(c.Fallbacks)))
	p.conn, err = pgx.ConnectConfig(ctx, c)
	p.made = time.Now()
	return p.source.connecting(err)
}

// drop closes the connection without waiting for anybody.
func (p *prober) drop() {
	expired, cancel := context.WithTimeout(context.Background(), 0)
	defer cancel()
	_ = p.conn.Close(expired)
	p.conn = nil
}

func (p *prober) close() {
	p.turn <- struct{}{}
	if p.conn != nil {
		p.drop()
	}
}

// probe checks the server within the bounds of one check.
func (d *Database) probe(ctx context.Context, f func(context.Context, *pgx.Conn) error) error {
	ctx, cancel := context.WithTimeout(ctx, d.probeTimeout)
	defer cancel()
	err := d.prober.use(ctx, f)
	if cancelled(err) {
		return tooSlow(err, d.inspectTimeout())
	}
	return err
}
