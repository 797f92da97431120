// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package config is the flusher's config file and the document that it serves at /status:
// everything that the operator and the flusher share. The operator writes the file into a
// ConfigMap, or a person writes it by hand. Both get the same defaults and the same checks.
package config

import (
	"encoding/json"
	"fmt"
	"time"
	"unicode/utf8"

	"sigs.k8s.io/yaml"
)

// URLRevisionVariable is the environment variable by which the operator tells a flusher's
// Pod the revision of the settings that first named the Secret which the Pod mounts for the
// database's URL. The config does not tell: Pods of an earlier template read the new one too.
const URLRevisionVariable = "WRITEBEHIND_URL_REVISION"

// Config is one flusher's whole configuration. Secrets are named by file, never
// given by value, so that the file itself may be read by anybody.
type Config struct {
	// ListenAddress is where /metrics, /healthz, /readyz and /status are served;
	// default 127.0.0.1:8080.
	ListenAddress string `json:"listenAddress,omitempty"`
	// Owner names who decides the queue's settings: the resource's UID, or
	// "file" for a config file that names none. A new owner's settings replace
	// another's.
	Owner string `json:"owner,omitempty"`
	// Revision orders the settings of one owner; the highest is in force. The
	// operator gives the resource's generation; without one, or with 0, the file's
	// modification time in milliseconds since 1970 is taken, or the next number
	// where a running flusher has seen a later one.
	Revision int64 `json:"revision,omitempty"`
	// Suspend keeps accepting writes and stops flushing.
	Suspend bool `json:"suspend,omitempty"`
	// Draining refuses writes and flushes whatever is queued without waiting for
	// the interval.
	Draining bool `json:"draining,omitempty"`
	// Capture is how writes are noticed, of all mappings: Functions, which applications
	// call in place of Redis' own commands, or Replication, where the flusher attaches to
	// Redis as a replica and applications call what they did before. Default Functions.
	Capture string `json:"capture,omitempty"`

	Redis        Redis        `json:"redis"`
	Database     Database     `json:"database"`
	Mappings     []Mapping    `json:"mappings"`
	Flush        Flush        `json:"flush,omitempty"`
	Backpressure Backpressure `json:"backpressure,omitempty"`
}

// Redis says where the queue lives.
type Redis struct {
	External RedisExternal `json:"external"`
}

// RedisExternal is a Redis that is reached over the network.
type RedisExternal struct {
	// Addresses are host:port: exactly one in mode Standalone, 1 to 10 Sentinels in mode
	// Sentinel.
	Addresses []string `json:"addresses"`
	// Mode is Standalone, or Sentinel: the Sentinels at the addresses tell which server
	// is the primary.
	Mode string `json:"mode,omitempty"`
	// MasterName is the name by which Sentinels watch the primary.
	MasterName string `json:"masterName,omitempty"`
	// UsernameFile holds the ACL user's name; without it the default user is
	// meant.
	UsernameFile string `json:"usernameFile,omitempty"`
	// PasswordFile holds the password; without it none is sent.
	PasswordFile string `json:"passwordFile,omitempty"`
	// UsernameSecret and CredentialsSecret are what a message calls the Secret and its
	// key behind the user name's file and the password's: see SecretKey.
	UsernameSecret    string `json:"usernameSecret,omitempty"`
	CredentialsSecret string `json:"credentialsSecret,omitempty"`
	// SentinelUsernameFile and SentinelPasswordFile are of the Sentinels, which get no
	// other credentials; SentinelUsernameSecret and SentinelCredentialsSecret are what a
	// message calls them.
	SentinelUsernameFile      string `json:"sentinelUsernameFile,omitempty"`
	SentinelPasswordFile      string `json:"sentinelPasswordFile,omitempty"`
	SentinelUsernameSecret    string `json:"sentinelUsernameSecret,omitempty"`
	SentinelCredentialsSecret string `json:"sentinelCredentialsSecret,omitempty"`
	// TLS, when present, turns TLS on, for servers and Sentinels alike.
	TLS *TLS `json:"tls,omitempty"`
}

// TLS names the files of a TLS client. Without CAFile the system's certificate
// authorities are trusted; CertFile and KeyFile go together.
type TLS struct {
	CAFile   string `json:"caFile,omitempty"`
	CertFile string `json:"certFile,omitempty"`
	KeyFile  string `json:"keyFile,omitempty"`
	// CASecret, as SecretKey has it, and ClientCertSecret are what a message calls the
	// Secrets behind the files.
	CASecret         string `json:"caSecret,omitempty"`
	ClientCertSecret string `json:"clientCertSecret,omitempty"`
}

// Database is where the rows go.
type Database struct {
	Postgres Postgres `json:"postgres"`
}

// Postgres is a PostgreSQL database.
type Postgres struct {
	// URLFile holds the connection URL, as libpq reads one.
	URLFile string `json:"urlFile"`
	// URLSecret is what a message calls the Secret and its key behind URLFile: see
	// SecretKey.
	URLSecret string `json:"urlSecret,omitempty"`
	// MaxConnections bounds the connections of one flusher; default 4.
	MaxConnections int `json:"maxConnections,omitempty"`
	// StatementTimeoutSeconds bounds one statement of a batch; default 30.
	StatementTimeoutSeconds int `json:"statementTimeoutSeconds,omitempty"`
	// LedgerSchema is the schema of the ledger table; default writebehind. It
	// is made when it is missing.
	LedgerSchema string `json:"ledgerSchema,omitempty"`
	// TLS, when present, turns TLS on, whatever the URL's sslmode, and has the server's
	// certificate verified: its host name too, unless the URL says sslmode=verify-ca.
	TLS *TLS `json:"tls,omitempty"`
}

// Mapping carries the keys under one prefix to one table. Its name is the
// queue's name.
type Mapping struct {
	Name string `json:"name"`
	// KeyPrefix begins every key of the queue; what follows is the row's key.
	KeyPrefix string `json:"keyPrefix"`
	// Table is schema.table; without a schema, public is meant.
	Table string `json:"table"`
	// KeyColumn takes the rest of the key behind the prefix.
	KeyColumn string `json:"keyColumn"`
	// Mode is Latest: the newest value of a key is the row. With capture Replication it
	// may be Append: each entry of a stream is a row of its own, which is never changed.
	Mode string `json:"mode,omitempty"`
	// Encoding is JSON: a value is a JSON object. With capture Replication it may be Hash,
	// whose fields are columns; Number; SortedSet, whose members are rows; or, in mode
	// Append, Stream.
	Encoding string `json:"encoding,omitempty"`
	// ValueColumn takes the number of encoding Number, MemberColumn and ScoreColumn those
	// of encoding SortedSet, and IDColumn the id of an entry of encoding Stream. Each is
	// required there and given nowhere else.
	ValueColumn  string `json:"valueColumn,omitempty"`
	MemberColumn string `json:"memberColumn,omitempty"`
	ScoreColumn  string `json:"scoreColumn,omitempty"`
	IDColumn     string `json:"idColumn,omitempty"`
	// Partitions is the number of parts that flushers share; default 16. It is
	// fixed while the queue exists in Redis.
	Partitions int `json:"partitions,omitempty"`
	// Columns maps fields to columns; without any, every column is fed by the
	// field of its own name.
	Columns []Column `json:"columns,omitempty"`
	// VersionColumn, if given, is a bigint column that takes the version of each write,
	// and lets no older write change or delete the row of a newer one. With capture
	// Replication a write has no version.
	VersionColumn string `json:"versionColumn,omitempty"`
	// TimeToLiveSeconds is how long a clean entry stays in Redis; 0 keeps it.
	// Default 3600. With capture Replication the application alone says so.
	TimeToLiveSeconds int `json:"timeToLiveSeconds"`
	// OnDelete is Delete: a deleted key's row is deleted.
	OnDelete string `json:"onDelete,omitempty"`
	// Retired refuses writes and flushes what is left: the mapping was taken
	// out of the spec.
	Retired bool `json:"retired,omitempty"`
}

// Column feeds one column from one field of the document; the field "$" is the
// whole document.
type Column struct {
	Field  string `json:"field"`
	Column string `json:"column"`
}

// Flush tunes the engine.
type Flush struct {
	// IntervalMilliseconds is the longest time that an entry waits before its
	// partition is flushed; default 5000.
	IntervalMilliseconds int `json:"intervalMilliseconds,omitempty"`
	// BatchSize is the most rows of one transaction; default 100.
	BatchSize int `json:"batchSize,omitempty"`
	// Concurrency is the number of database workers of one flusher; default 4.
	Concurrency int `json:"concurrency,omitempty"`
	// MaxInFlightMebibytes is how much memory, in MiB, the entries take together that the
	// workers of one flusher are writing; default 64.
	MaxInFlightMebibytes int `json:"maxInFlightMebibytes,omitempty"`
	// MaxRetries is how often a row that the database refused is tried again
	// before it becomes a dead letter; default 3.
	MaxRetries int `json:"maxRetries"`
	// CircuitBreaker keeps the flushers from a database that is away.
	CircuitBreaker CircuitBreaker `json:"circuitBreaker,omitempty"`
}

// CircuitBreaker opens when the database fails, never when it refuses a row.
type CircuitBreaker struct {
	// FailureThreshold is how many batches in a row have to fail; default 5.
	FailureThreshold int `json:"failureThreshold,omitempty"`
	// OpenMilliseconds is how long nothing is tried then; default 10000.
	OpenMilliseconds int `json:"openMilliseconds,omitempty"`
}

// Interval is IntervalMilliseconds as a duration.
func (f Flush) Interval() time.Duration {
	return time.Duration(f.IntervalMilliseconds) * time.Millisecond
}

// Backpressure bounds the queue.
type Backpressure struct {
	// MaxQueueDepth is the most dirty entries and dead letters of one queue;
	// default 100000.
	MaxQueueDepth int `json:"maxQueueDepth,omitempty"`
	// WarningQueueDepth and CriticalQueueDepth, not below it, are depths at which the flusher
	// warns in its log and the resource in its condition BacklogHealthy; default
	// 1000 and 10000.
	WarningQueueDepth  int `json:"warningQueueDepth,omitempty"`
	CriticalQueueDepth int `json:"criticalQueueDepth,omitempty"`
	// WhenFull is Reject (a new key gets WBFULL) or Accept.
	WhenFull string `json:"whenFull,omitempty"`
}

// Values of the enumerated fields.
const (
	CaptureFunctions   = "Functions"
	CaptureReplication = "Replication"

	ModeStandalone = "Standalone"
	ModeSentinel   = "Sentinel"
	ModeLatest     = "Latest"
	ModeAppend     = "Append"
	OnDeleteDelete = "Delete"
	WhenFullReject = "Reject"
	WhenFullAccept = "Accept"

	EncodingJSON      = "JSON"
	EncodingHash      = "Hash"
	EncodingNumber    = "Number"
	EncodingSortedSet = "SortedSet"
	EncodingStream    = "Stream"
)

// States of a queue, as writers see it.
const (
	// StateOpen takes writes.
	StateOpen = "open"
	// StatePaused refuses them: the queue is drained or was retired.
	StatePaused = "paused"
)

// ExitUnusable is the exit code of a flusher whose command line or config cannot
// be used; the last line that it prints says why.
const ExitUnusable = 2

// OwnerFile is the owner of a config file that names none.
const OwnerFile = "file"

// Read reads, completes and checks the config file at path. Every error is one
// line that names the field, its value and what is allowed.
func Read(path string) (*Config, error) {
	_, c, err := Open(path)
	return c, err
}

// Parse decodes, completes and checks a config document in YAML or JSON. A
// field that is not known is an error: a misspelt setting must not fall back to
// its default unseen. Neither may a zero or a null that somebody wrote, so the
// defaults are there before the document is laid over them.
func Parse(data []byte) (*Config, error) {
	c := Default()
	if err := decode(data, c); err != nil {
		return nil, err
	}
	if err := c.Validate(); err != nil {
		return nil, err
	}
	return c, nil
}

// Marshal writes the config as YAML; Parse reads it back to an equal value.
func (c *Config) Marshal() ([]byte, error) {
	written := *c
	// A flusher of the release before, which runs on until it is replaced, refuses a field
	// that it does not know.
	if written.Flush.MaxInFlightMebibytes == defaultMaxInFlightMebibytes {
		written.Flush.MaxInFlightMebibytes = 0
	}
	if written.Capture == CaptureFunctions {
		written.Capture = ""
	}
	data, err := json.Marshal(&written)
	if err != nil {
		return nil, err
	}
	return yaml.JSONToYAML(escapeForYAML(data))
}

// escapeForYAML escapes the characters that JSON has no need to escape and that
// YAML refuses, or takes for the end of a line.
func escapeForYAML(document []byte) []byte {
	var escaped []byte
	for _, r := range string(document) {
		if r >= 0x7f && r < 0xa0 || r == 0xfffe || r == 0xffff {
			escaped = fmt.Appendf(escaped, "\\u%04x", r)
		} else {
			escaped = utf8.AppendRune(escaped, r)
		}
	}
	return escaped
}
