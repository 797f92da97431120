// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package config

import "strings"

const (
	secretWord = "Secret "
	keyWord    = ", key "
)

// SecretKey is what messages call a key of a Secret, and the operator's text in
// urlSecret, usernameSecret, credentialsSecret and caSecret. Whoever shows one of these
// adds no word of its own to it: a file written by hand may call its source anything.
func SecretKey(name, key string) string { return secretWord + name + keyWord + key }

// CutSecretKey takes apart what SecretKey made; ok is false for other words.
func CutSecretKey(text string) (name, key string, ok bool) {
	rest, secret := strings.CutPrefix(text, secretWord)
	name, key, ok = strings.Cut(rest, keyWord)
	return name, key, secret && ok
}
