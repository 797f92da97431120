// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"context"

	"github.com/writebehind/operator/internal/flusher/config"
)

// Primary is the server as a replica sees it.
type Primary interface {
	// Attach begins to read the stream. With the id of a history and a point in it the
	// server goes on from there if it can; otherwise, and with no id, a full resync begins a
	// history at a point of the server's choice.
	Attach(ctx context.Context, id string, at Point) (Replication, error)
	// Explain puts an error of Attach or Next into the words of a condition.
	Explain(err error) config.Check
}

// Replication is a stream that is read. One goroutine calls Next, any the others.
type Replication interface {
	// ID is the server's name of the history, Continued tells whether the stream goes on
	// from the point that was asked for, and Start where it begins.
	ID() string
	Continued() bool
	Start() Point
	// Watch says what is told from now on. It comes before the first Next.
	Watch(Interest)
	// Next waits for the next commands of the stream. What it returns is good until it is
	// called again.
	Next() (Batch, error)
	// Acknowledge tells the server that everything up to the offset is kept. It never takes
	// back what was acknowledged, and does not block. Nothing is acknowledged before.
	Acknowledge(offset int64)
	// Close ends Next.
	Close() error
}

// PrimaryOf is the server that a link attaches to.
func PrimaryOf(l *Link) Primary { return linked{l} }

type linked struct{ *Link }

// Attach is the link's.
func (l linked) Attach(ctx context.Context, id string, at Point) (Replication, error) {
	s, err := l.Link.Attach(ctx, id, at)
	if err != nil {
		return nil, err
	}
	return s, nil
}
