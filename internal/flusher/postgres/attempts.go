// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// reach is how far an attempt to connect came.
type reach int

const (
	// notThere means that nobody took the connection, or that the host has no address.
	notThere reach = iota
	// taken means that somebody took it, who then said nothing that can be understood.
	taken
	// turnedAway means that PostgreSQL has no line in pg_hba.conf for such a connection.
	turnedAway
	// heard means that a server or a pooler said what is wrong.
	heard
)

func reached(attempt error) reach {
	if server, ok := errors.AsType[*pgconn.PgError](attempt); ok {
		if server.Code == "28000" && server.Routine != ofRole {
			return turnedAway
		}
		return heard
	}
	if errors.Is(attempt, pgconn.ErrReadOnlyConnection) {
		return heard
	}
	if _, ok := errors.AsType[*net.DNSError](attempt); ok || dialling(attempt) {
		return notThere
	}
	return taken
}

// dialling reports whether nobody took the connection.
func dialling(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "dial"
}

// furthest keeps those attempts of a failure to connect that say why it failed. The
// driver makes one attempt with TLS and one without at every address where sslmode leaves
// both open, and joins what became of all: that a server has no TLS is no fault where the
// next attempt does without, and a closed port is none where another address answers.
func furthest(connect *pgconn.ConnectError) error {
	joined, ok := connect.Unwrap().(interface{ Unwrap() []error })
	if !ok {
		return connect
	}
	var kept []error
	places := make(map[string]int)
	for _, attempt := range joined.Unwrap() {
		// The driver has the address of an attempt only in its error's text.
		address, _, _ := strings.Cut(attempt.Error(), " (")
		at, again := places[address]
		switch {
		case !again:
			places[address] = len(kept)
			kept = append(kept, attempt)
		case lacksTLS(kept[at]), !lacksTLS(attempt) && reached(attempt) > reached(kept[at]):
			kept[at] = attempt
		}
	}
	slices.SortStableFunc(kept, func(a, b error) int { return int(reached(b)) - int(reached(a)) })
	// All that servers said is kept, since one host of several may refuse what another
	// one has no part in.
	least := min(reached(kept[0]), turnedAway)
	return errors.Join(slices.DeleteFunc(kept, func(attempt error) bool { return reached(attempt) < least })...)
}

// lacksTLS reports whether the attempt ended since the server has no TLS.
func lacksTLS(attempt error) bool { return strings.Contains(attempt.Error(), refusedTLS) }

// wordsHold is for how long a pooler's words stand for its silence.
const wordsHold = time.Minute

// lastWords are what a pooler said last of a connection that it did not make. While it
// fails to reach its server it lets clients wait, and tells only the one that happens to
// wait when it has tried again; the fault is the same all the time.
type lastWords struct {
	said *pgconn.PgError
	at   time.Time
	// url is what the URL held then.
	url string
}

// complete gives the error the words that belong to it, if it is a pooler's silence.
func (w *lastWords) complete(err error, url string) error {
	server, ok := errors.AsType[*pgconn.PgError](err)
	switch {
	case ok && ofPooler(server):
		*w = lastWords{said: server, at: time.Now(), url: url}
	case ok, errors.Is(err, pgconn.ErrReadOnlyConnection):
		*w = lastWords{}
	case w.said != nil && w.url == url && time.Since(w.at) < wordsHold && reached(err) == taken && !errors.Is(err, context.Canceled):
		return errors.Join(w.said, err)
	}
	return err
}

// ofPooler reports whether an error comes from a pooler. One of PostgreSQL itself has the
// function that raised it.
func ofPooler(err *pgconn.PgError) bool {
	return err.Routine == "" && err.File == "" && err.Where == ""
}

// unmet are what the driver says of a server that does not do what the URL demands, and
// what a person needs to know.
var unmet = []struct{ words, message string }{
	{"require_auth check failed", "the server authenticates the user by a method that require_auth in the URL does not allow: see its pg_hba.conf, or leave require_auth out"},
	{"channel binding", "the server has no channel binding, which channel_binding in the URL demands: it takes TLS and scram-sha-256, or leave the demand out"},
	{"server protocol version too low", "the server does not speak the version of the protocol that min_protocol_version in the URL demands: leave it out"},
	{"sslcertmode check failed", "the server does not ask for a client's certificate, which sslcertmode in the URL demands: leave it out"},
}

// unmetDemand says which demand of the URL or the settings the server does not meet, if
// that is it.
func unmetDemand(e *connectFailure) string {
	if lacksTLS(e) {
		return "the server has no TLS, which " + demandsTLS(e) + " demands: switch it on there (ssl = on, with ssl_cert_file and ssl_key_file), " +
			"or leave the demand out"
	}
	said := e.Error()
	for _, demand := range unmet {
		if strings.Contains(said, demand.words) {
			return demand.message
		}
	}
	return ""
}
