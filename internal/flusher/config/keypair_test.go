// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"encoding/pem"
	"os"
	"strings"
	"testing"

	"github.com/writebehind/operator/internal/flusher/certtest"
)

func TestWhatIsWrongWithACertificateAndItsKeyIsTold(t *testing.T) {
	t.Parallel()
	authority, err := certtest.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	issue := func(name string) (cert, key string) {
		certFile, keyFile, err := authority.Issue(name)
		if err != nil {
			t.Fatal(err)
		}
		certText, err := os.ReadFile(certFile)
		if err != nil {
			t.Fatal(err)
		}
		keyText, err := os.ReadFile(keyFile)
		if err != nil {
			t.Fatal(err)
		}
		return string(certText), string(keyText)
	}
	cert, key := issue("one")
	_, strange := issue("other")
	secret := []byte("of no use without its passphrase")
	locked := string(pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: secret}))
	legacy := string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Headers: map[string]string{"Proc-Type": "4,ENCRYPTED", "DEK-Info": "AES-128-CBC,00"}, Bytes: secret}))
	for name, test := range map[string]struct{ cert, key, says string }{
		"a pair":                          {cert, key, ""},
		"a pair with blanks":              {"\n" + cert + " \n\n", "\r\n" + key + "\n \t\n", ""},
		"a pair that speaks of ENCRYPTED": {cert, "# not ENCRYPTED\n" + key, ""},
		"one file for both":               {cert + key, cert + key, ""},
		"an encrypted key":                {cert, locked, "private key that is encrypted"},
		"an encrypted key behind others":  {cert, cert + "\n" + locked, "private key that is encrypted"},
		"an encrypted key of old":         {cert, legacy, "private key that is encrypted"},
		"an encrypted key, swapped":       {locked, cert, "private key that is encrypted"},
		"swapped files":                   {key, cert, "the wrong way round"},
		"the certificate twice":           {cert, cert, "no private key in PEM form"},
		"the key twice":                   {key, key, "no certificate in PEM form"},
		"another's key":                   {cert, strange, "no pair of certificate and key"},
		"a key cut short":                 {cert, key[:len(key)/2], "no private key in PEM form"},
		"a certificate that is none":      {"-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n", key, "no pair of certificate and key"},
		"no text at all":                  {"", " \n", "no certificate in PEM form"},
	} {
		_, err := KeyPair([]byte(test.cert), []byte(test.key))
		if test.says == "" && err != nil || test.says != "" && (err == nil || !strings.Contains(err.Error(), test.says)) {
			t.Errorf("%s: KeyPair = %v; want %q", name, err, test.says)
		}
		if ofKey := strings.Contains(test.says, "private key"); OfKey(err) != ofKey {
			t.Errorf("%s: %v is told of the key: %v", name, err, OfKey(err))
		}
	}
}
