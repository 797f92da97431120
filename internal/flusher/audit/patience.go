// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"time"

	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/entry"
)

// How often a server is asked, and what it is left to in between at first: a comparison that
// takes hours must outlast a restart or a busy moment, and a person waits a few seconds at most
// for the answer that it is away.
const (
	mostAsks   = 4
	firstPause = 500 * time.Millisecond
)

// patiently asks a server again that was away, or busy. It is for what changes nothing.
func patiently[T any](ctx context.Context, ask func() (T, error)) (T, error) {
	for asks, pause := 1, firstPause; ; asks, pause = asks+1, 2*pause {
		answer, err := ask()
		if err == nil || asks == mostAsks || !passes(err) {
			return answer, err
		}
		select {
		case <-ctx.Done():
			return answer, err
		case <-time.After(pause):
		}
	}
}

// passes tells of an error whether the next ask may do better: of PostgreSQL by its kind, of Redis
// if it has not answered, or reads its data still.
func passes(err error) bool {
	if _, asked := errors.AsType[databaseError](err); asked {
		return false
	}
	if fault, ok := errors.AsType[*entry.Fault](err); ok {
		return fault.Kind == entry.Transient || fault.Kind == entry.Contention
	}
	var network net.Error
	return errors.As(err, &network) || errors.Is(err, io.EOF) || strings.Contains(err.Error(), "LOADING ")
}

// look is the source's, which may take more than one ask.
func (v *verification) look(ctx context.Context, m *config.Mapping, keys []string) ([]known, error) {
	return patiently(ctx, func() ([]known, error) { return v.source.look(ctx, m, keys) })
}

const (
	// longestPatience is as long as a person waits for an answer.
	longestPatience = 20 * time.Second
	// shortPatience is what is left of it for a stream that still stands where it was waited for
	// in vain: the next look would find the same.
	shortPatience = 2 * time.Second
)

// patience is how long the stream of replication is waited for.
type patience struct {
	// long is two intervals of flushing, and what a batch and a beat of the source take.
	long time.Duration
	// id and offset are where the stream stood when it was waited for in vain.
	id     string
	offset int64
}

// over tells whether it is in vain to wait any longer for a stream that has come so far. One that
// goes on is waited for as long as ever.
func (p *patience) over(waited time.Duration, id string, offset int64) bool {
	stands := p.offset > 0 && id == p.id && offset == p.offset
	if waited <= p.long && (!stands || waited <= shortPatience) {
		return false
	}
	p.id, p.offset = id, offset
	return true
}
