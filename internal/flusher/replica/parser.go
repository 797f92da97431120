// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"errors"
	"fmt"
	"io"
)

const (
	// usualBuffer is the memory of a stream whose commands are short, and so what one read
	// takes at most.
	usualBuffer = 128 << 10
	// mostKept is how many bytes of one command are kept. An argument that would pass it is
	// read over: it is far longer than what becomes a row, and a command of a gigabyte must
	// not end the flusher.
	mostKept = 16 << 20
	// mostArguments is how many arguments of one command are kept.
	mostArguments = 1 << 20
	// mostDigits are more than any server takes in a length or a number of arguments, and few
	// enough for a sum of them.
	mostDigits = 15
)

// errNoCommand is the error of a stream that is out of step, or none of replication.
var errNoCommand = errors.New("what arrives is no command")

// parser takes the stream apart into commands. What it keeps of one is in its buffer until
// the next fill.
type parser struct {
	// buffer has room for usual bytes, or for what is kept of a larger command.
	buffer []byte
	usual  int
	// begin is where the command begins that is being read, and at where reading goes on.
	begin, at int
	// offset is the stream's behind the last whole command. dropped is how many bytes of the
	// one that is being read have left the buffer.
	offset, dropped int64

	// missing is how many arguments are yet to come, or -1 where their number is yet to come.
	missing int
	// length is that of the argument which comes, its line's end included, or -1.
	length int64
	// over is true while an argument is read over. cut is true once one was: kept is then
	// the end of what is kept of the command, and what lies between it and at is of no use.
	over, cut bool
	kept      int
	spans     []span
	count     int
}

// span is where an argument lies in the buffer. One that was read over has no place.
type span struct{ from, to int }

// arguments are those of one command, the first being its name.
type arguments struct {
	buffer []byte
	spans  []span
	// count is how many there are, also of those beyond the ones that are kept.
	count int
}

// of returns an argument, or nil where it was not kept.
func (a arguments) of(i int) []byte {
	if i >= len(a.spans) || a.spans[i].from < 0 {
		return nil
	}
	s := a.spans[i]
	return a.buffer[s.from:s.to:s.to]
}

func newParser(offset int64, usual int) *parser {
	return &parser{buffer: make([]byte, 0, usual), usual: usual, offset: offset, missing: -1, length: -1}
}

// next goes on with what has arrived. whole is false where a command is not there to its
// end, or not at all: then the buffer has to be filled.
func (p *parser) next() (command arguments, whole bool, err error) {
	if p.missing < 0 {
		n, ok, err := p.line('*')
		if !ok {
			return arguments{}, false, err
		}
		if n == 0 {
			return arguments{}, false, fmt.Errorf("%w: it has no name", errNoCommand)
		}
		p.missing, p.count = int(n), int(n)
		if p.spans = p.spans[:0]; cap(p.spans) > p.usual {
			p.spans = nil
		}
	}
	for p.missing > 0 {
		if p.length < 0 {
			n, ok, err := p.line('$')
			if !ok {
				return arguments{}, false, err
			}
			p.announce(n)
		}
		if p.over {
			if !p.pass() {
				return arguments{}, false, nil
			}
		} else if ok, err := p.keep(); !ok {
			return arguments{}, false, err
		}
		p.missing--
		p.length = -1
	}
	p.offset += int64(p.at-p.begin) + p.dropped
	p.begin, p.dropped, p.missing, p.cut = p.at, 0, -1, false
	return arguments{buffer: p.buffer, spans: p.spans, count: p.count}, true, nil
}

// line reads a line of a sign and a number.
func (p *parser) line(sign byte) (n int64, whole bool, err error) {
	rest := p.buffer[p.at:]
	if len(rest) == 0 {
		return 0, false, nil
	}
	if rest[0] != sign {
		return 0, false, fmt.Errorf("%w: it has the byte %q where %q is due", errNoCommand, rest[0], sign)
	}
	i := 1
	for i < len(rest) && rest[i]-'0' <= 9 {
		n = n*10 + int64(rest[i]-'0')
		i++
	}
	switch {
	case i > mostDigits+1, i < len(rest) && (i == 1 || rest[i] != '\r'), i+1 < len(rest) && rest[i+1] != '\n':
		return 0, false, fmt.Errorf("%w: a length in it is no number", errNoCommand)
	case i+1 >= len(rest):
		return 0, false, nil
	}
	p.at += i + 2
	return n, true, nil
}

// announce decides whether the argument of the length, which comes, is kept.
func (p *parser) announce(n int64) {
	end := p.at
	if p.cut {
		end = p.kept
	}
	p.length = n + 2
	p.over = len(p.spans) == mostArguments || int64(end-p.begin)+p.length > mostKept
	if p.over && !p.cut {
		p.cut, p.kept = true, p.at
	}
}

// keep notes an argument once it is there to its end.
func (p *parser) keep() (whole bool, err error) {
	from, end := p.at, p.at+int(p.length)
	if end > len(p.buffer) {
		return false, nil
	}
	if p.buffer[end-2] != '\r' || p.buffer[end-1] != '\n' {
		return false, fmt.Errorf("%w: an argument in it is not as long as it says", errNoCommand)
	}
	to := end - 2
	if p.cut {
		from, to = p.kept, p.kept+copy(p.buffer[p.kept:], p.buffer[from:to])
		p.kept = to
	}
	p.spans = append(p.spans, span{from, to})
	p.at = end
	return true, nil
}

// pass reads an argument over.
func (p *parser) pass() (whole bool) {
	n := min(p.length, int64(len(p.buffer)-p.at))
	p.at += int(n)
	p.length -= n
	if p.length > 0 {
		return false
	}
	if len(p.spans) < mostArguments {
		p.spans = append(p.spans, span{-1, -1})
	}
	return true
}

// fill reads once. What next has returned before is no longer valid.
func (p *parser) fill(r io.Reader) error {
	p.compact()
	if due := len(p.buffer) + p.due(); due > cap(p.buffer) {
		grown := make([]byte, len(p.buffer), max(due, 2*cap(p.buffer)))
		copy(grown, p.buffer)
		p.buffer = grown
	}
	n, err := r.Read(p.buffer[len(p.buffer):cap(p.buffer)])
	p.buffer = p.buffer[:len(p.buffer)+n]
	if n > 0 {
		// An error comes again with the next read.
		return nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

// due is how much room the next read should find: enough for the argument that comes, and
// not so little that reads become many.
func (p *parser) due() int {
	least := p.usual / 4
	if p.length < 0 || p.over {
		return least
	}
	return max(least, int(p.length)-(len(p.buffer)-p.at))
}

// compact moves what is left of the buffer to its front.
func (p *parser) compact() {
	if p.cut {
		p.dropped += int64(p.at - p.kept)
		p.buffer = p.buffer[:p.kept+copy(p.buffer[p.kept:], p.buffer[p.at:])]
		p.at = p.kept
	}
	moved := p.begin
	left := p.buffer[moved:]
	if len(left) < p.usual/2 && cap(p.buffer) > 8*p.usual {
		// A large command has passed: its memory is given back.
		p.buffer = append(make([]byte, 0, p.usual), left...)
	} else {
		p.buffer = p.buffer[:copy(p.buffer, left)]
	}
	p.begin, p.at, p.kept = 0, p.at-moved, p.kept-moved
	if p.missing < 0 {
		return
	}
	for i := range p.spans {
		if p.spans[i].from >= 0 {
			p.spans[i].from -= moved
			p.spans[i].to -= moved
		}
	}
}
