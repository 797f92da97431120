// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	cachev1alpha1 "github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/config"
)

// oldestMajor is the first Redis with function libraries.
const oldestMajor = 7

// Check looks whether the journal can work on this Redis, loads the function
// library where it is missing, and says in the resource's own words what is in
// the way. Whether Redis takes writes it finds out by writing.
func (j *Journal) Check(ctx context.Context) config.Check {
	if err := j.checkVersion(ctx); err != nil {
		return Explain(err)
	}
	if _, err := j.EnsureLibrary(ctx); err != nil {
		return Explain(err)
	}
	if err := j.call(ctx, "wb_engine_probe").Err(); err != nil {
		return Explain(err)
	}
	return config.Check{OK: true}
}

type versionError struct{ version string }

func (e *versionError) Error() string {
	return "the server has version " + e.version
}

type replicaError struct{}

func (*replicaError) Error() string { return "the server is a replica" }

func (j *Journal) checkVersion(ctx context.Context) error {
	info, err := j.rdb.Info(ctx, "server", "replication").Result()
	if err != nil {
		return err
	}
	version := infoField(info, "redis_version")
	major, _, _ := strings.Cut(version, ".")
	if n, err := strconv.Atoi(major); err != nil || n < oldestMajor {
		return &versionError{version: version}
	}
	if role := infoField(info, "role"); role == "slave" {
		return &replicaError{}
	}
	return nil
}

func infoField(info, name string) string {
	for line := range strings.Lines(info) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// answers maps the code of a server's error to what a person should know and do.
// The code is the only part of the error that is shown: the rest may quote keys.
var answers = map[string]config.Check{
	"NOAUTH": {
		Reason:  cachev1alpha1.ReasonAuthenticationFailed,
		Message: "Redis asks for a password and none was given: set redis.external.credentialsSecretRef",
	},
	"WRONGPASS": {
		Reason:  cachev1alpha1.ReasonAuthenticationFailed,
		Message: "Redis refuses the user name or the password: correct the credentials Secret",
	},
	"NOPERM": {
		Reason:  cachev1alpha1.ReasonPrivilegeMissing,
		Message: "the Redis user lacks a right: give it the commands and keys of the flusher, as in ACL SETUSER name +@all ~*",
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
		Reason:  cachev1alpha1.ReasonPersistenceFailing,
		Message: "Redis cannot persist and refuses writes: look at its log and its disk",
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
	"WBJOURNAL": {
		Reason:  cachev1alpha1.ReasonJournalMismatch,
		Message: "the queue holds entries made with another prefix, mode or encoding: let them be flushed with those settings first",
	},
}

// Explain says in the resource's words what an error from Redis means. Nothing of
// a server's own text is repeated but its code.
func Explain(err error) config.Check {
	var secret *SecretError
	var version *versionError
	var replica *replicaError
	var authority x509.UnknownAuthorityError
	var host x509.HostnameError
	var network net.Error
	switch {
	case errors.As(err, &secret):
		return config.Check{Reason: cachev1alpha1.ReasonSecretMissing, Message: secret.Error()}
	case errors.As(err, &version):
		return config.Check{
			Reason:  cachev1alpha1.ReasonVersionTooOld,
			Message: fmt.Sprintf("Redis has version %s: version %d or later is needed for function libraries", version.version, oldestMajor),
		}
	case errors.As(err, &replica):
		return answers["READONLY"]
	case errors.As(err, &authority):
		return config.Check{
			Reason:  cachev1alpha1.ReasonConnectionFailed,
			Message: "Redis shows a certificate of an unknown authority: set redis.external.tls.caSecretRef to the right one",
		}
	case errors.As(err, &host):
		return config.Check{
			Reason:  cachev1alpha1.ReasonConnectionFailed,
			Message: "Redis shows a certificate for another host: use an address that the certificate names",
		}
	}
	if strings.Contains(err.Error(), "already exists") {
		return config.Check{
			Reason:  cachev1alpha1.ReasonCommandFailed,
			Message: "another function library in Redis has functions of the same names: remove it with FUNCTION DELETE (FUNCTION LIST shows it)",
		}
	}
	if check, ok := answers[errorCode(err)]; ok {
		return check
	}
	if errors.As(err, &network) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, net.ErrClosed) || isClosed(err) {
		return config.Check{
			Reason:  cachev1alpha1.ReasonConnectionFailed,
			Message: "Redis cannot be reached: " + networkProblem(err) + "; check the address, the network policies and the server",
		}
	}
	return config.Check{
		Reason:  cachev1alpha1.ReasonCommandFailed,
		Message: fmt.Sprintf("Redis answered with an error of code %q: look at its log", errorCode(err)),
	}
}

// errorCode is the first word of the server's own error.
func errorCode(err error) string {
	var answer redis.Error
	if !errors.As(err, &answer) {
		return ""
	}
	// Redis 7.0 gives no code of its own to what a function may not do.
	if strings.Contains(answer.Error(), "The user executing the script can't") {
		return "NOPERM"
	}
	code, _, _ := strings.Cut(answer.Error(), " ")
	return code
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
	case errors.As(err, &operation):
		if operation.Timeout() {
			return "it did not answer in time"
		}
		return fmt.Sprintf("%s %s: %v", operation.Op, operation.Addr, operation.Err)
	default:
		return "the connection was closed"
	}
}
