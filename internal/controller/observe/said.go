// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"regexp"
	"strings"
	"unicode"

	"github.com/writebehind/operator/api/v1alpha1"
)

const (
	saysMark = " says: "
	// leftOut stands where a command stood.
	leftOut = "[a command, for which see the pod's log]"
)

// Said is a text of a pod as it stands in the status and in events: behind the mark of who
// said it, in one line, bounded, and without a command. Whoever has the pod in hand may let it
// say anything, and what stands in the operator's status is read as the operator's advice.
func Said(pod, text string) string {
	if text == "" {
		return ""
	}
	return "flusher pod " + pod + saysMark + Harmless(text)
}

// Harmless is a text of a pod in one line, bounded, and without a command.
func Harmless(text string) string {
	text = strings.Join(strings.Fields(Cut(text, mostText)), " ")
	if at := command.FindStringIndex(text); at != nil {
		text = text[:at[0]] + leftOut
	}
	return text
}

// WhatWasSaid is a text without the mark of the pod that said it.
func WhatWasSaid(text string) string {
	if _, said, marked := strings.Cut(text, saysMark); marked {
		return said
	}
	return text
}

// command finds where a text begins to be one that a shell, Redis or PostgreSQL would run. What
// comes after it belongs to it, or to the next.
var command = regexp.MustCompile(`(?i:\b(?:kubectl|helm|docker|podman|crictl|ctr|sudo|su|sh|bash|zsh|curl|wget|nc|ssh|scp|psql|redis-cli|openssl` +
	`|python3?|perl|ruby|node|eval|exec|chmod|chown|rm|dd|base64|pg_[a-z]+)\s+[-/~'"$a-z0-9])` +
	`|(?i:\b(?:https?|ftp|file|data)://\S)` +
	`|(?i:\b(?:grant|revoke|alter|create|drop|truncate|comment|reassign)\s+(?:all|any|role|user|table|schema|database` +
	`|extension|function|server|publication|subscription|policy|index|trigger|usage|select|insert|update|delete|create|connect|execute|system|default|owned|or|on)\b)` +
	`|\b(?:ACL|CONFIG|FUNCTION|SCRIPT|CLIENT|CLUSTER|SENTINEL|MODULE|DEBUG|GRANT|REVOKE|ALTER|CREATE|DROP` +
	`|SELECT|INSERT|UPDATE|DELETE|TRUNCATE|COPY|DO|CALL|SET|RESET|DEL|UNLINK|EVAL|FCALL|REPLICAOF|SLAVEOF|FLUSHALL|FLUSHDB|SHUTDOWN|MIGRATE|RESTORE)\s+[A-Za-z0-9_"'$*~+&@%]` +
	`|\b(?:FLUSHALL|FLUSHDB|SHUTDOWN)\b` + "|[`|<>]|[$][({a-zA-Z]|&&|;;")

// shownName keeps of a name that a pod gives what a name has.
func shownName(text string, limit int) string {
	return Cut(strings.Map(func(r rune) rune {
		if r < unicode.MaxASCII && (unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("-_.:", r)) {
			return r
		}
		return '_'
	}, text), limit)
}

// reasonWord is what every reason of this product is.
var reasonWord = regexp.MustCompile(`^[A-Z][A-Za-z0-9]{0,63}$`)

// shownReason keeps a reason, and replaces what is none.
func shownReason(text string) string {
	if text == "" || reasonWord.MatchString(text) {
		return text
	}
	return v1alpha1.ReasonCommandFailed
}
