// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/journal"
)

// noPort is told instead of the port of a replica. Sentinel, which would count the flusher
// among the replicas that may become the primary, drops one above 65535; 0, and a port
// where nobody listens, it keeps for ever.
const noPort = "65536"

const (
	psync    = "PSYNC"
	replconf = "REPLCONF"
)

// errNoPrimary is the error of an answer that no primary gives to a replica.
var errNoPrimary = errors.New("the answer is none of a primary to its replica")

// errUnanswered is the error of a server that says nothing to PSYNC, and may end the connection.
var errUnanswered = errors.New("PSYNC is not answered")

// ErrMisaligned means that the server went on somewhere else than at the point named: the
// point is none of its history, and only a full resync helps.
var ErrMisaligned = errors.New("the stream does not go on where it was left")

// Link attaches to the configured Redis as a replica.
type Link struct {
	settings config.RedisExternal
	connect  func(context.Context) (net.Conn, error)
	client   asked
}

// NewLink is a link to the Redis of the settings. Questions about commands go to the
// client, whose connections are ordinary ones to the same server.
func NewLink(settings config.RedisExternal, client redis.UniversalClient) *Link {
	return &Link{settings: settings, connect: journal.Connector(settings), client: client}
}

// Attach begins to read the stream of the history with the id, at the point. Without an id,
// and where the server does not have the stream from there on, it begins another one: the
// stream says then that it was not continued. That makes the server fork, which it puts off
// while it writes a snapshot. ctx bounds the attaching alone. Explain puts errors into words.
func (l *Link) Attach(ctx context.Context, id string, at Point) (*Stream, error) {
	conn, err := l.connect(ctx)
	if err != nil {
		return nil, fmt.Errorf("attach as a replica: %w", err)
	}
	w := newWire(conn)
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	begun, err := l.greet(w, id, at)
	if !stop() {
		err = context.Cause(ctx)
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("attach as a replica: %w", err)
	}
	return newStream(w, begun, serverCatalogue{l.client}), nil
}

// beginning is what the server answers to a replica.
type beginning struct {
	id        string
	continued bool
	at        Point
}

// greet says what every replica says, in its order, and reads up to where the stream begins.
func (l *Link) greet(w *wire, id string, at Point) (beginning, error) {
	if err := l.login(w); err != nil {
		return beginning{}, err
	}
	info, err := w.ask("INFO")
	if err != nil {
		return beginning{}, err
	}
	// A replica hands the stream on, too, and would be asked for keys that it does not have
	// yet.
	if err := journal.Suits(info); err != nil {
		return beginning{}, err
	}
	for _, about := range [][]string{
		{"listening-port", noPort},
		// A snapshot may come without its length, and a history may go on under another id.
		{"capa", "eof", "capa", "psync2"},
		// No key and no function of the snapshot is wanted.
		{"rdb-filter-only", ""},
	} {
		if _, err := w.ask(append([]string{replconf}, about...)...); err != nil {
			return beginning{}, err
		}
	}
	return l.begin(w, id, at)
}

func (l *Link) login(w *wire) error {
	username, password, err := journal.Credentials(l.settings)
	switch {
	case err != nil:
		return err
	case password == "":
		return nil
	case username == "":
		_, err = w.ask("AUTH", password)
	default:
		_, err = w.ask("AUTH", username, password)
	}
	return err
}

func (l *Link) begin(w *wire, id string, at Point) (beginning, error) {
	question := []string{psync, id, strconv.FormatInt(at.Offset+1, 10)}
	if id == "" {
		question = []string{psync, "?", "-1"}
	}
	if err := w.send(question...); err != nil {
		return beginning{}, err
	}
	// It is answered when a snapshot has begun, and until then with a newline a second.
	w.patience = silence
	answer, err := w.answer()
	var refusal *Refusal
	switch {
	case errors.As(err, &refusal), errors.Is(err, errNoPrimary):
		return beginning{}, err
	case err != nil:
		return beginning{}, fmt.Errorf("%w: %w", errUnanswered, err)
	}
	words := strings.Fields(answer)
	switch {
	case len(words) == 1 && words[0] == "CONTINUE" && id != "":
		return beginning{id: id, continued: true, at: at}, nil
	case len(words) == 2 && words[0] == "CONTINUE" && id != "":
		return beginning{id: words[1], continued: true, at: at}, nil
	case len(words) == 3 && words[0] == "FULLRESYNC":
		offset, err := strconv.ParseInt(words[2], 10, 64)
		if err != nil {
			return beginning{}, fmt.Errorf("%w: the offset of a full resync: %w", errNoPrimary, err)
		}
		return beginning{id: words[1], at: Point{Offset: offset}}, w.passSnapshot()
	}
	return beginning{}, fmt.Errorf("%w: PSYNC", errNoPrimary)
}
