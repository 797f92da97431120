// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/entry"
)

// unneeded are parameters that libpq knows, the driver does not, and that change
// nothing here: a flusher has keepalives and time-outs of its own, and compression and
// balancing are only offers.
var unneeded = map[string]bool{
	"keepalives": true, "keepalives_idle": true, "keepalives_interval": true, "keepalives_count": true, "tcp_user_timeout": true,
	"sslcompression": true, "load_balance_hosts": true, "gsslib": true, "gssdelegation": true, "authtype": true, "tty": true,
	"client_encoding": true,
}

// unsupported are parameters that libpq knows and that must not be passed over, and
// what to give instead.
var unsupported = map[string]string{
	"sslcrl": "lists of revoked certificates are not supported", "sslcrldir": "lists of revoked certificates are not supported",
	"sslkeylogfile": "the keys of a session are not written", "requirepeer": "the owner of a socket's server is not checked",
	"requiressl": "give sslmode=require", "hostaddr": "give the address as the host",
	"gssencmode": "GSSAPI encryption is not supported: give sslmode=require", "replication": "rows are not written over a replication connection",
}

// ofOthers are parameters that other programs read from a URL of the same form, each
// with whose it is. The server knows none of them.
var ofOthers = func() map[string]string {
	all := make(map[string]string)
	for owner, names := range map[string]string{
		"Prisma": "pgbouncer schema connection_limit pool_timeout sslaccept sslidentity socket_timeout statement_cache_size single_use_connections",
		"Rails":  "pool checkout_timeout reaping_frequency prepared_statements advisory_locks encoding variables",
		"JDBC": "currentSchema ApplicationName loginTimeout connectTimeout socketTimeout tcpKeepAlive sslfactory targetServerType " +
			"reWriteBatchedInserts stringtype prepareThreshold binaryTransfer loadBalanceHosts",
		"SQLAlchemy": "prepared_statement_cache_size pool_size max_overflow pool_recycle pool_pre_ping async_fallback server_settings command_timeout",
		"Node.js":    "uselibpqcompat ssl max idleTimeoutMillis connectionTimeoutMillis",
		"lib/pq":     "binary_parameters sslinline disable_prepared_binary_result",
		"Doctrine":   "serverVersion charset",
	} {
		for name := range strings.FieldsSeq(names) {
			all[name] = owner
		}
	}
	return all
}()

// parameterName is a name that may stand in a message: a server's setting looks like
// this, and so do the parameters of all programs.
var parameterName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.]{0,62}$`)

// parameters sees to those parameters of the URL that the driver would hand on to the
// server, although they are none of its settings.
func (s *source) parameters(c *pgx.ConnConfig) error {
	for _, name := range slices.Sorted(maps.Keys(c.RuntimeParams)) {
		value := c.RuntimeParams[name]
		switch {
		case unneeded[name], name == "gssencmode" && value != "require",
			name == "replication" && slices.Contains([]string{"false", "off", "no", "0"}, value):
			delete(c.RuntimeParams, name)
		case name == "fallback_application_name":
			delete(c.RuntimeParams, name)
			if c.RuntimeParams["application_name"] == "" {
				c.RuntimeParams["application_name"] = value
			}
		case name == "ssl_min_protocol_version" || name == "ssl_max_protocol_version":
			version, ok := protocolVersions[value]
			if !ok {
				return s.invalid("its parameter %s must be one of TLSv1.2, TLSv1.3", name)
			}
			delete(c.RuntimeParams, name)
			eachTLS(c, func(t *tls.Config) {
				if name == "ssl_min_protocol_version" {
					t.MinVersion = version
				} else {
					t.MaxVersion = version
				}
			})
		case unsupported[name] != "":
			return s.invalid("its parameter %s cannot be used here: %s", name, unsupported[name])
		case ofOthers[name] != "":
			return s.invalid("its parameter %s is one of %s, which PostgreSQL does not know: leave it out; %s", name, ofOthers[name], insteadOf(name))
		}
	}
	return nil
}

var protocolVersions = map[string]uint16{"TLSv1": tls.VersionTLS10, "TLSv1.1": tls.VersionTLS11, "TLSv1.2": tls.VersionTLS12, "TLSv1.3": tls.VersionTLS13}

// insteadOf says what has the effect of another program's parameter here.
func insteadOf(name string) string {
	switch name {
	case "pgbouncer", "prepareThreshold", "statement_cache_size", "prepared_statements", "prepared_statement_cache_size", "binary_parameters":
		return "a flusher prepares no statements by name, so PgBouncer in transaction mode needs no parameter"
	case "schema", "currentSchema":
		return "the schema is part of a mapping's table, such as shop.products"
	case "connection_limit", "pool", "pool_size", "max_overflow", "max":
		return "postgres.maxConnections bounds the connections"
	case "ssl", "sslaccept", "sslfactory", "sslidentity":
		return "sslmode says how TLS is used"
	case "socket_timeout", "socketTimeout", "command_timeout":
		return "postgres.statementTimeoutSeconds bounds a statement"
	case "ApplicationName":
		return "application_name is PostgreSQL's own"
	case "connectTimeout", "loginTimeout", "connectionTimeoutMillis":
		return "connect_timeout is PostgreSQL's own, in seconds"
	}
	return "nothing takes its place"
}

// faults are what the driver says of a URL, by its own words, and what a person needs
// to know. The words of the driver itself may quote the URL.
var faults = []struct{ words, message string }{
	{"sslmode is invalid", "its sslmode must be one of disable, allow, prefer, require, verify-ca, verify-full"},
	{"unable to read CA file", "the file that its sslrootcert names %s"},
	{"unable to add CA to cert pool", "the file that its sslrootcert names holds no certificate in PEM form"},
	{"unable to load system certificate pool", "its sslrootcert is system, and this machine has no certificates"},
	{"unable to read sslkey", "the file that its sslkey names %s"},
	{"failed to decode sslkey", "the file that its sslkey names holds no key in PEM form"},
	{"unable to decrypt key", "the key that its sslkey names cannot be decrypted: see its sslpassword"},
	{"unable to find sslpassword", "the key that its sslkey names is encrypted, and there is no sslpassword"},
	{"unable to read cert", "the file that its sslcert names %s"},
	{"failed to parse private key", "the key that its sslkey names cannot be read: if it is encrypted (BEGIN ENCRYPTED PRIVATE KEY), write it again without a passphrase"},
	{"unable to load cert", "the certificate and the key that its sslcert and sslkey name are not a pair in PEM form"},
	{`both "sslcert" and "sslkey" are required`, "its sslcert and sslkey go together"},
	{"sslcertmode", "its sslcertmode must be one of allow, prefer, require, disable"},
	{"unknown target_session_attrs", "its target_session_attrs must be one of any, read-write, read-only, primary, standby, prefer-standby"},
	{"invalid connect_timeout", "its connect_timeout must be a number of seconds"},
	{"unknown channel_binding", "its channel_binding must be one of disable, prefer, require"},
	{"invalid require_auth", "its require_auth must be a list of password, md5, scram-sha-256, none"},
	{"port numbers to", "it must name one port, or one for every host"},
	{"_protocol_version", "its min_protocol_version or max_protocol_version is not a version of the protocol"},
	{"cannot parse statement_cache_capacity", "its statement_cache_capacity must be a whole number: leave it out, a flusher prepares no statements"},
	{"cannot parse description_cache_capacity", "its description_cache_capacity must be a whole number: leave it out, a flusher prepares no statements"},
	{"invalid default_query_exec_mode", "its default_query_exec_mode is not a known mode: leave it out, a flusher has its own"},
	{"failed to read service", "its service cannot be read: a service file has to be where PGSERVICEFILE says"},
	{"pool_", "one of its pool_ parameters has an invalid value: leave them out, postgres.maxConnections bounds the connections"},
}

// unparsable says of a URL that the driver does not take what is wrong, without any
// part of it.
func (s *source) unparsable(err error) error {
	if found := unpaired(s.inForce()); found != "" {
		return s.invalid("%s", found)
	}
	said := err.Error()
	if at := strings.LastIndex(said, "`: "); at >= 0 {
		said = said[at:]
	}
	if strings.Contains(said, "invalid port") {
		return s.shapeless("; the port is a number from 1 to 65535")
	}
	for _, fault := range faults {
		if !strings.Contains(said, fault.words) {
			continue
		}
		message := fault.message
		if strings.Contains(message, "%s") {
			message = fmt.Sprintf(message, unreadable(err))
		}
		return s.invalid("%s", message)
	}
	return s.shapeless("")
}

// unreadable says why a file that the URL names cannot be read.
func unreadable(err error) string {
	const mounted = "; in Kubernetes let database.postgres.tls name the Secret instead, and leave the parameter out"
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "does not exist where the flusher runs" + mounted
	case errors.Is(err, fs.ErrPermission):
		return "may not be read by the flusher: see its permissions"
	}
	return "cannot be read" + mounted
}

// invalid is an error of the URL that only who wrote it can mend.
func (s *source) invalid(format string, args ...any) error {
	return &Error{
		Kind: entry.Transient, reason: v1alpha1.ReasonInvalidURL,
		remedy: "the connection URL in " + s.place() + " cannot be used: " + fmt.Sprintf(format, args...),
	}
}

// eachTLS gives the TLS configuration of every host.
func eachTLS(c *pgx.ConnConfig, change func(*tls.Config)) {
	seen := make(map[*tls.Config]bool)
	for _, t := range append([]*tls.Config{c.TLSConfig}, fallbackTLS(c.Fallbacks)...) {
		if t != nil && !seen[t] {
			seen[t] = true
			change(t)
		}
	}
}

func fallbackTLS(fallbacks []*pgconn.FallbackConfig) []*tls.Config {
	var all []*tls.Config
	for _, f := range fallbacks {
		all = append(all, f.TLSConfig)
	}
	return all
}
