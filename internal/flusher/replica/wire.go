// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// answerTimeout is how long an answer may take, and how long the server may not take
	// what is sent.
	answerTimeout = 5 * time.Second
	// silence is how long nothing may arrive of a snapshot or of the stream. A server says
	// something every ten seconds, or every second while a replica waits for a snapshot; its
	// own replicas give up after a minute, too.
	silence = time.Minute
	// longestAnswer is the most of an answer that is kept in memory.
	longestAnswer = 1 << 20
)

// Refusal is an error that the server has answered with.
type Refusal struct {
	// Command is what was asked, in capitals, and Text the server's own text.
	Command, Text string
}

func (r *Refusal) Error() string { return r.Text }

// RedisError marks it as an error that Redis has answered with.
func (*Refusal) RedisError() {}

var _ redis.Error = (*Refusal)(nil)

// wire is the connection of a replica. Reading is for one goroutine, and writing for one.
type wire struct {
	net.Conn
	reader *bufio.Reader
	// patience is how long nothing may arrive.
	patience time.Duration
	// asked is the command that was sent last.
	asked string
	// gathering is of the stream. Answers do not wait for others.
	gathering *gathering
}

func newWire(conn net.Conn) *wire {
	w := &wire{Conn: conn, patience: answerTimeout}
	w.reader = bufio.NewReader(patientReader{w})
	return w
}

// patientReader gives up when nothing arrives for as long as the wire's patience.
type patientReader struct{ wire *wire }

func (p patientReader) Read(b []byte) (int, error) {
	if g := p.wire.gathering; g != nil {
		return g.read(b)
	}
	return p.wire.read(b)
}

func (w *wire) read(b []byte) (int, error) {
	if err := w.SetReadDeadline(time.Now().Add(w.patience)); err != nil {
		return 0, err
	}
	return w.Conn.Read(b)
}

// send sends one command.
func (w *wire) send(words ...string) error {
	w.asked = words[0]
	message := fmt.Appendf(nil, "*%d\r\n", len(words))
	for _, word := range words {
		message = fmt.Appendf(message, "$%d\r\n%s\r\n", len(word), word)
	}
	if err := w.SetWriteDeadline(time.Now().Add(answerTimeout)); err != nil {
		return err
	}
	_, err := w.Write(message)
	return err
}

func (w *wire) ask(words ...string) (string, error) {
	if err := w.send(words...); err != nil {
		return "", err
	}
	return w.answer()
}

// answer reads one answer that is a text. Newlines before it say that the server is there.
func (w *wire) answer() (string, error) {
	line, err := w.line()
	if err != nil {
		return "", err
	}
	switch line[0] {
	case '+':
		return line[1:], nil
	case '-':
		return "", &Refusal{Command: w.asked, Text: line[1:]}
	case '$':
		n, err := strconv.Atoi(line[1:])
		if err != nil || n < 0 || n > longestAnswer {
			break
		}
		text := make([]byte, n+len("\r\n"))
		_, err = io.ReadFull(w.reader, text)
		return string(text[:n]), err
	}
	return "", fmt.Errorf("%w: %s", errNoPrimary, w.asked)
}

// line reads a line that is not empty, without its end.
func (w *wire) line() (string, error) {
	for {
		text, err := w.reader.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			return "", fmt.Errorf("%w: %s, a line without an end", errNoPrimary, w.asked)
		}
		if err != nil {
			return "", err
		}
		if line := strings.TrimRight(string(text), "\r\n"); line != "" {
			return line, nil
		}
	}
}

// markLength is the length of the mark by which a snapshot ends whose length the server did
// not know when it began.
const markLength = 40

// passSnapshot reads up to the end of a snapshot. Nothing in it is needed.
func (w *wire) passSnapshot() error {
	line, err := w.line()
	if err != nil {
		return err
	}
	if mark, ok := strings.CutPrefix(line, "$EOF:"); ok && len(mark) == markLength {
		return passMark(w.reader, []byte(mark))
	}
	length, isLength := strings.CutPrefix(line, "$")
	n, err := strconv.ParseInt(length, 10, 64)
	if !isLength || err != nil || n < 0 {
		return fmt.Errorf("%w: no snapshot", errNoPrimary)
	}
	_, err = io.CopyN(io.Discard, w.reader, n)
	return err
}

// passMark reads up to the end of the mark.
func passMark(r *bufio.Reader, mark []byte) error {
	last := make([]byte, 0, len(mark))
	for {
		b, err := r.ReadByte()
		if err != nil {
			return err
		}
		if len(last) == len(mark) {
			last = append(last[:0], last[1:]...)
		}
		if last = append(last, b); bytes.Equal(last, mark) {
			return nil
		}
	}
}
