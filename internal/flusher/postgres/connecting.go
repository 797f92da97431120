// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/entry"
)

// connectFailure is an error of a connection that was never made.
type connectFailure struct {
	error
	// config is what the connection was to be made by.
	config *pgconn.Config
	// certain means that user, host and database are what they look like in the URL, so
	// that they may be shown.
	certain bool
	// doubt is said of what may be none of what it looks like.
	doubt string
	// tls means that the settings have certificates.
	tls bool
}

func (e *connectFailure) Unwrap() error { return e.error }

// connecting completes an error of the driver by what is known of the URL. Other
// errors stay as they are.
func (s *source) connecting(err error) error {
	connect, ok := errors.AsType[*pgconn.ConnectError](err)
	if !ok {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	err = s.words.complete(furthest(connect), s.content)
	return &connectFailure{error: err, config: connect.Config, certain: s.certain, doubt: doubtOf(s.text), tls: s.tls != nil}
}

// encrypted reports whether TLS would have been tried.
func (e *connectFailure) encrypted() bool {
	return e.config.TLSConfig != nil || slices.ContainsFunc(e.config.Fallbacks, func(f *pgconn.FallbackConfig) bool { return f.TLSConfig != nil })
}

// showing quotes the last error of a server, or of a pooler, of a connection. It comes
// before any row is sent and quote none; what they may quote is of the URL.
func (e *connectFailure) showing(words string) string {
	password := e.config.Password
	if !e.certain || words == "" || len(words) > mostWords || password != "" && strings.Contains(words, password) {
		return ""
	}
	return fmt.Sprintf("; in its own words: %q", words)
}

// mostWords bounds what is shown of a server's words.
const mostWords = 300

// Where the server raises an error while a connection is made, by its own name of
// the function: one SQLSTATE stands for several things there, and the words are in
// the server's language.
const (
	ofRole     = "InitializeSessionUserId"
	ofDatabase = "CheckMyDatabase"
)

// connecting judges an error of a connection that was never made. Whatever it is, it
// lies with the server or the URL and never with a table or a row.
func (e *Error) connecting(err *pgconn.PgError, cause error) {
	origin, ok := errors.AsType[*connectFailure](cause)
	if !ok {
		connect, ok := errors.AsType[*pgconn.ConnectError](cause)
		if !ok {
			return
		}
		origin = &connectFailure{error: cause, config: connect.Config}
	}
	role, name := "of the URL", "of the URL"
	if origin.certain {
		role, name = quote(origin.config.User), quote(origin.config.Database)
	}
	transient := classify(err.Code).kind == entry.Transient
	e.Kind = entry.Transient
	sql := ""
	switch {
	case err.Code == "42501" && err.Routine == ofDatabase:
		e.reason, e.remedy = v1alpha1.ReasonPrivilegeMissing, fmt.Sprintf("role %s may not connect to database %s", role, name)
		sql = fmt.Sprintf("GRANT CONNECT ON DATABASE %s TO %s", name, role)
	case err.Code == "55000" && err.Routine == ofDatabase:
		e.reason, e.remedy = v1alpha1.ReasonConnectionFailed, fmt.Sprintf("database %s takes no connections", name)
		sql = fmt.Sprintf("ALTER DATABASE %s ALLOW_CONNECTIONS true", name)
	case err.Code == "28000" && err.Routine == ofRole:
		e.remedy = origin.noLogin(role)
		sql = fmt.Sprintf("ALTER ROLE %s LOGIN", role)
	case err.Code == "53300" && err.Routine == ofRole:
		e.remedy = fmt.Sprintf("role %s has no connection left of its CONNECTION LIMIT", role)
		sql = fmt.Sprintf("ALTER ROLE %s CONNECTION LIMIT -1", role)
	case err.Code == "53300" && err.Routine == ofDatabase:
		e.remedy = fmt.Sprintf("database %s has no connection left of its CONNECTION LIMIT", name)
		sql = fmt.Sprintf("ALTER DATABASE %s CONNECTION LIMIT -1", name)
	case err.Code == "28000":
		e.inURL = true
		e.remedy += origin.onlyEncrypted() + origin.showing(err.Message)
	case ofConnection(err.Code):
		e.inURL = true
	case !transient:
		e.reason, e.remedy = v1alpha1.ReasonInvalidURL, "PostgreSQL refuses a parameter that the URL sets"+origin.refused(err.Message)
		e.inURL = true
	}
	if sql != "" && origin.certain {
		e.remedy += ": run as an administrator: " + sql + ";"
	}
	if !origin.certain {
		e.remedy += origin.doubt
	}
}

// noLogin begins the sentence that the ALTER ROLE ends, where the role is known.
func (e *connectFailure) noLogin(role string) string {
	said := fmt.Sprintf("role %s does not exist or may not log in", role)
	if !e.certain {
		return said
	}
	return said + "; where it exists"
}

// onlyEncrypted says what a server may want that refuses a connection by pg_hba.conf.
func (e *connectFailure) onlyEncrypted() string {
	switch {
	case !e.encrypted():
		return "; the connection was not encrypted, which a line hostssl of it demands: give sslmode=require or better in the URL"
	case !e.tls:
		return "; if it demands a client certificate (clientcert, cert), " +
			"give one in database.postgres.tls.clientCertSecretRef (in a config file: certFile and keyFile), or as sslcert and sslkey in the URL"
	}
	return ""
}

// pooled shows the words of a pooler in front of PostgreSQL, which knows nothing of
// rows.
func (e *Error) pooled(err *pgconn.PgError) {
	if !ofPooler(err) || e.Kind != entry.Transient || err.Message == "" || len(err.Message) > mostWords {
		return
	}
	switch {
	case strings.Contains(err.Message, "statement pooling"):
		e.reason = v1alpha1.ReasonConnectionFailed
		e.remedy = "the pooler gives every statement a connection of its own, and a batch is a transaction: set its pool_mode to transaction or session, for this database at least"
	case strings.HasPrefix(err.Code, "08"), ofConnection(err.Code), strings.HasPrefix(err.Code, "57P"), strings.HasPrefix(err.Code, "53"):
		e.remedy = "the pooler in front of PostgreSQL refuses or lost the connection"
	default:
		return
	}
	shown := true
	if origin, ok := errors.AsType[*connectFailure](e.Err); ok {
		shown = origin.showing(err.Message) != ""
		e.inURL = ofConnection(err.Code) || strings.Contains(err.Message, "startup parameter")
	}
	if shown {
		e.remedy += fmt.Sprintf("; in its own words: %q", err.Message)
	}
}

// errStandby means that a server takes no writes since it follows another one.
var errStandby = fmt.Errorf("%w: the server is a standby", pgconn.ErrReadOnlyConnection)

// takesWrites refuses a session in which nothing can be written, so that another host
// of the URL is tried.
func takesWrites(ctx context.Context, conn *pgconn.PgConn) error {
	const question = "SELECT pg_catalog.pg_is_in_recovery(), pg_catalog.current_setting('transaction_read_only')"
	results, err := conn.Exec(ctx, question).ReadAll()
	for attempt := 1; attempt < beginAttempts && cancelled(err); attempt++ {
		results, err = conn.Exec(ctx, question).ReadAll()
	}
	if err != nil {
		return err
	}
	if len(results) != 1 || len(results[0].Rows) != 1 || len(results[0].Rows[0]) != 2 {
		return errors.New("the server does not say whether it takes writes")
	}
	switch row := results[0].Rows[0]; {
	case string(row[0]) == "t":
		return errStandby
	case string(row[1]) == "on":
		return pgconn.ErrReadOnlyConnection
	}
	return nil
}

// notWritable says how one comes to a session that writes.
func notWritable(err error) string {
	if errors.Is(err, errStandby) {
		return standbyRemedy
	}
	origin, ok := errors.AsType[*connectFailure](err)
	if !ok || !origin.certain {
		return classifications["25006"].remedy
	}
	return toWrite(origin.config.User, origin.config.Database)
}

// standbyRemedy is said where no host of the URL is a primary.
const standbyRemedy = "the session is read-only, since the server is a standby: give the URL of the primary, or name all hosts in it " +
	"(postgres://user:password@host1,host2/database), of which the one that takes writes is used; " +
	"only if the primary is lost for good: run as an administrator on the standby: SELECT pg_promote();"

// toWrite says what makes a session of the role writable. A setting of the role in
// the database is stronger than any other but the URL's.
func toWrite(user, database string) string {
	return fmt.Sprintf("the session is read-only: give the URL of the primary, without default_transaction_read_only in it; "+
		"if it is that already: run as an administrator: ALTER ROLE %s IN DATABASE %s SET default_transaction_read_only = off;", quote(user), quote(database))
}

// network describes an error of the connection by what is known to hold neither
// a secret nor a value: an address, a name that was looked up, a system error.
func network(err error) string {
	var (
		dns         *net.DNSError
		op          *net.OpError
		errno       syscall.Errno
		timeout     net.Error
		authority   x509.UnknownAuthorityError
		hostname    x509.HostnameError
		certificate *tls.CertificateVerificationError
		invalid     x509.CertificateInvalidError
		record      tls.RecordHeaderError
	)
	origin, known := errors.AsType[*connectFailure](err)
	hidden := known && !origin.certain
	what, tail := "the connection to PostgreSQL failed", ""
	addressed := errors.As(err, &op) && op.Addr != nil
	switch {
	case hidden:
		tail = origin.doubt
	case addressed:
		what = "the connection to PostgreSQL at " + op.Addr.String() + " failed"
	}
	if errors.As(err, &dns) {
		return unresolved(dns.Name, hidden) + tail
	}
	switch {
	case errors.As(err, &authority):
		return what + ": the server's certificate is signed by an unknown authority" + ofAuthority(origin) + tail
	case errors.As(err, &hostname):
		return what + ": the server's certificate is for another host" + ofNames(hostname.Certificate) + tail
	case errors.As(err, &invalid), errors.As(err, &certificate):
		return what + ": the server's certificate is not valid" + tail
	case op != nil && op.Op == "remote error":
		return what + ": the server rejected the TLS handshake; it may require a client certificate or not trust the one sent: " +
			"set database.postgres.tls.clientCertSecretRef (in a config file: certFile and keyFile), or sslcert and sslkey in the URL, to a certificate that the server trusts" + tail
	case errors.As(err, &record):
		return what + ": what answers there speaks neither TLS nor PostgreSQL's protocol" + tail
	case known && unmetDemand(origin) != "":
		return what + ": " + unmetDemand(origin) + tail
	case errors.Is(err, context.Canceled):
		return what + ": cancelled" + tail
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded),
		errors.As(err, &timeout) && timeout.Timeout():
		return what + ": no answer in time" + ofSilence(origin) + tail
	case errors.As(err, &errno):
		return what + ": " + ofSystem(errno, origin) + tail
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return what + ": the server closed it" + tail
	}
	return what + tail
}

// ofSilence says what it may be that takes a connection and leaves it at that.
func ofSilence(origin *connectFailure) string {
	if origin == nil || reached(origin) == notThere {
		return ""
	}
	return ", although the connection was accepted: a pooler may wait for its server, or the server may hang: see its log"
}

// ofSystem describes an error of the operating system. The server's own word may be lost
// with a connection that it resets.
func ofSystem(errno syscall.Errno, origin *connectFailure) string {
	if config.OutOfFiles(errno) {
		return config.OutOfDescriptors
	}
	if errno == syscall.ECONNRESET && origin != nil && presents(origin.config) {
		return errno.Error() + ": the server may have rejected the TLS handshake, because it does not trust the client certificate"
	}
	return errno.Error()
}

// presents reports whether the connection shows a client's certificate.
func presents(c *pgconn.Config) bool {
	return c.TLSConfig != nil && (len(c.TLSConfig.Certificates) > 0 || c.TLSConfig.GetClientCertificate != nil)
}

func unresolved(host string, hidden bool) string {
	if hidden {
		return "what looks like the host of PostgreSQL in the URL cannot be resolved"
	}
	return "the host " + host + " of PostgreSQL cannot be resolved"
}

// refusedTLS is what the driver says of a server that answers no to TLS.
const refusedTLS = "server refused TLS connection"

func demandsTLS(e *connectFailure) string {
	if e.tls {
		return "database.postgres.tls"
	}
	return "sslmode in the URL"
}

// ofAuthority says whom to trust instead.
func ofAuthority(e *connectFailure) string {
	switch {
	case e == nil:
		return ""
	case e.tls:
		return ": set database.postgres.tls.caSecretRef to the right one (in a config file: tls.caFile)"
	}
	return ": name its certificate by database.postgres.tls.caSecretRef, or by sslrootcert in the URL (in a config file: tls.caFile)"
}

// ofNames are the names that a server's certificate has.
func ofNames(certificate *x509.Certificate) string {
	if certificate == nil {
		return ""
	}
	names := slices.Clone(certificate.DNSNames)
	for _, ip := range certificate.IPAddresses {
		names = append(names, ip.String())
	}
	if len(names) == 0 || len(names) > mostListed {
		return ""
	}
	return " (" + strings.Join(names, ", ") + "): give one of its names as the host in the URL"
}
