// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"unicode"

	"github.com/redis/go-redis/v9"

	cachev1alpha1 "github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/entry"
)

// answers maps the code of a server's error to what a person should know and do.
// The code is the only part of the error that is shown: the rest may quote keys.
var answers = map[string]config.Check{
	"NOAUTH": {
		Reason:  cachev1alpha1.ReasonAuthenticationFailed,
		Message: "Redis asks for a password and none was given: set redis.external.credentialsSecretRef (in a config file: passwordFile)",
	},
	"WRONGPASS": {
		Reason:  cachev1alpha1.ReasonAuthenticationFailed,
		Message: "Redis refuses the user name or the password: correct the credentials Secret",
	},
	"READONLY": {
		Reason:  cachev1alpha1.ReasonReadOnlyReplica,
		Message: "the address leads to a read-only replica: give the address of the primary",
	},
	"OOM": {
		Reason:  cachev1alpha1.ReasonOutOfMemory,
		Message: "Redis is at its memory limit and refuses writes: raise maxmemory or let the queue drain",
	},
	"MISCONF": {
		Reason: cachev1alpha1.ReasonPersistenceFailing,
		Message: "Redis cannot persist, since its last RDB snapshot failed, and refuses writes: make room on its disk or correct its dir, and then run BGSAVE; " +
			"its log says more",
	},
	"DENIED": {
		Reason:  cachev1alpha1.ReasonConnectionFailed,
		Message: "Redis is in protected mode and takes connections from its own host only: set a password in its configuration, or protected-mode no",
	},
	"NOREPLICAS": {
		Reason:  cachev1alpha1.ReasonPersistenceFailing,
		Message: "Redis refuses writes because too few replicas are connected: bring them back or lower min-replicas-to-write",
	},
	"LOADING": {
		Reason:  cachev1alpha1.ReasonConnectionFailed,
		Message: "Redis is loading its data after a start: it answers when it has finished",
	},
	"BUSY": {
		Reason:  cachev1alpha1.ReasonConnectionFailed,
		Message: "Redis is busy running a script: end it with FUNCTION KILL or SCRIPT KILL",
	},
	"MASTERDOWN": {
		Reason:  cachev1alpha1.ReasonReadOnlyReplica,
		Message: "the address leads to a replica without a primary: give the address of the primary",
	},
	"WBCONFLICT": {
		Reason: cachev1alpha1.ReasonQueueConflict, // and the library's own text
	},
	"WBJOURNAL": {
		Reason:  cachev1alpha1.ReasonJournalMismatch,
		Message: "the queue holds entries made with another prefix, mode or encoding: let them be flushed with those settings first",
	},
}

// Explain returns an error from Redis as a check, with a reason of the resource. It repeats
// nothing of the server's text but the code.
func Explain(err error) config.Check { return New(nil).Explain(err) }

// Explain is the function of that name. Its remedies name the Redis user, the keys of the
// mappings, and the primary as the Sentinels call it.
func (j *Journal) Explain(err error) config.Check {
	check := explain(err, grant{user: j.user(), patterns: j.patterns, rights: cmp.Or(j.rights, rights)})
	switch {
	case j.master == "":
	case check.Reason == cachev1alpha1.ReasonReadOnlyReplica:
		check.Message = fmt.Sprintf("the server that was the primary of %s is a replica, as in a fail-over: nothing is written to it, "+
			"and the flusher goes to the one that the Sentinels elect; if this lasts, SENTINEL MASTER %s shows which server they watch", j.master, j.master)
	case check.Reason == cachev1alpha1.ReasonPrivilegeMissing && !errors.As(err, new(*sentinelError)):
		check.Message += OfEveryServer
	}
	return check
}

// OfEveryServer ends a remedy in mode Sentinel, since Redis does not replicate users and
// settings.
const OfEveryServer = "; do so at every server, since any of them may become the primary"

func explain(err error, g grant) config.Check {
	var secret *SecretError
	var version *versionError
	var replica *replicaError
	var mode *modeError
	switch {
	case config.OutOfFiles(err):
		return config.Check{Reason: cachev1alpha1.ReasonConnectionFailed, Message: config.OutOfDescriptors}
	case errors.As(err, &secret):
		return config.Check{Reason: cachev1alpha1.ReasonSecretMissing, Message: secret.Error()}
	case errors.As(err, &version):
		return config.Check{
			Reason:  cachev1alpha1.ReasonVersionTooOld,
			Message: fmt.Sprintf("Redis has version %s: version %d or later is needed", version.version, oldestMajor),
		}
	case errors.As(err, &mode) && mode.mode == "sentinel":
		return config.Check{
			Reason: cachev1alpha1.ReasonClusterMode,
			Message: "the address leads to a Sentinel, which holds no data: set redis.external.mode to Sentinel, with masterName, " +
				"or give the address of the primary that it watches",
		}
	case errors.As(err, &mode):
		return config.Check{
			Reason:  cachev1alpha1.ReasonClusterMode,
			Message: "the address leads to a node of a Redis Cluster, which would cut a queue into pieces: give the address of a Redis with cluster-enabled no",
		}
	case errors.As(err, &replica):
		check := answers["READONLY"]
		check.Message += ", which is " + replica.primary
		return check
	case errors.Is(err, errOtherRelease), errors.Is(err, entry.ErrNoFunctions), isMisread(err):
		return config.Check{
			Reason: cachev1alpha1.ReasonLibraryMismatch,
			Message: "the function library in Redis is of another release than this flusher, and they do not understand each other: " +
				"bring every flusher that uses this Redis to one release, and if it is an older one, then run FUNCTION DELETE writebehind",
		}
	}
	if check, ok := explainElection(err); ok {
		return check
	}
	if check, ok := explainTLS(err, "Redis"); ok {
		return check
	}
	if check, ok := explainAnswer(err, g); ok {
		return check
	}
	var network net.Error
	if errors.As(err, &network) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, net.ErrClosed) || isClosed(err) {
		return config.Check{
			Reason:  cachev1alpha1.ReasonConnectionFailed,
			Message: "Redis cannot be reached: " + networkProblem(err) + "; check the address, the network policies and the server",
		}
	}
	return config.Check{
		Reason:  cachev1alpha1.ReasonCommandFailed,
		Message: fmt.Sprintf("Redis cannot be used, for an error of the kind %T", innermost(err)),
	}
}

// explainTLS explains what certificates can have wrong of a server that is called who.
func explainTLS(err error, who string) (config.Check, bool) {
	var (
		authority   x509.UnknownAuthorityError
		host        x509.HostnameError
		certificate *tls.CertificateVerificationError
		header      tls.RecordHeaderError
		operation   *net.OpError
		handshake   *handshakeError
		message     string
	)
	switch {
	case errors.As(err, &handshake) && (errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded)):
		message = who + " does not answer the TLS handshake: it may not speak TLS at this address: give the port of TLS, or leave redis.external.tls out"
	case errors.As(err, &authority):
		message = who + " presented a certificate of an unknown authority: set redis.external.tls.caSecretRef to the right one (in a config file: tls.caFile)"
	case errors.As(err, &host):
		message = who + " presented a certificate for another host: use an address that the certificate names"
	case errors.As(err, &certificate):
		message = who + " presented an invalid certificate (it may have expired): renew it"
	case errors.As(err, &header):
		message = who + " does not speak TLS at this address: give the port of TLS, or leave redis.external.tls out"
	case errors.As(err, &operation) && operation.Op == "remote error":
		message = who + " rejected the TLS handshake; it may require a client certificate or not trust the one sent: " +
			"set redis.external.tls.clientCertSecretRef (in a config file: certFile and keyFile) to a certificate that it trusts"
	default:
		return config.Check{}, false
	}
	return config.Check{Reason: cachev1alpha1.ReasonConnectionFailed, Message: message}, true
}

var (
	unknownCommand = regexp.MustCompile(`^ERR unknown (?:sub)?command '([A-Za-z_|]+)'`)
	// A function's is not named, and Valkey leaves the word Redis out.
	unknownInside = regexp.MustCompile(`^ERR Unknown (?:Redis )?command called from script`)
)

// explainAnswer explains an error that Redis itself has answered with.
func explainAnswer(err error, g grant) (config.Check, bool) {
	var answer redis.Error
	if !errors.As(err, &answer) {
		return config.Check{}, false
	}
	text, code := answer.Error(), errorCode(answer)
	check, known := answers[code]
	unknown := unknownCommand.FindStringSubmatch(text)
	switch {
	case code == "NOPERM":
		return lacksRight(text, g), true
	case code == "MISCONF" && strings.Contains(text, "AOF"):
		check.Message = "Redis cannot persist, since it cannot write its append-only file, and refuses writes: make room on its disk, then it goes on by itself; its log says more"
	case code == "WBCONFLICT":
		// Names, prefixes and tables of configs, as the function found them.
		check.Message = plainText(strings.TrimPrefix(text, code+" "))
	case planted.MatchString(text):
		check = config.Check{Reason: cachev1alpha1.ReasonCommandFailed, Message: deletePlanted(planted.FindStringSubmatch(text))}
	case known:
	case strings.Contains(text, "already exists"):
		check = config.Check{
			Reason:  cachev1alpha1.ReasonCommandFailed,
			Message: "another function library in Redis has functions of the same names: remove it with FUNCTION DELETE (FUNCTION LIST shows it)",
		}
	case unknown != nil:
		check = config.Check{
			Reason: cachev1alpha1.ReasonCommandFailed,
			Message: fmt.Sprintf("Redis does not know the command %s, which the flushers need: remove its rename-command from the configuration, "+
				"or use a server that has function libraries", strings.ToUpper(unknown[1])),
		}
	case unknownInside.MatchString(text):
		check = config.Check{
			Reason: cachev1alpha1.ReasonCommandFailed,
			Message: "Redis does not know a command that a function of the library runs, one of " + libraryCommands +
				": remove its rename-command from the configuration",
		}
	case strings.HasPrefix(text, "ERR Engine '"):
		check = config.Check{
			Reason:  cachev1alpha1.ReasonCommandFailed,
			Message: "Redis has no engine for functions in Lua: load its Lua module",
		}
	case strings.Contains(text, "max number of clients"):
		check = config.Check{Reason: cachev1alpha1.ReasonConnectionFailed, Message: atMaxClients}
	default:
		check = config.Check{
			Reason:  cachev1alpha1.ReasonCommandFailed,
			Message: fmt.Sprintf("Redis answered with an error of code %q: look at its log", code),
		}
	}
	return check, true
}

// mostText is how much of a text from Redis is shown: a condition's message may have 1024
// bytes.
const mostText = 900

// plainText is a text from Redis in one line, without what could mislead a terminal.
func plainText(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, text)
	if len(text) > mostText {
		text = strings.ToValidUTF8(text[:mostText], "") + "..."
	}
	return text
}

const atMaxClients = "Redis has no connection left: raise maxclients in its configuration, and at once with CONFIG SET maxclients"

// isMisread reports whether the client library found another type than the one that a
// function of this release answers with.
func isMisread(err error) bool {
	var number *strconv.NumError
	return errors.As(err, &number) || strings.Contains(err.Error(), "redis: unexpected type=")
}

func innermost(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}

// errorCode is the first word of the server's own error.
func errorCode(err error) string {
	var answer redis.Error
	if !errors.As(err, &answer) {
		return ""
	}
	if refusedInside.MatchString(answer.Error()) {
		return "NOPERM"
	}
	code, _, _ := strings.Cut(answer.Error(), " ")
	return code
}

// isHangup reports whether the other side has ended a connection.
func isHangup(err error) bool {
	return err != nil && !errors.As(err, new(redis.Error)) &&
		(isClosed(err) || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET))
}

func isClosed(err error) bool {
	text := err.Error()
	return strings.HasSuffix(text, "EOF") || strings.Contains(text, "connection pool") || strings.Contains(text, "closed")
}

// networkProblem shortens a network error to what went wrong, without the
// addresses of this side.
func networkProblem(err error) string {
	var dns *net.DNSError
	var operation *net.OpError
	switch {
	case errors.As(err, &dns):
		return "the name " + dns.Name + " is not known"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, redis.ErrPoolTimeout):
		// A handshake that runs into its deadline says so without the operation, and
		// who waits for a connection while all of them hang is told of the pool.
		return "it did not answer in time"
	case errors.As(err, &operation) && operation.Timeout():
		return "it did not answer in time"
	case errors.Is(err, syscall.EPIPE), errors.Is(err, syscall.ECONNRESET):
		return closed
	case errors.As(err, &operation):
		return fmt.Sprintf("%s %s: %v", operation.Op, operation.Addr, operation.Err)
	default:
		return closed
	}
}

// closed names what makes a server hang up that is there: it says why, but the
// client may not get to read it.
const closed = "the server closed the connection; it may have reached maxclients, be in protected mode, accept only TLS, " +
	"or require a client certificate (redis.external.tls.clientCertSecretRef, in a config file certFile and keyFile)"
