// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/writebehind/operator/test/programs"
)

// arriving is a wire on which the text arrives, and then the end of the connection.
func arriving(t *testing.T, text string) *wire {
	t.Helper()
	near, far := net.Pipe()
	go func() {
		_, _ = io.WriteString(far, text)
		far.Close()
	}()
	t.Cleanup(func() { near.Close() })
	return newWire(near)
}

// TestASnapshotIsReadOver in both forms, up to the very byte at which the stream begins.
func TestASnapshotIsReadOver(t *testing.T) {
	mark := strings.Repeat("0123456789abcdef0123456789abcdef", 2)[:markLength]
	for name, text := range map[string]string{
		"by its length":               "$5\r\nREDISstream",
		"by its length, empty":        "$0\r\nstream",
		"after signs of life":         "\n\n\n$5\r\nREDISstream",
		"by its mark":                 "$EOF:" + mark + "\r\nREDIS" + mark + "stream",
		"by its mark, empty":          "$EOF:" + mark + "\r\n" + mark + "stream",
		"by its mark, which it holds": "$EOF:" + mark + "\r\n" + mark[:markLength-1] + mark[:8] + mark + "stream",
		"by its mark, large":          "$EOF:" + mark + "\r\n" + strings.Repeat("x", 1<<20) + mark + "stream",
	} {
		w := arriving(t, text)
		if err := w.passSnapshot(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if rest, _ := io.ReadAll(w.reader); string(rest) != "stream" {
			t.Errorf("%s: %.20q is left", name, rest)
		}
	}
	for _, text := range []string{"+OK\r\n", "$x\r\n", "$-1\r\n", "$EOF:short\r\n", strings.Repeat("x", 10000)} {
		if err := arriving(t, text).passSnapshot(); !errors.Is(err, errNoPrimary) {
			t.Errorf("%.20q: %v", text, err)
		}
	}
	for _, text := range []string{"", "$5\r\nRED", "$EOF:" + mark + "\r\nREDIS" + mark[1:]} {
		// A pipe whose other end is closed takes no deadline any more, unlike a connection.
		if err := arriving(t, text).passSnapshot(); !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("%.20q, cut off: %v", text, err)
		}
	}
}

func TestAnswersAreReadOneByOne(t *testing.T) {
	w := arriving(t, "\n+OK\r\n$4\r\na\r\nb\r\n\n\n-NOPERM of what\r\n:1\r\n")
	for _, want := range []string{"OK", "a\r\nb"} {
		if got, err := w.answer(); err != nil || got != want {
			t.Errorf("read %q, %v, want %q", got, err, want)
		}
	}
	var refusal *Refusal
	if _, err := w.answer(); !errors.As(err, &refusal) || refusal.Text != "NOPERM of what" {
		t.Errorf("the refusal is read as %v", err)
	}
	if _, err := w.answer(); !errors.Is(err, errNoPrimary) {
		t.Errorf("an answer of another kind is read as %v", err)
	}
	if _, err := arriving(t, "$99999999999\r\n").answer(); !errors.Is(err, errNoPrimary) {
		t.Errorf("an answer without bounds is read as %v", err)
	}
}

// TestSilenceEndsTheWire, but not a server that says something now and then.
func TestSilenceEndsTheWire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		defer near.Close()
		defer far.Close()
		w := newWire(near)
		w.patience = silence
		go func() {
			for range 5 {
				time.Sleep(silence - 1)
				_, _ = far.Write([]byte("\n"))
			}
			_, _ = far.Write([]byte("+CONTINUE\r\n"))
		}()
		if got, err := w.answer(); err != nil || got != "CONTINUE" {
			t.Errorf("read %q, %v", got, err)
		}
		if _, err := w.answer(); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("silence ended with %v", err)
		}
	})
}

// TestAServerThatTakesNothingEndsTheStream: its connection may be dead.
func TestAServerThatTakesNothingEndsTheStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		defer far.Close()
		w := newWire(near)
		w.patience = silence
		began := time.Now()
		s := newStream(w, beginning{}, noCatalogue{})
		if _, err := s.Next(); !errors.Is(err, io.ErrClosedPipe) || time.Since(began) != answerTimeout {
			t.Errorf("ended with %v after %v", err, time.Since(began))
		}
		programs.Must(t, s.Close())
	})
}

// TestAcknowledgementsGoOut closely at first, since the server forgets some, then once a
// second, and at once when there is something new. They are of nothing before something is
// known to be committed, also where a stream goes on.
func TestAcknowledgementsGoOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		s := newStream(newWire(near), beginning{continued: true, at: Point{Offset: 5}}, noCatalogue{})
		heard := make(chan string, 1000)
		go func() {
			p := newParser(0, usualBuffer)
			for {
				command, whole, err := p.next()
				if !whole {
					if err != nil || p.fill(far) != nil {
						return
					}
					continue
				}
				if command.count != 5 || string(command.of(2)) != string(command.of(4)) {
					t.Errorf("%q was sent", p.buffer)
				}
				heard <- string(command.of(2))
			}
		}()
		quiet := func(what string, count int, offset string) {
			t.Helper()
			if len(heard) != count {
				t.Errorf("%s: %d acknowledgements, want %d", what, len(heard), count)
			}
			for len(heard) > 0 {
				if got := <-heard; got != offset {
					t.Errorf("%s: %s is acknowledged, want %s", what, got, offset)
				}
			}
		}
		time.Sleep(acknowledgeFirst*acknowledgeCloses + 1)
		quiet("at first", acknowledgeCloses+1, "0")
		time.Sleep(3 * acknowledgeEvery)
		quiet("later", 3, "0")
		s.Acknowledge(9)
		s.Acknowledge(7)
		synctest.Wait()
		quiet("at a commit", 1, "9")
		s.Acknowledge(9)
		synctest.Wait()
		quiet("at nothing new", 0, "")
		go func() { _, _ = s.Next() }()
		_, _ = far.Write(stream([]string{"REPLCONF", "GETACK", "*"}))
		synctest.Wait()
		quiet("at a question", 1, "9")
		programs.Must(t, s.Close())
	})
}
