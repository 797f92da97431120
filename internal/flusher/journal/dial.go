// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/writebehind/operator/internal/flusher/config"
)

const (
	// dialTimeout bounds the making of a connection, TLS and AUTH included.
	dialTimeout = 3 * time.Second
	// readTimeout bounds the silence before an answer and in it; a server that is
	// silent for longer counts as gone.
	readTimeout = 5 * time.Second
)

// SecretError says that a file which a Secret should have brought is missing or
// unusable.
type SecretError struct {
	// Secret is what a person calls the Secret, File where it was looked for.
	Secret, File string
	// Problem says what is wrong, never what the file holds.
	Problem string
}

func (e *SecretError) Error() string {
	if e.Secret == "" {
		return fmt.Sprintf("file %s %s", e.File, e.Problem)
	}
	return fmt.Sprintf("%s %s", e.Secret, e.Problem)
}

// Dial returns a client for the configured Redis. It connects when it is first
// used, and reads credentials and certificates anew for every connection, so that
// a rotation needs no restart. It keeps at most connections open. In mode Sentinel each
// of them leads to the primary, and ends when another server becomes that.
func Dial(settings config.RedisExternal, connections int) *redis.Client {
	address := settings.Addresses[0]
	options := &redis.Options{
		Addr:                       address,
		CredentialsProviderContext: func(context.Context) (string, string, error) { return Credentials(settings) },
		Dialer:                     dialer(settings.TLS, address),
		DialTimeout:                dialTimeout,
		DialerRetries:              1,
		ReadTimeout:                readTimeout,
		WriteTimeout:               readTimeout,
		ContextTimeoutEnabled:      true,
		PoolSize:                   connections,
		// What may be resent is resent by the engine, which knows what it means.
		MaxRetries:               -1,
		DisableIdentity:          true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
	if settings.Mode == config.ModeSentinel {
		f := follow(settings)
		options.Dialer, options.OnConnect = f.dial, verify
	}
	return redis.NewClient(options)
}

// Quiet turns the client library's own log off. Every error it would print is
// returned as well, and told in the flusher's words.
func Quiet() {
	redis.SetLogger(silence{})
}

type silence struct{}

func (silence) Printf(context.Context, string, ...any) {}

// Connector returns a function that makes one connection to the configured Redis, on which
// nothing was said yet. Its deadlines are for the caller to set. In mode Sentinel it leads to
// the primary, and ends when another server becomes that.
func Connector(settings config.RedisExternal) func(context.Context) (net.Conn, error) {
	if settings.Mode == config.ModeSentinel {
		f := follow(settings)
		return func(ctx context.Context) (net.Conn, error) {
			conn, err := f.connect(ctx, "tcp")
			if err != nil {
				return nil, err
			}
			return conn, nil
		}
	}
	return func(ctx context.Context) (net.Conn, error) {
		return dial(ctx, settings.TLS, "tcp", settings.Addresses[0])
	}
}

// Credentials reads the user's name and the password of the servers, each empty where none is
// given.
func Credentials(settings config.RedisExternal) (username, password string, err error) {
	return readUser(settings.UsernameFile, settings.UsernameSecret, settings.PasswordFile, settings.CredentialsSecret)
}

func sentinelCredentials(settings config.RedisExternal) (username, password string, err error) {
	return readUser(settings.SentinelUsernameFile, settings.SentinelUsernameSecret,
		settings.SentinelPasswordFile, settings.SentinelCredentialsSecret)
}

func readUser(usernameFile, usernameSecret, passwordFile, passwordSecret string) (username, password string, err error) {
	if usernameFile != "" {
		if username, err = secretFile(usernameFile, usernameSecret); err != nil {
			return "", "", err
		}
	}
	if passwordFile != "" {
		password, err = secretFile(passwordFile, passwordSecret)
	}
	return username, password, err
}

// Proof says whether a new connection could be made with what the files of the
// Secrets hold. Connections that are open go on without, so that a Secret which is
// gone, or holds another password than the server's, would otherwise be noticed when
// the last of them has ended.
type Proof struct {
	settings config.RedisExternal
	// proved is the hash of what the files held when a connection was last made with
	// it: the text itself is not kept.
	proved [sha256.Size]byte
}

// NewProof is of the credentials and certificates that Dial would use.
func NewProof(settings config.RedisExternal) *Proof { return &Proof{settings: settings} }

// Check returns a SecretError when the files cannot be used. When they hold something
// else than what is proved, it makes one connection with that and returns what is in
// the way; while nothing changes it makes none.
func (p *Proof) Check(ctx context.Context) error {
	held, err := p.hash()
	if err != nil || held == p.proved {
		return err
	}
	// A client that has lost as many connections as it may have goes on trying by
	// itself for a while.
	client := Dial(p.settings, 2)
	defer func() { _ = client.Close() }()
	if err := New(client).checkServer(ctx); err != nil {
		return err
	}
	p.proved = held
	return nil
}

func (p *Proof) hash() (held [sha256.Size]byte, err error) {
	username, password, err := Credentials(p.settings)
	if err != nil {
		return held, err
	}
	sentinelUsername, sentinelPassword, err := sentinelCredentials(p.settings)
	if err != nil {
		return held, err
	}
	texts := []string{username, password, sentinelUsername, sentinelPassword}
	if files := p.settings.TLS; files != nil {
		if _, err := tlsConfig(files, p.settings.Addresses[0]); err != nil {
			return held, err
		}
		for _, path := range []string{files.CAFile, files.CertFile, files.KeyFile} {
			// One that is gone since is noticed by the next look.
			text, _ := os.ReadFile(path)
			texts = append(texts, string(text))
		}
	}
	return sha256.Sum256(fmt.Appendf(nil, "%q", texts)), nil
}

// secretFile reads a one-line secret; the line's end is not part of it.
func secretFile(path, secret string) (string, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return "", unreadable(path, secret, err)
	}
	text := strings.TrimRight(string(data), "\r\n")
	if text == "" {
		return "", &SecretError{Secret: secret, File: path, Problem: "is empty: put the value in"}
	}
	return text, nil
}

// unreadable says why a secret could not be read. Where no file can be opened, that is no
// fault of the secret.
func unreadable(path, secret string, err error) error {
	if config.OutOfFiles(err) {
		return err
	}
	problem := config.Unreadable(err, "is missing: create it with the key that the spec names")
	return &SecretError{Secret: secret, File: path, Problem: problem}
}

func dialer(settings *config.TLS, address string) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, _ string) (net.Conn, error) {
		conn, err := dial(ctx, settings, network, address)
		if err != nil {
			return nil, err
		}
		return makePatient(conn, conn.Close), nil
	}
}

// dial makes a connection to a host whose certificate, with TLS, has to name it.
func dial(ctx context.Context, settings *config.TLS, network, address string) (net.Conn, error) {
	base := &net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}
	if settings == nil {
		return base.DialContext(ctx, network, address)
	}
	client, err := tlsConfig(settings, address)
	if err != nil {
		return nil, err
	}
	conn, err := base.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	secured := tls.Client(conn, client)
	if err := secured.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, &handshakeError{err}
	}
	return secured, nil
}

// handshakeError says that somebody is there, and that TLS is what fails.
type handshakeError struct{ err error }

func (e *handshakeError) Error() string { return "TLS handshake: " + e.err.Error() }

func (e *handshakeError) Unwrap() error { return e.err }

func tlsConfig(settings *config.TLS, address string) (*tls.Config, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	c := &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
	if settings.CAFile != "" {
		text, err := secretFile(settings.CAFile, settings.CASecret)
		if err != nil {
			return nil, err
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM([]byte(text)) {
			return nil, &SecretError{Secret: settings.CASecret, File: settings.CAFile, Problem: "holds no certificate in PEM form"}
		}
	}
	if settings.CertFile != "" {
		cert, err := secretFile(settings.CertFile, settings.ClientCertSecret)
		if err != nil {
			return nil, err
		}
		key, err := secretFile(settings.KeyFile, settings.ClientCertSecret)
		if err != nil {
			return nil, err
		}
		pair, err := config.KeyPair([]byte(cert), []byte(key))
		if err != nil {
			file := settings.CertFile
			if config.OfKey(err) {
				file = settings.KeyFile
			}
			return nil, &SecretError{Secret: settings.ClientCertSecret, File: file, Problem: err.Error()}
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}
