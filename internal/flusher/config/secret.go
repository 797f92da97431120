// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package config

import "strings"

const (
	secretWord = "Secret "
	keyWord    = ", key "
)

// SecretKey is what messages call a key of a Secret, and the operator's text in
// urlSecret, usernameSecret, credentialsSecret and caSecret. A message adds no word such as
// "Secret" to it: a file written by hand may name any source.
func SecretKey(name, key string) string { return secretWord + name + keyWord + key }

// CutSecretKey splits the result of SecretKey; ok is false for any other text.
func CutSecretKey(text string) (name, key string, ok bool) {
	rest, secret := strings.CutPrefix(text, secretWord)
	name, key, ok = strings.Cut(rest, keyWord)
	return name, key, secret && ok
}
