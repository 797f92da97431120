// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	cachev1alpha1 "github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/journal"
)

// rights are the commands that a reader runs, in the words of ACL SETUSER.
const rights = "+psync +replconf +ping +info +command +config|get +scan +multi +exec +get +set +mget +type +pttl +hgetall +hmget +hlen +zscore +zrange +xrange"

// Rights are the commands that a reader runs, and what looks at keys from outside.
func Rights() string { return rights }

// instead is what helps where a server cannot be read as a replica reads.
const instead = "give the address of a Redis that takes replicas, or use capture Functions"

// Explain says in the resource's words what an error of the link or of its streams means.
// Nothing of a server's own text is repeated but names of commands.
func (l *Link) Explain(err error) config.Check {
	var refusal *Refusal
	switch {
	case errors.Is(err, ErrMisaligned):
		return config.Check{
			Reason:  cachev1alpha1.ReasonCommandFailed,
			Message: "Redis goes on with its stream of replication somewhere else than where it was left: all keys have to be read again",
		}
	case errors.Is(err, errNoCommand), errors.Is(err, errNoPrimary):
		return config.Check{
			Reason: cachev1alpha1.ReasonCommandFailed,
			Message: "Redis answers to a replica in a way that none of its releases does, as a proxy in front of it may: " +
				instead,
		}
	case errors.Is(err, errUnanswered):
		return config.Check{
			Reason: cachev1alpha1.ReasonConnectionFailed,
			Message: "Redis, or a proxy in front of it, does not answer the command PSYNC, or ends the connection: it stops or cannot fork, as its log says, " +
				"or it takes no replicas, as managed services do: " + instead,
		}
	case errors.Is(err, errCut) && l.settings.MasterName != "":
		return config.Check{
			Reason: cachev1alpha1.ReasonConnectionFailed,
			Message: "the connection of the replica has ended: the Sentinels name another primary, or Redis stops, became a replica itself, or had more " +
				"waiting than client-output-buffer-limit allows for class replica: raise that where its log says so",
		}
	case errors.Is(err, errCut):
		return config.Check{
			Reason: cachev1alpha1.ReasonConnectionFailed,
			Message: "Redis has ended the connection of its replica: it stops, it became a replica itself, or more was waiting than " +
				"client-output-buffer-limit allows for class replica: raise that where its log says so",
		}
	case errors.As(err, &refusal):
		if check, ok := l.explainRefusal(refusal); ok {
			return check
		}
	}
	return journal.New(nil).WithMaster(l.settings.MasterName).Explain(err)
}

// explainRefusal explains what is said to replicas alone.
func (l *Link) explainRefusal(r *Refusal) (config.Check, bool) {
	code, _, _ := strings.Cut(r.Text, " ")
	switch {
	case code == "NOPERM":
		check := config.Check{
			Reason: cachev1alpha1.ReasonPrivilegeMissing,
			Message: fmt.Sprintf("Redis user %[1]s lacks a right (command %[2]s): run as an administrator: ACL SETUSER %[1]s %[3]s",
				l.user(), strings.ToLower(r.Command), rights),
		}
		if l.settings.MasterName != "" {
			check.Message += journal.OfEveryServer
		}
		if r.Command == psync || r.Command == replconf {
			check.Message += "; a managed service that does not let anybody have it takes no replicas: use capture Functions there"
		}
		return check, true
	case r.Command != psync && r.Command != replconf:
		return config.Check{}, false
	case code == "NOMASTERLINK":
		return config.Check{
			Reason:  cachev1alpha1.ReasonReadOnlyReplica,
			Message: "the address leads to a replica that has lost its primary: give the address of the primary",
		}, true
	case code == "ERR":
		return config.Check{
			Reason:  cachev1alpha1.ReasonCommandFailed,
			Message: fmt.Sprintf("Redis refuses the command %s, and with it any replica, as managed services do: %s", r.Command, instead),
		}, true
	}
	return config.Check{}, false
}

var plainUser = regexp.MustCompile(`^[A-Za-z0-9_.@-]+$`)

// user is what ACL SETUSER calls the user of the link.
func (l *Link) user() string { return userOf(l.settings) }

func userOf(settings config.RedisExternal) string {
	name, _, err := journal.Credentials(settings)
	switch {
	case err != nil, name != "" && !plainUser.MatchString(name):
		return "name"
	case name == "":
		return "default"
	}
	return name
}
