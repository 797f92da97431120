// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"crypto/x509"
	"errors"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"

	cachev1alpha1 "github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/config"
)

// explainElection explains what is in the way between Sentinels and the primary.
func explainElection(err error) (config.Check, bool) {
	var deaf *sentinelError
	var primary *primaryError
	var host x509.HostnameError
	switch {
	case errors.As(err, &deaf):
		return explainSentinel(deaf), true
	case !errors.As(err, &primary):
		return config.Check{}, false
	case errors.As(err, &host):
		return config.Check{
			Reason: cachev1alpha1.ReasonConnectionFailed,
			Message: fmt.Sprintf("the primary %s, as the Sentinels report it, presented a certificate for another host: give it one that names this host, "+
				"or have the Sentinels report host names (sentinel resolve-hostnames yes, sentinel announce-hostnames yes)", primary.address),
		}, true
	case primary.down:
		return config.Check{
			Reason: cachev1alpha1.ReasonNoPrimary,
			Message: fmt.Sprintf("the Sentinels hold the primary of %s, %s, for down and have elected no other: "+
				"bring it back, or a replica that is connected to it and more than half of all Sentinels (SENTINEL CKQUORUM %s says what they lack)",
				primary.master, primary.address, primary.master),
		}, true
	}
	return config.Check{}, false
}

func explainSentinel(e *sentinelError) config.Check {
	who := "Sentinel " + e.address
	if errors.As(e.err, new(*behindError)) {
		return config.Check{
			Reason: cachev1alpha1.ReasonSentinelsUnreachable,
			Message: fmt.Sprintf("%d of %d Sentinels answer, and tell an older primary of %s than was told before: they may be cut off with it; "+
				"bring back those that do not answer", e.answered, e.asked, e.master),
		}
	}
	if check, ok := explainTLS(e.err, who); ok {
		check.Reason = cachev1alpha1.ReasonSentinelTLSFailed
		return check
	}
	if check, ok := explainSentinelAnswer(e, who); ok {
		return check
	}
	return config.Check{
		Reason: cachev1alpha1.ReasonSentinelsUnreachable,
		Message: fmt.Sprintf("%d of %d Sentinels tell of a primary, and more than half have to, or it may be an old one: %s cannot be reached: %s; "+
			"check redis.external.addresses, the network policies and the Sentinels", e.answered, e.asked, who, networkProblem(e.err)),
	}
}

// explainSentinelAnswer explains an error that a Sentinel has answered with.
func explainSentinelAnswer(e *sentinelError, who string) (config.Check, bool) {
	var answer redis.Error
	if !errors.As(e.err, &answer) {
		return config.Check{}, false
	}
	secrets := ""
	if e.secrets != "" {
		secrets = " (" + e.secrets + ")"
	}
	text, code := answer.Error(), errorCode(answer)
	switch {
	case strings.Contains(text, "No such master"), errors.Is(e.err, redis.Nil):
		return config.Check{
			Reason: cachev1alpha1.ReasonPrimaryUnknown,
			Message: fmt.Sprintf("%s watches no primary by the name %s: set redis.external.masterName to one that SENTINEL MASTERS lists there",
				who, e.master),
		}, true
	case code == "NOAUTH":
		return config.Check{
			Reason: cachev1alpha1.ReasonSentinelAuthenticationFailed,
			Message: who + " asks for a password and none was given: set redis.external.sentinelCredentialsSecretRef (in a config file: sentinelPasswordFile); " +
				"the password of the servers is not sent to Sentinels",
		}, true
	case code == "WRONGPASS":
		return config.Check{
			Reason:  cachev1alpha1.ReasonSentinelAuthenticationFailed,
			Message: who + " refuses the user name or the password: correct the Secret of redis.external.sentinelCredentialsSecretRef" + secrets,
		}, true
	case code == "NOPERM":
		return config.Check{
			Reason:  cachev1alpha1.ReasonPrivilegeMissing,
			Message: fmt.Sprintf("the user at %s%s lacks a right: run there as an administrator: ACL SETUSER <user> %s", who, secrets, sentinelRights),
		}, true
	case code == "DENIED":
		return config.Check{
			Reason:  cachev1alpha1.ReasonSentinelsUnreachable,
			Message: who + " is in protected mode and takes connections from its own host only: set a password in its configuration, or protected-mode no",
		}, true
	case unknownCommand.MatchString(text):
		return config.Check{
			Reason: cachev1alpha1.ReasonClusterMode,
			Message: who + " is a server and no Sentinel: give the addresses of the Sentinels, whose usual port is 26379; " +
				"for this one server alone the mode is Standalone",
		}, true
	}
	return config.Check{
		Reason:  cachev1alpha1.ReasonSentinelsUnreachable,
		Message: fmt.Sprintf("%s answered with an error of code %q: look at its log", who, code),
	}, true
}

// sentinelRights are what a flusher's user needs at a Sentinel, in the words of ACL SETUSER.
const sentinelRights = "+sentinel|master +sentinel|get-master-addr-by-name +subscribe &+promoted-slave &+switch-master"
