// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

// stream is commands as a server sends them.
func stream(commands ...[]string) []byte {
	var b []byte
	for _, words := range commands {
		b = fmt.Appendf(b, "*%d\r\n", len(words))
		for _, word := range words {
			b = fmt.Appendf(b, "$%d\r\n%s\r\n", len(word), word)
		}
	}
	return b
}

// parsed is a command as it was parsed: nil is an argument that was not kept.
type parsed struct {
	Arguments []any
	Count     int
	Offset    int64
}

// parse reads everything that there is, and returns the error which ends it.
func parse(p *parser, r io.Reader) (all []parsed, err error) {
	for {
		command, whole, err := p.next()
		switch {
		case err != nil:
			return all, err
		case !whole:
			if err := p.fill(r); err != nil {
				return all, err
			}
			continue
		}
		one := parsed{Count: command.count, Offset: p.offset}
		for i := range command.spans {
			if argument := command.of(i); argument != nil {
				one.Arguments = append(one.Arguments, string(argument))
			} else {
				one.Arguments = append(one.Arguments, nil)
			}
		}
		all = append(all, one)
	}
}

func TestParserReadsCommandsHoweverTheyArrive(t *testing.T) {
	const begin = 100
	var text []byte
	var want []parsed
	for _, words := range [][]string{{"SELECT", "0"}, {"SET", "k", "line\r\nline $3\r\n*1"}, {"PING"}, {"SET", "", ""}} {
		text = append(text, stream(words)...)
		one := parsed{Count: len(words), Offset: begin + int64(len(text))}
		for _, word := range words {
			one.Arguments = append(one.Arguments, word)
		}
		want = append(want, one)
	}
	for name, reader := range map[string]io.Reader{
		"at once":     bytes.NewReader(text),
		"by bytes":    iotest.OneByteReader(bytes.NewReader(text)),
		"by halves":   iotest.HalfReader(bytes.NewReader(text)),
		"with an end": iotest.DataErrReader(bytes.NewReader(text)),
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parse(newParser(begin, usualBuffer), reader)
			if !errors.Is(err, io.EOF) {
				t.Errorf("ended with %v", err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestParserRefusesWhatIsNoCommand: a stream that is out of step is noticed at once, and
// never waited on.
func TestParserRefusesWhatIsNoCommand(t *testing.T) {
	for _, text := range []string{
		"PING\r\n", "\n", "-ERR no\r\n", "*0\r\n", "*-1\r\n", "*\r\n", "*1 \r\n", "*1\n", "*1\rx", "*1234567890123456\r\n",
		"*1\r\nPING\r\n", "*1\r\n$-1\r\n", "*1\r\n$x\r\n", "*1\r\n$1\r\nPING\r\n", "*1\r\n$3\r\nPI\r\n\r\n", "*1\r\n$4\r\nPING*1",
		"*1\r\n$18446744073709551617\r\n",
	} {
		if got, err := parse(newParser(0, usualBuffer), strings.NewReader(text)); !errors.Is(err, errNoCommand) || len(got) > 0 {
			t.Errorf("%q: read %v, ended with %v", text, got, err)
		}
	}
}

// TestParserKeepsNoMoreThanIsOfUse: memory stays bounded whatever a command holds, and
// offsets right.
func TestParserKeepsNoMoreThanIsOfUse(t *testing.T) {
	half, beyond := strings.Repeat("v", mostKept/2), strings.Repeat("x", 3*mostKept)
	text := stream(
		[]string{"MSET", "a", half, "b", half, "c", "small", "d", beyond, "e", "last"},
		[]string{"SET", "k", beyond},
		[]string{"SET", "k", "v"},
	)
	p := newParser(7, usualBuffer)
	got, err := parse(p, iotest.HalfReader(bytes.NewReader(text)))
	if !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	want := []parsed{
		{[]any{"MSET", "a", half, "b", nil, "c", "small", "d", nil, "e", "last"}, 11, got[0].Offset},
		{[]any{"SET", "k", nil}, 3, got[1].Offset},
		{[]any{"SET", "k", "v"}, 3, 7 + int64(len(text))},
	}
	if !cmp.Equal(want, got) {
		t.Errorf("read %.200v", got)
	}
	if got[2].Offset-got[1].Offset != int64(len(stream([]string{"SET", "k", "v"}))) {
		t.Errorf("the last command ends at %d, the one before at %d", got[2].Offset, got[1].Offset)
	}
	if cap(p.buffer) > 2*mostKept+usualBuffer {
		t.Errorf("%d bytes are kept", cap(p.buffer))
	}
	if _, err := parse(p, bytes.NewReader(text[len(text)-27:])); !errors.Is(err, io.EOF) || cap(p.buffer) > 8*usualBuffer {
		t.Errorf("%d bytes are kept when the large command is long over: %v", cap(p.buffer), err)
	}
}

func TestParserKeepsNoMoreArgumentsThanAreOfUse(t *testing.T) {
	var text []byte
	text = fmt.Appendf(text, "*%d\r\n", 3*mostArguments)
	text = append(text, bytes.Repeat([]byte("$1\r\na\r\n"), 3*mostArguments)...)
	text = append(text, stream([]string{"PING"})...)
	p := newParser(0, usualBuffer)
	most := 0
	var got []parsed
	r := bytes.NewReader(text)
	for len(got) < 2 {
		command, whole, err := p.next()
		if err != nil {
			t.Fatal(err)
		}
		most = max(most, cap(p.buffer))
		if whole {
			got = append(got, parsed{Count: command.count, Offset: p.offset})
			if len(command.spans) > mostArguments {
				t.Errorf("%d arguments are kept", len(command.spans))
			}
			continue
		}
		if err := p.fill(r); err != nil {
			t.Fatal(err)
		}
	}
	if want := []parsed{{nil, 3 * mostArguments, int64(len(text) - 14)}, {nil, 1, int64(len(text))}}; !cmp.Equal(want, got) {
		t.Errorf("read %v, want %v", got, want)
	}
	if most > 2*mostKept+usualBuffer {
		t.Errorf("%d bytes were kept", most)
	}
}

// smallBuffer has every command at an edge of it.
const smallBuffer = 32

// FuzzParser: whatever arrives, and in whatever pieces, is read as the same commands up to
// the same error, no byte is counted that was not read, and what is told of them has its
// bounds.
func FuzzParser(f *testing.F) {
	for saying := range sayings {
		f.Add(stream(commandsOf("MULTI|"+saying+"|EXEC|"+saying)...), uint16(3))
	}
	f.Add(stream(commandsOf("MSET a|HSETEX k FIELDS 9 f|HSETEX k FIELDS -9 f|DEL|ZADD k|XADD k MAXLEN|SELECT x|COPY k|SWAPDB|k")...), uint16(7))
	f.Add([]byte("*1\r\n$1048577\r\n"), uint16(2))
	f.Add([]byte("*3\r\n$4\r\nSORT\r\n$-1\r\n"), uint16(2))
	f.Fuzz(func(t *testing.T, text []byte, piece uint16) {
		whole, wholeErr := parse(newParser(0, smallBuffer), bytes.NewReader(text))
		parts, partsErr := parse(newParser(0, smallBuffer), &pieces{text: text, size: 1 + int(piece)})
		// What differs is sought where something does: millions of inputs are tried.
		if !reflect.DeepEqual(whole, parts) || fmt.Sprint(wholeErr) != fmt.Sprint(partsErr) {
			t.Fatalf("at once it ends with %v, in pieces of %d with %v: %s", wholeErr, 1+int(piece), partsErr, cmp.Diff(whole, parts))
		}
		var read int64
		for _, one := range whole {
			if one.Offset <= read || one.Offset > int64(len(text)) || one.Count < 1 {
				t.Fatalf("a command ends at %d, the one before at %d, of %d bytes", one.Offset, read, len(text))
			}
			read = one.Offset
		}
		tellAll(t, text)
	})
}

// tellAll makes effects of a stream.
func tellAll(t *testing.T, text []byte) {
	p, r := newParser(0, smallBuffer), newReading(noCatalogue{}, Point{})
	r.interest = &Interest{Prefixes: []string{"k", "a"}}
	for b := bytes.NewReader(text); ; {
		command, whole, err := p.next()
		switch {
		case err != nil:
			return
		case !whole:
			if p.fill(b) != nil {
				return
			}
			r.reset()
			continue
		}
		if _, err := r.take(t.Context(), command, p.offset); err != nil {
			t.Fatal(err)
		}
		for _, e := range r.effects {
			if e.Before.Offset >= e.Offset || e.Offset > p.offset || (e.Prefix < 0) != (e.Key == nil) {
				t.Fatalf("%+v at %d", e, p.offset)
			}
		}
		if r.safe.Offset > p.offset {
			t.Fatalf("the safe point %v is behind %d", r.safe, p.offset)
		}
	}
}

// pieces hands a text out in pieces of one size.
type pieces struct {
	text []byte
	size int
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.text) == 0 {
		return 0, io.EOF
	}
	n := copy(b[:min(len(b), p.size)], p.text)
	p.text = p.text[n:]
	return n, nil
}
