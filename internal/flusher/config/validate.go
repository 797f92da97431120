// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"net"
	"regexp"
	"strings"
)

// The defaults are the resource's own; a test holds them against the schema.
const (
	defaultListenAddress           = "127.0.0.1:8080"
	defaultMaxConnections          = 4
	defaultStatementTimeoutSeconds = 30
	defaultLedgerSchema            = "writebehind"
	defaultPartitions              = 16
	defaultTimeToLiveSeconds       = 3600
	defaultIntervalMilliseconds    = 5000
	defaultBatchSize               = 100
	defaultConcurrency             = 4
	defaultMaxInFlightMebibytes    = 64
	defaultMaxRetries              = 3
	defaultFailureThreshold        = 5
	defaultOpenMilliseconds        = 10000
	defaultMaxQueueDepth           = 100000
	defaultWarningQueueDepth       = 1000
	defaultCriticalQueueDepth      = 10000
)

// journalPrefix is where the journal's own keys live in Redis.
const journalPrefix = "wb:"

// identifierBytes is the longest name that PostgreSQL keeps whole.
const identifierBytes = 63

// mostQueueDepth keeps the counters of a queue, and its memory, within reason.
const mostQueueDepth = 100000000

// mostRevision is the highest whole number that the journal, which counts in
// floating point, tells from its neighbours.
const mostRevision = 1<<53 - 1

var namePattern = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`)

// controlCharacter is what PostgreSQL takes in a name, but for NUL, and what would
// mangle a terminal or a log in which the name is shown.
var controlCharacter = regexp.MustCompile(`[[:cntrl:]]`)

// Default returns a config with every default set.
func Default() *Config {
	return &Config{
		ListenAddress: defaultListenAddress,
		Owner:         OwnerFile,
		Capture:       CaptureFunctions,
		Redis:         Redis{External: RedisExternal{Mode: ModeStandalone}},
		Database: Database{Postgres: Postgres{
			MaxConnections:          defaultMaxConnections,
			StatementTimeoutSeconds: defaultStatementTimeoutSeconds,
			LedgerSchema:            defaultLedgerSchema,
		}},
		Flush: Flush{
			IntervalMilliseconds: defaultIntervalMilliseconds,
			BatchSize:            defaultBatchSize,
			Concurrency:          defaultConcurrency,
			MaxInFlightMebibytes: defaultMaxInFlightMebibytes,
			MaxRetries:           defaultMaxRetries,
			CircuitBreaker:       CircuitBreaker{FailureThreshold: defaultFailureThreshold, OpenMilliseconds: defaultOpenMilliseconds},
		},
		Backpressure: Backpressure{
			MaxQueueDepth:     defaultMaxQueueDepth,
			WarningQueueDepth: defaultWarningQueueDepth, CriticalQueueDepth: defaultCriticalQueueDepth,
			WhenFull: WhenFullReject,
		},
	}
}

// DefaultMapping returns a mapping with every default set.
func DefaultMapping() Mapping {
	return Mapping{
		Mode:              ModeLatest,
		Encoding:          EncodingJSON,
		Partitions:        defaultPartitions,
		TimeToLiveSeconds: defaultTimeToLiveSeconds,
		OnDelete:          OnDeleteDelete,
	}
}

// Validate checks a completed config and returns the first fault.
func (c *Config) Validate() error {
	return firstOf(
		c.validateListenAddress,
		c.validateOwner,
		c.validateRevision,
		c.validateCapture,
		c.validateRedis,
		c.validatePostgres,
		c.validateMappings,
		c.validateFlush,
	)
}

func firstOf(checks ...func() error) error {
	for _, check := range checks {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

// validateListenAddress takes port 0, which means any free one.
func (c *Config) validateListenAddress() error {
	const field = "listenAddress"
	_, port, err := net.SplitHostPort(c.ListenAddress)
	if err != nil || port == "" {
		return invalid(field, c.ListenAddress, "host:port, such as 127.0.0.1:8080")
	}
	if _, err := net.LookupPort("tcp", port); err != nil {
		return invalid(field, c.ListenAddress, "a port from 0 to 65535")
	}
	return nil
}

// validateOwner refuses an empty owner, which would stand for OwnerFile in a file
// and for another owner in the journal.
func (c *Config) validateOwner() error {
	if c.Owner == "" {
		return invalid("owner", c.Owner, "a name, or leave the field out for "+OwnerFile)
	}
	return nil
}

func (c *Config) validateRevision() error {
	if c.Revision < 0 || c.Revision > mostRevision {
		return invalid("revision", fmt.Sprint(c.Revision), fmt.Sprintf("0 to %d; 0 takes the file's modification time", mostRevision))
	}
	return nil
}

func (t *TLS) validate(field string) error {
	if t != nil && (t.CertFile == "") != (t.KeyFile == "") {
		return invalid(field, t.CertFile+t.KeyFile, "certFile and keyFile together, or neither")
	}
	return nil
}

func (c *Config) validatePostgres() error {
	p := c.Database.Postgres
	const field = "database.postgres."
	if p.URLFile == "" {
		return invalid(field+"urlFile", "", "the file that holds the connection URL")
	}
	if strings.Contains(p.URLFile, "://") {
		return invalid(field+"urlFile", p.URLFile, "the path of a file, and the connection URL in that")
	}
	return firstOf(
		func() error { return inRange(field+"maxConnections", p.MaxConnections, 1, 100) },
		func() error { return inRange(field+"statementTimeoutSeconds", p.StatementTimeoutSeconds, 1, 3600) },
		func() error { return identifier(field+"ledgerSchema", p.LedgerSchema) },
		func() error { return p.TLS.validate(field + "tls") },
	)
}

func (c *Config) validateMappings() error {
	if len(c.Mappings) < 1 || len(c.Mappings) > 32 {
		return invalid("mappings", fmt.Sprintf("%d of them", len(c.Mappings)), "1 to 32 mappings")
	}
	for i := range c.Mappings {
		if err := c.Mappings[i].validate(fmt.Sprintf("mappings[%d].", i), c.Capture); err != nil {
			return err
		}
		for j := range i {
			if err := c.Mappings[i].validateAgainst(&c.Mappings[j], i); err != nil {
				return err
			}
		}
	}
	return nil
}

// validateAgainst checks what two mappings must not share. A prefix of a prefix
// would put one key into two queues.
func (m *Mapping) validateAgainst(other *Mapping, index int) error {
	field := fmt.Sprintf("mappings[%d].", index)
	if m.Name == other.Name {
		return invalid(field+"name", m.Name, "a name that no other mapping has")
	}
	if strings.HasPrefix(m.KeyPrefix, other.KeyPrefix) || strings.HasPrefix(other.KeyPrefix, m.KeyPrefix) {
		return invalid(field+"keyPrefix", m.KeyPrefix,
			fmt.Sprintf("a prefix that does not overlap %q of mapping %s", other.KeyPrefix, other.Name))
	}
	return nil
}

func (m *Mapping) validate(field, capture string) error {
	if len(m.Name) > identifierBytes || !namePattern.MatchString(m.Name) {
		return invalid(field+"name", m.Name, "1 to 63 of a-z, 0-9 and -, beginning and ending with a letter or digit")
	}
	if m.KeyPrefix == "" || len(m.KeyPrefix) > 128 || strings.HasPrefix(m.KeyPrefix, journalPrefix) || strings.HasPrefix(journalPrefix, m.KeyPrefix) {
		return invalid(field+"keyPrefix", m.KeyPrefix, "1 to 128 bytes that do not overlap the journal's own prefix "+journalPrefix)
	}
	if err := table(field+"table", m.Table); err != nil {
		return err
	}
	if err := identifier(field+"keyColumn", m.KeyColumn); err != nil {
		return err
	}
	if m.VersionColumn != "" {
		if err := identifier(field+"versionColumn", m.VersionColumn); err != nil {
			return err
		}
		if m.VersionColumn == m.KeyColumn {
			return invalid(field+"versionColumn", m.VersionColumn, "a column other than the keyColumn, which the key itself fills")
		}
	}
	if err := m.validateEncoding(field, capture); err != nil {
		return err
	}
	if m.OnDelete != OnDeleteDelete {
		return invalid(field+"onDelete", m.OnDelete, OnDeleteDelete)
	}
	if err := inRange(field+"partitions", m.Partitions, 1, 256); err != nil {
		return err
	}
	if err := inRange(field+"timeToLiveSeconds", m.TimeToLiveSeconds, 0, 31536000); err != nil {
		return err
	}
	if capture == CaptureReplication && m.TimeToLiveSeconds != defaultTimeToLiveSeconds {
		return invalid(field+"timeToLiveSeconds", fmt.Sprint(m.TimeToLiveSeconds), "none: with capture Replication the application alone says how long a key stays")
	}
	return m.validateColumns(field)
}

func (m *Mapping) validateColumns(field string) error {
	if len(m.Columns) > 200 {
		return invalid(field+"columns", fmt.Sprintf("%d of them", len(m.Columns)), "at most 200")
	}
	seen := make(map[string]bool, len(m.Columns))
	for i, c := range m.Columns {
		at := fmt.Sprintf("%scolumns[%d].", field, i)
		if c.Field == "" || len(c.Field) > 256 {
			return invalid(at+"field", c.Field, `1 to 256 bytes, or "$" for the whole document`)
		}
		if c.Field == wholeDocument && m.Encoding != EncodingJSON {
			return invalid(at+"field", c.Field, "the name of a field: only encoding JSON has a whole document")
		}
		if err := identifier(at+"column", c.Column); err != nil {
			return err
		}
		if c.Column == m.KeyColumn {
			return invalid(at+"column", c.Column, "a column other than the keyColumn, which the key itself fills")
		}
		if c.Column == m.VersionColumn {
			return invalid(at+"column", c.Column, "a column other than the versionColumn, which the version fills")
		}
		if c.Column == m.IDColumn {
			return invalid(at+"column", c.Column, "a column other than the idColumn, which the entry's id fills")
		}
		if seen[c.Column] {
			return invalid(at+"column", c.Column, "each column once")
		}
		seen[c.Column] = true
	}
	return nil
}

func (c *Config) validateFlush() error {
	whenFull := c.Backpressure.WhenFull
	if whenFull != WhenFullReject && whenFull != WhenFullAccept {
		return invalid("backpressure.whenFull", whenFull, WhenFullReject+" or "+WhenFullAccept)
	}
	return firstOf(
		func() error { return inRange("flush.intervalMilliseconds", c.Flush.IntervalMilliseconds, 10, 3600000) },
		func() error { return inRange("flush.batchSize", c.Flush.BatchSize, 1, 10000) },
		func() error { return inRange("flush.concurrency", c.Flush.Concurrency, 1, 64) },
		func() error { return inRange("flush.maxInFlightMebibytes", c.Flush.MaxInFlightMebibytes, 8, 16384) },
		func() error { return inRange("flush.maxRetries", c.Flush.MaxRetries, 0, 100) },
		func() error {
			return inRange("flush.circuitBreaker.failureThreshold", c.Flush.CircuitBreaker.FailureThreshold, 1, 1000)
		},
		func() error {
			return inRange("flush.circuitBreaker.openMilliseconds", c.Flush.CircuitBreaker.OpenMilliseconds, 100, 3600000)
		},
		func() error {
			return inRange("backpressure.maxQueueDepth", c.Backpressure.MaxQueueDepth, 1, mostQueueDepth)
		},
		func() error {
			return inRange("backpressure.warningQueueDepth", c.Backpressure.WarningQueueDepth, 1, mostQueueDepth)
		},
		func() error {
			return inRange("backpressure.criticalQueueDepth", c.Backpressure.CriticalQueueDepth, 1, mostQueueDepth)
		},
		c.validateMarks,
	)
}

// validateMarks holds the marks against each other as the resource's schema does.
// Neither is held against maxQueueDepth: who sets that alone to 500 must not have
// to set the marks too, and a queue that is full first says so first.
func (c *Config) validateMarks() error {
	b := c.Backpressure
	if b.WarningQueueDepth > b.CriticalQueueDepth {
		return invalid("backpressure.warningQueueDepth", fmt.Sprint(b.WarningQueueDepth),
			fmt.Sprintf("at most backpressure.criticalQueueDepth, which is %d (%d unless given), or raise that",
				b.CriticalQueueDepth, defaultCriticalQueueDepth))
	}
	return nil
}

func inRange(field string, value, least, most int) error {
	if value < least || value > most {
		return invalid(field, fmt.Sprint(value), fmt.Sprintf("%d to %d", least, most))
	}
	return nil
}

func identifier(field, name string) error {
	if name == "" || len(name) > identifierBytes || controlCharacter.MatchString(name) {
		return invalid(field, name, "a name of 1 to 63 bytes without control characters, as it stands in PostgreSQL's catalogue (not quoted)")
	}
	return nil
}

// SplitTable splits a mapping's table into schema and relation.
func SplitTable(name string) (schema, relation string) {
	schema, relation, ok := strings.Cut(name, ".")
	if !ok {
		return "public", name
	}
	return schema, relation
}

func table(field, name string) error {
	schema, relation := SplitTable(name)
	if err := identifier(field, schema); err != nil {
		return err
	}
	return identifier(field, relation)
}

func invalid(field, value, allowed string) error {
	if strings.Contains(value, "://") {
		value = withoutSecrets(value)
	}
	return fmt.Errorf("%s: %q is not allowed: give %s", field, value, allowed)
}
