// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"testing"

	"github.com/writebehind/operator/internal/flusher/config"
)

func TestADirectoryInACertificatesPlaceIsToldAsOne(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, err := tlsConfig(&config.TLS{CAFile: dir, CASecret: "Secret shop-ca, key ca.crt"}, "redis:6379")
	if err == nil || err.Error() != "Secret shop-ca, key ca.crt is a directory: name the file in it" {
		t.Errorf("tlsConfig = %v; want what is wrong", err)
	}
	_, err = tlsConfig(&config.TLS{CAFile: dir + "/gone"}, "redis:6379")
	if err == nil || err.Error() != "file "+dir+"/gone is missing: create it with the key that the spec names" {
		t.Errorf("tlsConfig = %v; want what is wrong", err)
	}
}
