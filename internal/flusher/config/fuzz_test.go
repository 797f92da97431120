// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package config_test

import (
	"reflect"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/writebehind/operator/internal/flusher/config"
)

// named matches an error that tells where to look: a field by its path, the line of
// a YAML fault, or the file as a whole.
var named = regexp.MustCompile(`^(\S.*: .+: (give|write) .+|\S+: null is not allowed: .+|yaml: .+|the file (is|holds) .+)$`)

// FuzzConfig gives any bytes for a config file. Either it is usable, and then it
// is written to a file that means the same, or one line says which field is wrong.
func FuzzConfig(f *testing.F) {
	for _, seed := range []string{
		minimal,
		minimal + "flush: {batchSize: 0}\n",
		minimal + "flush: {intervalMilliseconds: 10, batchSize: 1, concurrency: 64, maxInFlightMebibytes: 16384, maxRetries: 0, circuitBreaker: {failureThreshold: 1}}\n",
		minimal + "backpressure: {maxQueueDepth: 1, warningQueueDepth: 1, criticalQueueDepth: 1, whenFull: Accept}\n",
		minimal + "owner: \"\"\n",
		minimal + "owner: !!binary /w==\n",
		minimal + "owner: \"\\0\\n\\u2028\\x7f\"\nrevision: 9007199254740991\nsuspend: true\ndraining: true\nlistenAddress: '[::1]:0'\n",
		"mappings: [null, 3]",
		"a: &a [1]\nb: *a\n---\n? [x]\n: !!binary aGk=\n",
		"&a [*a]",
		"{? {a: b} : c, 1: 2, 1.5: 3, ~: 4, true: 5}",
		"<<: {redis: 1}\n",
		strings.ReplaceAll(minimal, "keyColumn: id", "keyColumn: id, columns: []"),
		strings.ReplaceAll(minimal, "keyColumn: id", `keyColumn: "i\"d", columns: [{field: $, column: doc}, {field: "a b", column: "A"}], timeToLiveSeconds: 0, retired: true, partitions: 256`),
		strings.ReplaceAll(minimal, "addresses:", "tls: {}, addresses:"),
		strings.ReplaceAll(minimal, "addresses:", "tls: {caFile: /ca, certFile: /c, keyFile: /k, caSecret: s}, usernameFile: /u, passwordFile: /p, addresses:"),
		`{"redis":{"external":{"addresses":["a:1"]}},"database":{"postgres":{"urlFile":"/uri"}},"mappings":[{"name":"a","keyPrefix":"ä","table":"t","keyColumn":"k"}]}`,
		"\ufeff" + minimal,
		"\xff\xfe\x00",
		strings.Repeat("[", 20000),
		strings.Repeat("a: {", 5000),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := config.Parse(data)
		if err != nil {
			if !named.MatchString(err.Error()) || strings.ContainsAny(err.Error(), "\n\r") || !utf8.ValidString(err.Error()) {
				t.Errorf("error %q is not one line that says where to look", err)
			}
			return
		}
		written, err := c.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		again, err := config.Parse(written)
		if err != nil {
			t.Fatalf("what was accepted is not accepted again: %v\n%s", err, written)
		}
		if !reflect.DeepEqual(c, again) {
			t.Errorf("came back as %+v\nwas %+v\nfrom\n%s", again, c, written)
		}
	})
}
