// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// redisWire understands as much of Redis' protocol as it takes to tell the calls
// of the engine apart: "claim", "ack", "enter" and "beat", and of acknowledgements
// also "ack-refused" and "ack-dead" by the outcomes that they hold.
type redisWire struct {
	mu sync.Mutex
	// asked are the names of requests without an answer yet.
	asked [][]string
}

var engineCalls = map[string]string{
	"wb_engine_claim": "claim", "wb_engine_more": "more", "wb_engine_settle": "ack", "wb_engine_begin": "enter", "wb_engine_beat": "beat",
}

// firstOutcome is where the outcomes begin in FCALL wb_engine_settle 0 and its settings.
const firstOutcome = 4

func namesOf(args []string) []string {
	if len(args) < 2 || !strings.EqualFold(args[0], "fcall") || engineCalls[args[1]] == "" {
		return nil
	}
	names := []string{engineCalls[args[1]]}
	if names[0] == "ack" {
		for _, outcome := range args[min(firstOutcome, len(args)):] {
			switch {
			case outcome[0] == 'r' && !slices.Contains(names, "ack-refused"):
				names = append(names, "ack-refused")
			case outcome[0] == 'x' && !slices.Contains(names, "ack-dead"):
				names = append(names, "ack-dead")
			}
		}
	}
	return names
}

func (r *redisWire) requests(l *link) {
	in := bufio.NewReader(l.client)
	for {
		var raw bytes.Buffer
		args, err := readValue(in, &raw)
		if err != nil {
			return
		}
		names := namesOf(args)
		if l.request(names...) != pass {
			return
		}
		r.mu.Lock()
		r.asked = append(r.asked, names)
		r.mu.Unlock()
		if _, err := l.upstream.Write(raw.Bytes()); err != nil {
			return
		}
	}
}

func (r *redisWire) answers(l *link) {
	in := bufio.NewReader(l.upstream)
	for {
		var raw bytes.Buffer
		if _, err := readValue(in, &raw); err != nil {
			return
		}
		var names []string
		if raw.Bytes()[0] != '>' {
			r.mu.Lock()
			names, r.asked = r.asked[0], r.asked[1:]
			r.mu.Unlock()
		}
		if !l.answer(raw.Bytes(), true, names...) {
			return
		}
	}
}

// readValue copies one value of the protocol to raw and returns the texts in it.
func readValue(in *bufio.Reader, raw *bytes.Buffer) ([]string, error) {
	line, err := in.ReadString('\n')
	if err != nil {
		return nil, err
	}
	raw.WriteString(line)
	body := strings.TrimRight(line[1:], "\r\n")
	switch line[0] {
	case '$', '=', '!':
		n, err := strconv.Atoi(body)
		if err != nil || n < 0 {
			return nil, err
		}
		text := make([]byte, n+2)
		if _, err := io.ReadFull(in, text); err != nil {
			return nil, err
		}
		raw.Write(text)
		return []string{string(text[:n])}, nil
	case '*', '%', '~', '>':
		n, err := strconv.Atoi(body)
		if line[0] == '%' {
			n *= 2
		}
		var all []string
		for range n {
			texts, err := readValue(in, raw)
			if err != nil {
				return nil, err
			}
			all = append(all, texts...)
		}
		return all, err
	}
	return nil, nil
}

// postgresWire understands as much of PostgreSQL's protocol as it takes to tell
// the messages of a batch and of a take-over apart. Requests of a batch: "begin",
// "move" (the ledger's statement arrives), "values" (the rows arrive), "tail"
// (the ledger is to be moved), "rows", "commit", "sync"; its answers: "moved",
// "written", "committed", "refused". Of a take-over: "raise", "raise-commit";
// "raised", "raise-committed".
type postgresWire struct {
	mu sync.Mutex
	// role is what the transaction under way is for, moved whether its ledger row
	// was.
	role  string
	moved bool
}

const (
	roleBatch = "batch"
	roleRaise = "raise"
)

func (p *postgresWire) requests(l *link) {
	head := make([]byte, 5)
	if err := passStartup(l, head[:4]); err != nil {
		return
	}
	for {
		raw, err := readMessage(l.client, head)
		if err != nil {
			return
		}
		name := p.requestName(raw)
		switch l.request(name) {
		case drop:
			return
		case part:
			if _, err = l.upstream.Write(raw[:len(raw)/2]); err == nil {
				l.request(name)
			}
			return
		case prompt:
			// Flush: the server answers what it has done, and the rest of the batch
			// never comes.
			_, err = l.upstream.Write([]byte{'H', 0, 0, 0, 4})
			_, _ = io.Copy(io.Discard, l.client)
		case pass:
			_, err = l.upstream.Write(raw)
		}
		if err != nil {
			return
		}
	}
}

func passStartup(l *link, head []byte) error {
	if _, err := io.ReadFull(l.client, head); err != nil {
		return err
	}
	rest := make([]byte, binary.BigEndian.Uint32(head)-4)
	if _, err := io.ReadFull(l.client, rest); err != nil {
		return err
	}
	_, err := l.upstream.Write(slices.Concat(head, rest))
	return err
}

func readMessage(in io.Reader, head []byte) ([]byte, error) {
	if _, err := io.ReadFull(in, head); err != nil {
		return nil, err
	}
	length := binary.BigEndian.Uint32(head[1:])
	if length < 4 {
		return nil, errors.New("a message shorter than its own length")
	}
	raw := make([]byte, length+1)
	copy(raw, head)
	_, err := io.ReadFull(in, raw[5:])
	return raw, err
}

func (p *postgresWire) requestName(raw []byte) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	body := raw[5:]
	switch raw[0] {
	case 'P', 'Q':
		text := string(body)
		switch {
		case raw[0] == 'P' && strings.Contains(text, "BEGIN ISOLATION LEVEL READ COMMITTED"):
			p.role, p.moved = roleBatch, false
			return "begin"
		case strings.Contains(text, "SET flush = $5"):
			return "move"
		case strings.Contains(text, "DO UPDATE SET epoch"):
			p.role = roleRaise
			return "raise"
		case p.role == roleRaise && strings.HasPrefix(text, "commit"):
			return "raise-commit"
		}
	case 'B':
		if p.role == roleBatch && len(body) > 0 && body[0] == 'u' {
			return "values"
		}
	case 'E':
		if p.role != roleBatch {
			return ""
		}
		switch body[0] {
		case 'l':
			return "tail"
		case 'u':
			return "rows"
		case 'c':
			return "commit"
		}
	case 'S':
		if p.role == roleBatch {
			return "sync"
		}
	}
	return ""
}

func (p *postgresWire) answers(l *link) {
	head := make([]byte, 5)
	for {
		raw, err := readMessage(l.upstream, head)
		if err != nil {
			return
		}
		if !l.answer(raw, raw[0] == 'Z', p.answerName(raw)) {
			return
		}
	}
}

func (p *postgresWire) answerName(raw []byte) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch raw[0] {
	case 'Z':
		if raw[5] == 'I' {
			p.role = ""
		}
	case 'E':
		if p.role == roleBatch {
			return "refused"
		}
	case 'C':
		tag := string(raw[5 : len(raw)-1])
		switch {
		case p.role == roleBatch && tag == "COMMIT":
			return "committed"
		case p.role == roleBatch && p.moved:
			return "written"
		case p.role == roleBatch && tag == "UPDATE 1":
			p.moved = true
			return "moved"
		case p.role == roleRaise && tag == "COMMIT":
			return "raise-committed"
		case p.role == roleRaise && tag == "INSERT 0 1":
			return "raised"
		}
	}
	return ""
}
