// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"errors"
	"sync"

	"github.com/redis/go-redis/v9"

	"github.com/writebehind/operator/internal/flusher/config"
)

// faults are what the server answered last to those who read the source; nil where it did what
// was asked.
type faults struct {
	mu sync.Mutex
	// stream is why the stream has ended.
	stream, scan, witness error
}

func (f *faults) clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stream, f.scan, f.witness = nil, nil, nil
}

// ended keeps why the stream has ended; nil where it is read.
func (f *faults) ended(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stream = err
}

// note keeps an error that the server has answered with, until it does what is asked. It
// reports whether the server answers, if it was asked.
func (f *faults) note(refused *error, err error) (answers bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if answers = err == nil || errors.As(err, new(redis.Error)); answers {
		*refused = err
	}
	return answers
}

// explain puts them into the words of a condition.
func (f *faults) explain(primary Primary, server Server) config.Check {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.stream != nil:
		return primary.Explain(f.stream)
	case f.scan != nil:
		return server.Explain(f.scan)
	case f.witness != nil:
		return server.Explain(f.witness)
	}
	return config.Check{OK: true}
}
