// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/entry"
)

const (
	// connectTimeout is how long making a connection may take when the URL does
	// not say.
	connectTimeout = 5 * time.Second
	// unacknowledged is how long the server's host may leave sent bytes
	// unacknowledged before the connection counts as dead. Without it the
	// kernel would go on resending for a quarter of an hour.
	unacknowledged = 15 * time.Second
	// applicationName is what pg_stat_activity shows, unless the URL names
	// another.
	applicationName = "writebehind-flusher"
)

// keepAlive finds a dead host within 25 s while an answer is awaited.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 10 * time.Second, Interval: 5 * time.Second, Count: 3}

// source is where the connection URL comes from.
type source struct {
	file   string
	secret string
	// tls are the certificates' files, if the settings have any.
	tls *config.TLS

	mu   sync.Mutex
	text string
	// content is what the URL and the files of the certificates hold together.
	content      string
	certificates *certificates
	looked       time.Time
	// since is when the URL's file was written, in µs since 1970.
	since int64
	// certain means that what looks like a host in the URL is one, so that it may be
	// shown.
	certain bool
	words   lastWords
}

// exampleURL is what a URL looks like, in messages.
const exampleURL = "postgres://user:password@host:5432/database"

// urlOf is where a connection keeps the URL that it was made from.
const urlOf = "writebehind.url"

// place is what a message calls the source.
func (s *source) place() string {
	if s.secret != "" {
		return s.secret
	}
	return "file " + s.file
}

// reload reads the URL file and those of the certificates, unless that was done less than age ago, and says
// whether the URL is another than before. From then on it is the one in force.
// Its errors name the place of the URL, never the URL.
func (s *source) reload(age time.Duration) (changed bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Since(s.looked) < age {
		return false, nil
	}
	data, since, err := readDated(s.file)
	s.looked = time.Now()
	text := strings.TrimSpace(string(data))
	if err != nil || text == "" {
		return false, s.missing(err)
	}
	files, certificates, err := readCertificates(s.tls)
	if err != nil {
		return false, err
	}
	content := text + "\x00" + files
	changed = s.content != "" && s.content != content
	s.text, s.content, s.certificates = text, content, certificates
	if changed || s.since == 0 {
		s.since = since
	}
	return changed, nil
}

// readDated reads a file, and when it was written, in µs since 1970.
func readDated(name string) (data []byte, written int64, err error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, 0, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, 0, err
	}
	data, err = io.ReadAll(file)
	return data, info.ModTime().UnixMicro(), err
}

// config turns the URL in force into the configuration of a connection.
func (s *source) config() (*pgx.ConnConfig, error) {
	s.mu.Lock()
	text, content, certificates := s.text, s.content, s.certificates
	s.mu.Unlock()
	if err := s.form(text); err != nil {
		return nil, err
	}
	// The pool's parser knows the parameters of a pool, which would otherwise be
	// sent to the server.
	pool, err := pgxpool.ParseConfig(text)
	if err != nil {
		// The error is not kept: it quotes the URL.
		return nil, s.unparsable(err)
	}
	possible, certain := hosts(text, pool.ConnConfig)
	if !possible {
		return nil, s.shapeless("")
	}
	s.mu.Lock()
	s.certain = certain
	s.mu.Unlock()
	if err := s.parameters(pool.ConnConfig); err != nil {
		return nil, err
	}
	certificates.apply(pool.ConnConfig)
	c := prepare(pool.ConnConfig)
	c.AfterConnect = func(_ context.Context, conn *pgconn.PgConn) error {
		conn.CustomData()[urlOf] = content
		s.mu.Lock()
		defer s.mu.Unlock()
		s.words = lastWords{}
		return nil
	}
	return c, nil
}

// namesHost reports whether the URL in force says where the server is. Without that the
// driver tries this machine, as libpq does.
func (s *source) namesHost() bool {
	s.mu.Lock()
	text := s.text
	s.mu.Unlock()
	if os.Getenv("PGHOST") != "" || os.Getenv("PGSERVICE") != "" {
		return true
	}
	if !strings.Contains(text, "://") {
		return hostWord.MatchString(text)
	}
	u, err := url.Parse(text)
	return err != nil || u.Hostname() != "" || u.Query().Has("host") || u.Query().Has("service")
}

var hostWord = regexp.MustCompile(`(^|\s)(host|service)\s*=`)

// made reports whether the connection was made from the URL in force.
func (s *source) made(conn *pgx.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return conn.PgConn().CustomData()[urlOf] == s.content
}

func (s *source) missing(err error) error {
	e := &Error{Kind: entry.Transient, reason: v1alpha1.ReasonSecretMissing, Err: err}
	name, key, named := config.CutSecretKey(s.secret)
	switch {
	case config.OutOfFiles(err):
		e.reason, e.remedy = v1alpha1.ReasonConnectionFailed, config.OutOfDescriptors
	case err != nil && !errors.Is(err, os.ErrNotExist):
		e.remedy = "the connection URL in " + s.place() + " cannot be read: see the file's permissions"
	case err == nil:
		e.remedy = s.place() + " is empty: put the connection URL in; it is seen within about a minute"
	case named:
		e.remedy = fmt.Sprintf("Secret %s is missing or has no key %s: kubectl create secret generic %s --from-literal=%s='%s'; it is seen within about a minute; "+
			"where the Secret exists: kubectl patch secret %s -p '{\"stringData\":{\"%s\":\"%s\"}}'",
			name, key, name, key, exampleURL, name, key, exampleURL)
	default:
		e.remedy = s.place() + " is missing: create it, with the connection URL in it"
	}
	return e
}

// prepare completes what the URL says by what every connection needs: only a
// session that can write, no statement that is kept by name (a proxy may give
// every transaction another connection), UTF-8, and the bounds in time.
func prepare(c *pgx.ConnConfig) *pgx.ConnConfig {
	c.DefaultQueryExecMode = pgx.QueryExecModeExec
	c.StatementCacheCapacity = 0
	c.DescriptionCacheCapacity = 0
	c.ValidateConnect = takesWrites
	if c.RuntimeParams == nil {
		c.RuntimeParams = map[string]string{}
	}
	c.RuntimeParams["client_encoding"] = "UTF8"
	c.OnNotice = recordUnreplicated
	if c.RuntimeParams["application_name"] == "" {
		c.RuntimeParams["application_name"] = applicationName
	}
	if c.ConnectTimeout <= 0 {
		c.ConnectTimeout = connectTimeout
	}
	dialer := &net.Dialer{
		Timeout:         c.ConnectTimeout,
		KeepAliveConfig: keepAlive,
		Control: func(network, _ string, raw syscall.RawConn) error {
			if strings.HasPrefix(network, "tcp") {
				return raw.Control(setSocket)
			}
			return nil
		},
	}
	c.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		return dialer.DialContext(ctx, network, address)
	}
	return c
}
