// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"syscall"
)

// Stream is what a primary tells a replica. Next is for one goroutine, the other methods are
// for any.
type Stream struct {
	wire    *wire
	begun   beginning
	parser  *parser
	reading *reading
	// read is the offset behind the last command that was told, and err what the stream has
	// ended with.
	read int64
	err  error

	interest  atomic.Pointer[Interest]
	committed atomic.Int64
	// wake makes the acknowledgement go out at once.
	wake chan struct{}
	// life ends with Close, and acknowledged is closed when nothing more goes out.
	life         context.Context
	end          context.CancelFunc
	acknowledged chan struct{}
}

// errCut means that the server has ended the connection.
var errCut = errors.New("the server has ended the connection")

func newStream(w *wire, begun beginning, commands catalogue) *Stream {
	s := &Stream{
		wire: w, begun: begun, parser: newParser(begun.at.Offset, usualBuffer), reading: newReading(commands, begun.at), read: begun.at.Offset,
		wake: make(chan struct{}, 1), acknowledged: make(chan struct{}),
	}
	w.gathering = newGathering(w)
	s.life, s.end = context.WithCancel(context.Background())
	s.interest.Store(&Interest{})
	go s.acknowledge()
	return s
}

// ID is the server's name of the history.
func (s *Stream) ID() string { return s.begun.id }

// Continued tells whether the history is the one that was asked for, under its id or
// another one.
func (s *Stream) Continued() bool { return s.begun.continued }

// Start is where the stream began.
func (s *Stream) Start() Point { return s.begun.at }

// Watch says which effects are told of all that the server sends from now on. Before, there
// are none.
func (s *Stream) Watch(i Interest) { s.interest.Store(&i) }

// Next waits for whole commands and returns their effects, which are valid until it is
// called again. After an error there are no more: whoever attaches at the last safe point
// goes on where they ended.
func (s *Stream) Next() (Batch, error) {
	s.reading.reset()
	for from := s.read; ; {
		if s.err != nil {
			return Batch{}, s.err
		}
		// What is in the buffer arrived before a call of Watch that is not seen here.
		s.reading.interest = s.interest.Load()
		s.err = s.failed(s.takeAll())
		if s.reading.asked {
			s.reading.asked = false
			s.hurry()
		}
		if s.read > from || len(s.reading.effects) > 0 {
			return Batch{Effects: s.reading.effects, Safe: s.reading.safe, Read: s.read}, nil
		}
		if s.err == nil {
			s.err = s.failed(s.parser.fill(s.wire.reader))
		}
	}
}

// takeAll reads the commands that are whole, as long as there is room for their effects.
func (s *Stream) takeAll() error {
	for !s.reading.full() {
		var whole bool
		var err error
		if s.reading.left > 0 {
			whole, err = s.reading.rest(s.life)
		} else {
			var command arguments
			if command, whole, err = s.parser.next(); whole {
				whole, err = s.reading.take(s.life, command, s.parser.offset)
			}
		}
		if !whole {
			return err
		}
		s.read = s.parser.offset
	}
	return nil
}

func (s *Stream) failed(err error) error {
	switch {
	case err == nil:
		return nil
	case s.begun.continued && s.read == s.begun.at.Offset && errors.Is(err, errNoCommand):
		return fmt.Errorf("%w: %w", ErrMisaligned, err)
	case s.life.Err() != nil:
		err = net.ErrClosed
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, net.ErrClosed):
		// Where sending has failed, it has closed the connection.
		err = fmt.Errorf("%w: %w", errCut, err)
	}
	return fmt.Errorf("read the stream of replication: %w", err)
}

// Close ends the stream, and a Next that waits with net.ErrClosed.
func (s *Stream) Close() error {
	s.end()
	err := s.wire.Close()
	<-s.acknowledged
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
