// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"crypto/tls"
	"encoding/pem"
	"errors"
	"strings"
)

// What can be wrong with the files of a client's certificate, in words that follow the
// name of a Secret or a file. The TLS library's errors say less, and may quote secrets.
var (
	errKeyEncrypted = errors.New("holds a private key that is encrypted, and nobody is there to enter its passphrase: write it without one: openssl pkey -in tls.key -out plain.key")
	errSwapped      = errors.New("holds certificate and key the wrong way round: the certificate belongs into certFile (tls.crt of a Secret), the key into keyFile (tls.key)")
	errNoCert       = errors.New("holds no certificate in PEM form (BEGIN CERTIFICATE) in certFile (tls.crt of a Secret)")
	errNoKey        = errors.New("holds no private key in PEM form (BEGIN PRIVATE KEY) in keyFile (tls.key of a Secret)")
	errNoPair       = errors.New("holds no pair of certificate and key in PEM form (tls.crt and tls.key of a Secret): the key must be the first certificate's own")
)

// KeyPair reads a client's certificate and its key. An error names their fault and quotes
// nothing of their content.
func KeyPair(cert, key []byte) (tls.Certificate, error) {
	pair, err := tls.X509KeyPair(cert, key)
	if err == nil {
		return pair, nil
	}
	inCert, inKey := blocksOf(cert), blocksOf(key)
	switch {
	case inKey.encrypted || inCert.encrypted && inKey.certs > 0:
		err = errKeyEncrypted
	case inCert.keys > 0 && inKey.certs > 0 && inCert.certs == 0 && inKey.keys == 0:
		err = errSwapped
	case inCert.certs == 0:
		err = errNoCert
	case inKey.keys == 0:
		err = errNoKey
	default:
		err = errNoPair
	}
	return tls.Certificate{}, err
}

// OfKey reports whether an error of KeyPair is about the file of the key.
func OfKey(err error) bool { return errors.Is(err, errKeyEncrypted) || errors.Is(err, errNoKey) }

// blocks is what a file in PEM form holds. encrypted says that its first key is.
type blocks struct {
	certs, keys int
	encrypted   bool
}

func blocksOf(file []byte) (b blocks) {
	for block, rest := pem.Decode(file); block != nil; block, rest = pem.Decode(rest) {
		switch {
		case block.Type == "CERTIFICATE":
			b.certs++
		case strings.HasSuffix(block.Type, "PRIVATE KEY"):
			if b.keys++; b.keys == 1 {
				b.encrypted = block.Type == "ENCRYPTED PRIVATE KEY" || strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED")
			}
		}
	}
	return b
}
