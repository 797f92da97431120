// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package config_test

import (
	"context"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/writebehind/operator/internal/flusher/config"
)

const minimal = `
redis: {external: {addresses: ["127.0.0.1:6379"]}}
database: {postgres: {urlFile: /uri}}
mappings: [{name: products, keyPrefix: "product:", table: public.products, keyColumn: id}]
`

func TestTheSampleIsTakenAndSaysTheDefaultAddress(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "config", "samples", "flusher.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := config.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	if c.ListenAddress != config.Default().ListenAddress || c.Mappings[0].Name != "products" {
		t.Errorf("the sample says %+v", c)
	}
}

func TestWhatIsLeftOutHasTheDefault(t *testing.T) {
	c, err := config.Parse([]byte(minimal))
	if err != nil {
		t.Fatal(err)
	}
	m := c.Mappings[0]
	got := []any{
		c.ListenAddress, c.Owner, c.Capture, c.Redis.External.Mode, c.Database.Postgres.MaxConnections, c.Database.Postgres.StatementTimeoutSeconds,
		c.Database.Postgres.LedgerSchema, m.Mode, m.Encoding, m.Partitions, m.TimeToLiveSeconds, m.OnDelete,
		c.Flush.IntervalMilliseconds, c.Flush.BatchSize, c.Flush.Concurrency, c.Flush.MaxInFlightMebibytes, c.Backpressure.MaxQueueDepth, c.Backpressure.WhenFull,
	}
	want := []any{"127.0.0.1:8080", "file", "Functions", "Standalone", 4, 30, "writebehind", "Latest", "JSON", 16, 3600, "Delete", 5000, 100, 4, 64, 100000, "Reject"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("defaults are %v, want %v", got, want)
	}
}

// TestADefaultThatEarlierFlushersDoNotKnowIsNotWritten: they refuse unknown fields.
func TestADefaultThatEarlierFlushersDoNotKnowIsNotWritten(t *testing.T) {
	c, err := config.Parse([]byte(minimal))
	if err != nil {
		t.Fatal(err)
	}
	for capture, written := range map[string]bool{config.CaptureFunctions: false, config.CaptureReplication: true} {
		c.Capture = capture
		data, err := c.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(string(data), "capture"); got != written {
			t.Errorf("capture %s: written is %t, want %t", capture, got, written)
		}
		if back, err := config.Parse(data); err != nil || !reflect.DeepEqual(back, c) {
			t.Errorf("capture %s: read back %+v, %v", capture, back, err)
		}
	}
	for value, written := range map[int]bool{64: false, 63: true, 8: true} {
		c.Flush.MaxInFlightMebibytes = value
		data, err := c.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(string(data), "maxInFlightMebibytes"); got != written {
			t.Errorf("of %d: written is %t, want %t", value, got, written)
		}
		if back, err := config.Parse(data); err != nil || !reflect.DeepEqual(back, c) {
			t.Errorf("of %d: read back %+v, %v", value, back, err)
		}
	}
}

func TestMarshalAndParseAgree(t *testing.T) {
	c, err := config.Parse([]byte(minimal))
	if err != nil {
		t.Fatal(err)
	}
	c.Mappings[0].TimeToLiveSeconds = 0
	c.Mappings[0].Columns = []config.Column{{Field: "$", Column: "document"}}
	c.Redis.External = config.RedisExternal{
		Mode: config.ModeSentinel, MasterName: "m", Addresses: []string{"b:1", "a:1"},
		PasswordFile: "/p", SentinelUsernameFile: "/u", SentinelPasswordFile: "/s", TLS: &config.TLS{},
	}
	data, err := c.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	again, err := config.Parse(data)
	if err != nil || !reflect.DeepEqual(c, again) {
		t.Errorf("came back as %+v, %v\nfrom\n%s", again, err, data)
	}
}

// TestBadInputIsNamed changes one thing of a good config at a time.
func TestBadInputIsNamed(t *testing.T) {
	for name, c := range map[string]struct {
		old, new string
		want     []string
	}{
		"empty":                    {minimal, "", []string{"empty", "redis, database and mappings"}},
		"no yaml":                  {minimal, "{", []string{"yaml"}},
		"unknown field":            {"mappings:", "maxQueueDepth: 5\nmappings:", []string{"maxQueueDepth", "unknown"}},
		"unknown mapping field":    {"keyColumn: id", "keyColumn: id, timeToLife: 5", []string{"mappings[0]", "timeToLife"}},
		"text for a number":        {"mappings:", "flush: {batchSize: many}\nmappings:", []string{`flush.batchSize: "many" is not allowed: give a whole number`}},
		"half a number":            {"mappings:", "flush: {batchSize: 1.5}\nmappings:", []string{`flush.batchSize: "1.5" is not allowed: give a whole number`}},
		"a boundless number":       {"mappings:", "flush: {batchSize: .inf}\nmappings:", []string{`flush.batchSize: "+Inf" is not allowed: give a whole number`}},
		"a list for a number":      {"mappings:", "flush: {batchSize: [1]}\nmappings:", []string{"flush.batchSize: a list is not allowed: give a whole number"}},
		"an object for a number":   {"mappings:", "flush: {batchSize: {a: 1}}\nmappings:", []string{"flush.batchSize: an object is not allowed: give a whole number"}},
		"text for a switch":        {"mappings:", "suspend: 'yes'\nmappings:", []string{`suspend: "yes" is not allowed: give true or false`}},
		"a number for text":        {"keyColumn: id", "keyColumn: 5", []string{`mappings[0].keyColumn: "5" is not allowed: give text, in quotes`}},
		"text for a list":          {`["127.0.0.1:6379"]`, "127.0.0.1:6379", []string{`redis.external.addresses: "127.0.0.1:6379" is not allowed: give a list`}},
		"text for fields":          {"mappings:", "flush: fast\nmappings:", []string{`flush: "fast" is not allowed: give the fields intervalMilliseconds, batchSize`}},
		"text for a mapping":       {"mappings: [", "mappings: [x, ", []string{`mappings[0]: "x" is not allowed: give the fields name, keyPrefix`}},
		"wrong type in a mapping":  {"keyColumn: id", "keyColumn: id, partitions: x", []string{`mappings[0].partitions: "x" is not allowed: give a whole number`}},
		"wrong type in a column":   {"keyColumn: id", "keyColumn: id, columns: [{field: 1}]", []string{`mappings[0].columns[0].field: "1" is not allowed: give text`}},
		"no document":              {minimal, "- a\n- b\n", []string{"the file holds a list", "redis, database and mappings"}},
		"comments alone":           {minimal, "# later\n", []string{"empty", "redis, database and mappings"}},
		"a second document":        {"database:", "---\ndatabase:", []string{"second YAML document"}},
		"rubbish after the end":    {minimal, minimal + "...\n{", []string{"second YAML document"}},
		"null":                     {"mappings:", "flush: {batchSize: }\nmappings:", []string{"flush.batchSize: null is not allowed: give a whole number, or leave the field out"}},
		"null for fields":          {"mappings:", "flush:\nmappings:", []string{"flush: null is not allowed: give the fields"}},
		"null for TLS":             {"addresses:", "tls: , addresses:", []string{"redis.external.tls: null is not allowed: give the fields caFile"}},
		"null in a mapping":        {"keyColumn: id", "keyColumn: id, timeToLiveSeconds: ~", []string{"mappings[0].timeToLiveSeconds: null is not allowed: give a whole number"}},
		"null for a mapping":       {"mappings: [", "mappings: [~, ", []string{"mappings[0]: null is not allowed"}},
		"another case":             {"mappings:", "flush: {batchsize: 5}\nmappings:", []string{`flush.batchsize: "batchsize" is an unknown field: write batchSize`}},
		"another case, both":       {"mappings:", "Flush: {batchSize: 5}\nflush: {batchSize: 6}\nmappings:", []string{`Flush: "Flush" is an unknown field: write flush`}},
		"another case, mapping":    {"keyColumn: id", "keycolumn: id", []string{`mappings[0].keycolumn: "keycolumn" is an unknown field: write keyColumn`}},
		"a field twice":            {"mappings:", "suspend: true\nsuspend: false\nmappings:", []string{`line 5: key "suspend" already set in map`}},
		"a field on many lines":    {"mappings:", "\"a\\nb\": 1\nmappings:", []string{"unknown field"}},
		"negative revision":        {"mappings:", "revision: -1\nmappings:", []string{`revision: "-1" is not allowed: give 0 to 9007199254740991`}},
		"boundless revision":       {"mappings:", "revision: 9007199254740992\nmappings:", []string{`revision: "9007199254740992" is not allowed`}},
		"more than 64 bits":        {"mappings:", "revision: 99999999999999999999\nmappings:", []string{`revision: "1e+20" is not allowed: give a whole number`}},
		"no address":               {`"127.0.0.1:6379"`, "", []string{"redis.external.addresses", "exactly one"}},
		"two addresses":            {`"127.0.0.1:6379"`, `"a:1", "b:2"`, []string{"redis.external.addresses", "a:1,b:2", "exactly one"}},
		"address without a port":   {"127.0.0.1:6379", "redis", []string{"addresses[0]", `"redis"`, "host:port"}},
		"port out of range":        {"127.0.0.1:6379", "redis:70000", []string{"addresses[0]", "1 to 65535"}},
		"unknown mode of redis":    {`addresses:`, `mode: Cluster, addresses:`, []string{"redis.external.mode", `"Cluster"`, "Standalone or Sentinel"}},
		"no Sentinel":              {`addresses: ["127.0.0.1:6379"]`, `mode: Sentinel, masterName: m, addresses: []`, []string{`redis.external.addresses: "" is not allowed`, "1 to 10 Sentinels"}},
		"11 Sentinels":             {`addresses: ["127.0.0.1:6379"]`, `mode: Sentinel, masterName: m, addresses: [a:1, b:1, c:1, d:1, e:1, f:1, g:1, h:1, i:1, j:1, k:1]`, []string{"redis.external.addresses", "1 to 10 Sentinels"}},
		"a Sentinel twice":         {`addresses: ["127.0.0.1:6379"]`, `mode: Sentinel, masterName: m, addresses: ["a:1", "b:1", "a:1"]`, []string{`redis.external.addresses[2]: "a:1" is not allowed: give each Sentinel once`}},
		"a Sentinel without port":  {`addresses: ["127.0.0.1:6379"]`, `mode: Sentinel, masterName: m, addresses: ["a:1", "b"]`, []string{`redis.external.addresses[1]: "b" is not allowed: give host:port`}},
		"no name of a primary":     {`addresses:`, `mode: Sentinel, addresses:`, []string{`redis.external.masterName: "" is not allowed: give the name by which the Sentinels watch the primary, such as mymaster`}},
		"a name with a space":      {`addresses:`, `mode: Sentinel, masterName: my master, addresses:`, []string{`redis.external.masterName: "my master" is not allowed`, "1 to 128 letters, digits, ., - and _"}},
		"a name without Sentinels": {`addresses:`, `masterName: m, addresses:`, []string{`redis.external.masterName: "m" is not allowed: give it in mode Sentinel alone`}},
		"their user without them":  {`addresses:`, `sentinelUsernameFile: /u, addresses:`, []string{`redis.external.sentinelUsernameFile: "/u" is not allowed: give it in mode Sentinel alone`}},
		"their word without them":  {`addresses:`, `sentinelPasswordFile: /p, addresses:`, []string{`redis.external.sentinelPasswordFile: "/p" is not allowed: give it in mode Sentinel alone`}},
		"their user alone":         {`addresses:`, `mode: Sentinel, masterName: m, sentinelUsernameFile: /u, addresses:`, []string{"redis.external.sentinelPasswordFile", "since sentinelUsernameFile is given"}},
		"user without password":    {`addresses:`, `usernameFile: /u, addresses:`, []string{"passwordFile"}},
		"half a certificate":       {`addresses:`, `tls: {certFile: /c}, addresses:`, []string{"redis.external.tls", "together"}},
		"half a client":            {`urlFile:`, `tls: {keyFile: /k}, urlFile:`, []string{"database.postgres.tls", "together"}},
		"no url":                   {"urlFile: /uri", "", []string{"database.postgres.urlFile"}},
		"no connections":           {"urlFile: /uri", "urlFile: /uri, maxConnections: 0", []string{"maxConnections", `"0"`, "1 to 100"}},
		"statement timeout":        {"urlFile: /uri", "urlFile: /uri, statementTimeoutSeconds: 9999", []string{"statementTimeoutSeconds", `"9999"`, "1 to 3600"}},
		"no mappings":              {`[{name: products, keyPrefix: "product:", table: public.products, keyColumn: id}]`, "[]", []string{"mappings", "1 to 32"}},
		"name":                     {"name: products", "name: Products", []string{"mappings[0].name", `"Products"`, "a-z"}},
		"prefix of the journal":    {`"product:"`, `"wb:x"`, []string{"mappings[0].keyPrefix", `"wb:x"`}},
		"no prefix":                {`"product:"`, `""`, []string{"mappings[0].keyPrefix"}},
		"table":                    {"public.products", `""`, []string{"mappings[0].table"}},
		"key column":               {"keyColumn: id", "keyColumn: \"\"", []string{"mappings[0].keyColumn"}},
		"key column with a NUL":    {"keyColumn: id", `keyColumn: "i\0d"`, []string{`mappings[0].keyColumn: "i\x00d" is not allowed`, "without control characters"}},
		"table with a line's end":  {"public.products", `"public.a\nb"`, []string{`mappings[0].table: "a\nb" is not allowed`, "without control characters"}},
		"column with an escape":    {"keyColumn: id", `keyColumn: id, columns: [{field: a, column: "\e[31m"}]`, []string{"mappings[0].columns[0].column", "without control characters"}},
		"ledger schema with a tab": {"urlFile: /uri", `urlFile: /uri, ledgerSchema: "a\tb"`, []string{"database.postgres.ledgerSchema", "without control characters"}},
		"version column":           {"keyColumn: id", `keyColumn: id, versionColumn: "a\tb"`, []string{"mappings[0].versionColumn", "without control characters"}},
		"version is the key":       {"keyColumn: id", "keyColumn: id, versionColumn: id", []string{"mappings[0].versionColumn", `"id"`, "keyColumn"}},
		"column is the version":    {"keyColumn: id", "keyColumn: id, versionColumn: v, columns: [{field: a, column: v}]", []string{"mappings[0].columns[0].column", `"v"`, "versionColumn"}},
		"mode":                     {"keyColumn: id", "keyColumn: id, mode: Increment", []string{"mappings[0].mode", `"Increment"`, "Latest"}},
		"encoding":                 {"keyColumn: id", "keyColumn: id, encoding: CSV", []string{`mappings[0].encoding: "CSV" is not allowed: give JSON`}},
		"on delete":                {"keyColumn: id", "keyColumn: id, onDelete: Keep", []string{"mappings[0].onDelete", `"Keep"`, "Delete"}},
		"partitions":               {"keyColumn: id", "keyColumn: id, partitions: 0", []string{"mappings[0].partitions", `"0"`, "1 to 256"}},
		"time to live":             {"keyColumn: id", "keyColumn: id, timeToLiveSeconds: -1", []string{"mappings[0].timeToLiveSeconds", `"-1"`}},
		"column is the key":        {"keyColumn: id", "keyColumn: id, columns: [{field: a, column: id}]", []string{"mappings[0].columns[0].column", `"id"`}},
		"column twice":             {"keyColumn: id", "keyColumn: id, columns: [{field: a, column: x}, {field: b, column: x}]", []string{"mappings[0].columns[1].column", "once"}},
		"column without field":     {"keyColumn: id", "keyColumn: id, columns: [{column: x}]", []string{"mappings[0].columns[0].field"}},
		"same name":                {"[{name: products", `[{name: products, keyPrefix: "x:", table: t, keyColumn: k}, {name: products`, []string{"mappings[1].name"}},
		"overlapping prefix":       {"[{name: products", `[{name: p, keyPrefix: "prod", table: t, keyColumn: k}, {name: products`, []string{"mappings[1].keyPrefix", "prod", "mapping p"}},
		"interval":                 {"mappings:", "flush: {intervalMilliseconds: 1}\nmappings:", []string{"flush.intervalMilliseconds", `"1"`, "10 to 3600000"}},
		"a written zero":           {"mappings:", "flush: {batchSize: 0}\nmappings:", []string{"flush.batchSize", `"0"`, "1 to 10000"}},
		"retries":                  {"mappings:", "flush: {maxRetries: -1}\nmappings:", []string{"flush.maxRetries", `"-1"`, "0 to 100"}},
		"failure threshold":        {"mappings:", "flush: {circuitBreaker: {failureThreshold: 0}}\nmappings:", []string{"flush.circuitBreaker.failureThreshold", `"0"`}},
		"open milliseconds":        {"mappings:", "flush: {circuitBreaker: {openMilliseconds: 1}}\nmappings:", []string{"flush.circuitBreaker.openMilliseconds", `"1"`}},
		"warning depth":            {"mappings:", "backpressure: {warningQueueDepth: 0}\nmappings:", []string{"backpressure.warningQueueDepth", `"0"`}},
		"critical depth":           {"mappings:", "backpressure: {criticalQueueDepth: 0}\nmappings:", []string{"backpressure.criticalQueueDepth", `"0"`}},
		"crossed depths":           {"mappings:", "backpressure: {warningQueueDepth: 8, criticalQueueDepth: 7}\nmappings:", []string{`backpressure.warningQueueDepth: "8" is not allowed: give at most backpressure.criticalQueueDepth, which is 7`}},
		"over a default depth":     {"mappings:", "backpressure: {warningQueueDepth: 10001}\nmappings:", []string{`backpressure.warningQueueDepth: "10001"`, "which is 10000 (10000 unless given)"}},
		"under a default depth":    {"mappings:", "backpressure: {criticalQueueDepth: 999}\nmappings:", []string{`backpressure.warningQueueDepth: "1000"`, "which is 999", "or raise that"}},
		"concurrency":              {"mappings:", "flush: {concurrency: 65}\nmappings:", []string{"flush.concurrency", "1 to 64"}},
		"in flight":                {"mappings:", "flush: {maxInFlightMebibytes: 7}\nmappings:", []string{`flush.maxInFlightMebibytes: "7" is not allowed: give 8 to 16384`}},
		"too much in flight":       {"mappings:", "flush: {maxInFlightMebibytes: 16385}\nmappings:", []string{"flush.maxInFlightMebibytes", `"16385"`, "8 to 16384"}},
		"queue depth":              {"mappings:", "backpressure: {maxQueueDepth: 0}\nmappings:", []string{"backpressure.maxQueueDepth", `"0"`}},
		"when full":                {"mappings:", "backpressure: {whenFull: Drop}\nmappings:", []string{"backpressure.whenFull", `"Drop"`, "Reject or Accept"}},
		"listen address":           {"mappings:", "listenAddress: 8080\nmappings:", []string{"listenAddress"}},
		"listen address, range":    {"mappings:", "listenAddress: 127.0.0.1:99999\nmappings:", []string{`listenAddress: "127.0.0.1:99999" is not allowed`, "0 to 65535"}},
		"listen address, negative": {"mappings:", "listenAddress: '127.0.0.1:-1'\nmappings:", []string{"listenAddress", "0 to 65535"}},
		"listen address, empty":    {"mappings:", "listenAddress: '127.0.0.1:'\nmappings:", []string{"listenAddress", "host:port"}},
		"listen address, no port":  {"mappings:", "listenAddress: localhost\nmappings:", []string{"listenAddress", "host:port"}},
		"too many fields in table": {"public.products", strings.Repeat("x", 64), []string{"mappings[0].table", "1 to 63"}},
	} {
		t.Run(name, func(t *testing.T) {
			if !strings.Contains(minimal, c.old) {
				t.Fatalf("the config has no %q", c.old)
			}
			_, err := config.Parse([]byte(strings.Replace(minimal, c.old, c.new, 1)))
			if err == nil {
				t.Fatal("is accepted")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not say %q", err, want)
				}
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("%q is more than one line", err)
			}
			for _, internal := range []string{"json:", "Go ", "unmarshal", "struct", "interface", "map["} {
				if strings.Contains(err.Error(), internal) {
					t.Errorf("%q speaks of the program's inside: %q", err, internal)
				}
			}
		})
	}
}

// People put a URL where an address or a file is asked for. What goes to the log and to
// the pod's status has no part of its user and password.
func TestNoPartOfAPasswordIsTold(t *testing.T) {
	const address, file = `"127.0.0.1:6379"`, "urlFile: /uri"
	for _, c := range []struct{ old, new, field string }{
		{address, `"redis://fl:S3cret@h:6379"`, "redis.external.addresses[0]"},
		{address, `"redis://:S3cret@h:6379/0"`, "redis.external.addresses[0]"},
		{address, `"rediss://fl:p@S3cret@h:6379"`, "redis.external.addresses[0]"},
		{address, `":S3cret@h:6379"`, "redis.external.addresses[0]"},
		{address, `"fl:S3cret@h:6379"`, "redis.external.addresses[0]"},
		{address, `"S3cret@h:6379"`, "redis.external.addresses[0]"},
		{address, `"fl:S3cret@h"`, "redis.external.addresses[0]"},
		{address, `"h:1", "fl:S3cret@h:6379"`, "redis.external.addresses"},
		{"addresses: [" + address, `mode: Sentinel, masterName: m, addresses: ["h:1", "fl:S3cret@h:6379"`, "redis.external.addresses[1]"},
		{address, `"redis://h:6379?password=S3cret"`, "redis.external.addresses[0]"},
		{`[` + address + `]`, `redis://fl:S3cret@h:6379`, "redis.external.addresses"},
		{`{addresses: [` + address + `]}`, `redis://fl:S3cret@h:6379`, "redis.external"},
		{`{addresses: [` + address + `]}`, `{"redis://fl:S3cret@h:6379": 1}`, "unknown field"},
		{file, `urlFile: "postgres://u:S3cret@h/db"`, "database.postgres.urlFile"},
		{file, `urlFile: ["postgres://u:S3cret@h/db"]`, "database.postgres.urlFile"},
		{"{" + file + "}", `"postgres://u:S3cret@h/db"`, "database.postgres"},
	} {
		t.Run(c.new, func(t *testing.T) {
			if !strings.Contains(minimal, c.old) {
				t.Fatalf("the config has no %q", c.old)
			}
			_, err := config.Parse([]byte(strings.Replace(minimal, c.old, c.new, 1)))
			if err == nil || !strings.Contains(err.Error(), c.field) || strings.Contains(err.Error(), "S3c") {
				t.Fatalf("%v; want %s and no secret", err, c.field)
			}
			if strings.Contains(c.field, "addresses") && strings.Contains(c.new, "@h") && strings.HasPrefix(c.new, `"`) &&
				!strings.Contains(err.Error(), "redis.external.passwordFile") {
				t.Errorf("%q does not say where user and password go", err)
			}
		})
	}
}

func TestDepthsThatStandTogether(t *testing.T) {
	for _, backpressure := range []string{
		"maxQueueDepth: 500", // under the default marks
		"warningQueueDepth: 7, criticalQueueDepth: 7",
		"maxQueueDepth: 3, warningQueueDepth: 8, criticalQueueDepth: 9",
		"criticalQueueDepth: 100000000",
	} {
		text := strings.Replace(minimal, "mappings:", "backpressure: {"+backpressure+"}\nmappings:", 1)
		if _, err := config.Parse([]byte(text)); err != nil {
			t.Errorf("%s: %v", backpressure, err)
		}
	}
}

func TestLiveSettingsAreNoPartOfTheStructure(t *testing.T) {
	parse := func() *config.Config {
		c, err := config.Parse([]byte(minimal))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	live := parse()
	live.Owner, live.Revision, live.Suspend, live.Draining = "x", 9, true, true
	live.Flush = config.Flush{IntervalMilliseconds: 1, BatchSize: 1, Concurrency: 1, MaxInFlightMebibytes: 8, MaxRetries: 9, CircuitBreaker: config.CircuitBreaker{FailureThreshold: 1}}
	live.Backpressure = config.Backpressure{MaxQueueDepth: 1, WhenFull: config.WhenFullAccept}
	live.Mappings[0].TimeToLiveSeconds, live.Mappings[0].Retired = 1, true
	if !live.SameStructure(parse()) {
		t.Error("a live setting counts as structure")
	}
	sentinels := func(addresses ...string) *config.Config {
		c := parse()
		c.Redis.External = config.RedisExternal{Mode: config.ModeSentinel, MasterName: "m", Addresses: addresses}
		return c
	}
	if !sentinels("a:1", "b:1").SameStructure(sentinels("b:1", "a:1")) {
		t.Error("the order of Sentinels counts as structure")
	}
	for name, change := range map[string]func(*config.Config){
		"primary": func(c *config.Config) { c.Redis.External.MasterName = "m" },
		"address": func(c *config.Config) { c.Redis.External.Addresses = []string{"x:1"} },
		"url":     func(c *config.Config) { c.Database.Postgres.URLFile = "/x" },
		"table":   func(c *config.Config) { c.Mappings[0].Table = "x" },
		"columns": func(c *config.Config) { c.Mappings[0].Columns = []config.Column{{Field: "a", Column: "b"}} },
		"version": func(c *config.Config) { c.Mappings[0].VersionColumn = "v" },
		"capture": func(c *config.Config) { c.Capture = config.CaptureReplication },
		"number":  func(c *config.Config) { c.Mappings[0].ValueColumn = "n" },
		"mapping": func(c *config.Config) { c.Mappings = append(c.Mappings, config.DefaultMapping()) },
	} {
		c := parse()
		change(c)
		if c.SameStructure(parse()) {
			t.Errorf("a changed %s does not count as structure", name)
		}
	}
}

// TestWatchSeesAFileThatIsReplaced replaces the file as a ConfigMap does.
func TestWatchSeesAFileThatIsReplaced(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "config.yaml")
	put := func(text string) {
		if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	put(minimal)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	type change struct {
		config *config.Config
		err    error
	}
	changes := make(chan change)
	file, _, err := config.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	go file.Watch(ctx, func(c *config.Config, err error) {
		select {
		case changes <- change{c, err}:
		case <-ctx.Done():
		}
	})
	next := func() change {
		select {
		case c := <-changes:
			return c
		case <-ctx.Done():
			t.Fatal("the change was not seen")
			return change{}
		}
	}
	put(minimal + "suspend: true\n")
	if c := next(); c.err != nil || !c.config.Suspend || c.config.Revision == 0 {
		t.Errorf("first change: %+v", c)
	}
	put("nonsense: true\n")
	if c := next(); c.err == nil {
		t.Errorf("second change: %+v", c)
	}
	put(minimal)
	if c := next(); c.err != nil || c.config.Suspend {
		t.Errorf("third change: %+v", c)
	}
}

// TestAFileThatIsPutBackIsNewer writes settings without a revision with ever older
// modification times, as moving a backup in place does.
func TestAFileThatIsPutBackIsNewer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.yaml")
	now := time.Now().Truncate(time.Second)
	put := func(text string, modified time.Time) {
		if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path+".new", modified, modified); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	put(minimal, now)
	file, first, err := config.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, other, err := config.Open(path); err != nil || other.Revision != first.Revision || first.Revision != now.UnixMilli() {
		t.Fatalf("two flushers start with revision %d and %d, %v; the file is of %d", first.Revision, other.Revision, err, now.UnixMilli())
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	revisions := make(chan int64)
	go file.Watch(ctx, func(c *config.Config, err error) {
		if err != nil {
			t.Error(err)
			return
		}
		select {
		case revisions <- c.Revision:
		case <-ctx.Done():
		}
	})
	later := now.Add(time.Hour)
	for _, step := range []struct {
		what     string
		text     string
		modified time.Time
		want     int64
	}{
		{"an older file", "suspend: true\n", now.Add(-time.Hour), now.UnixMilli() + 1},
		{"a file of before 1970", "suspend: false\n", time.Unix(-5, 0), now.UnixMilli() + 2},
		{"a newer file", "draining: true\n", later, later.UnixMilli()},
		{"a revision of its own", "revision: 7\n", later, 7},
		{"none again", "draining: false\n", later, later.UnixMilli()},
	} {
		put(minimal+step.text, step.modified)
		select {
		case got := <-revisions:
			if got != step.want {
				t.Errorf("%s has revision %d, want %d", step.what, got, step.want)
			}
		case <-ctx.Done():
			t.Fatalf("%s was not seen", step.what)
		}
	}
}

func TestSecretsAreNamedInOneForm(t *testing.T) {
	t.Parallel()
	if name, key, ok := config.CutSecretKey(config.SecretKey("shop.db", "a.uri")); !ok || name != "shop.db" || key != "a.uri" {
		t.Errorf("read back %q, %q, %v", name, key, ok)
	}
	for _, other := range []string{"", "the vault", "Secret redis-client", "vault x, key y"} {
		if name, key, ok := config.CutSecretKey(other); ok {
			t.Errorf("%q is taken for key %q of Secret %q", other, key, name)
		}
	}
}
