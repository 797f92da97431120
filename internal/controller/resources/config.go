// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package resources

import (
	"fmt"
	"net"
	"strconv"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/config"
)

// Where the flusher finds its files. Each Secret is a directory of its own, so
// that one that is missing takes no other with it.
const (
	configDirectory      = "/etc/writebehind/config"
	databaseDirectory    = "/etc/writebehind/database"
	redisDirectory       = "/etc/writebehind/redis"
	redisCADirectory     = "/etc/writebehind/redis-ca"
	redisClientDirectory = "/etc/writebehind/redis-client"
	sentinelDirectory    = "/etc/writebehind/sentinel"

	databaseCADirectory     = "/etc/writebehind/database-ca"
	databaseClientDirectory = "/etc/writebehind/database-client"
)

// ConfigFile is the key of the flusher's ConfigMap, and the file's name.
const ConfigFile = "config.yaml"

// FlusherConfig is the flusher's config file as the spec asks for it. Secrets
// stand in it as paths, never as values. Mappings that are being retired, and a
// Redis address that is held back, are the caller's to lay over it.
func FlusherConfig(cache *v1alpha1.WriteBehindCache) *config.Config {
	spec := &cache.Spec
	c := &config.Config{
		ListenAddress: net.JoinHostPort("0.0.0.0", strconv.Itoa(FlusherPort)),
		Owner:         string(cache.UID),
		Revision:      cache.Generation,
		Suspend:       spec.Suspend,
		Draining:      !cache.DeletionTimestamp.IsZero() && spec.DeletionPolicy != v1alpha1.DeletionPolicyRetain,
		Capture:       captureOf(cache),
		Redis:         config.Redis{External: redisConfig(cache)},
		Database:      config.Database{Postgres: postgresConfig(&spec.Database.Postgres)},
		Flush: config.Flush{
			IntervalMilliseconds: int(spec.Flush.IntervalMilliseconds),
			BatchSize:            int(spec.Flush.BatchSize),
			Concurrency:          int(spec.Flush.Concurrency),
			MaxInFlightMebibytes: int(spec.Flush.MaxInFlightMebibytes),
			MaxRetries:           maxRetries(&spec.Flush),
			CircuitBreaker: config.CircuitBreaker{
				FailureThreshold: int(spec.Flush.CircuitBreaker.FailureThreshold),
				OpenMilliseconds: int(spec.Flush.CircuitBreaker.OpenMilliseconds),
			},
		},
		Backpressure: config.Backpressure{
			MaxQueueDepth:      int(spec.Backpressure.MaxQueueDepth),
			WarningQueueDepth:  int(spec.Backpressure.WarningQueueDepth),
			CriticalQueueDepth: int(spec.Backpressure.CriticalQueueDepth),
			WhenFull:           string(spec.Backpressure.WhenFull),
		},
	}
	for i := range spec.Mappings {
		c.Mappings = append(c.Mappings, mappingConfig(&spec.Mappings[i]))
	}
	return c
}

// captureOf takes a resource that was made before there was a choice for one with Functions.
func captureOf(cache *v1alpha1.WriteBehindCache) string {
	if cache.Spec.Capture == "" {
		return config.CaptureFunctions
	}
	return string(cache.Spec.Capture)
}

// Replicates reports whether the flushers read Redis' replication stream.
func Replicates(cache *v1alpha1.WriteBehindCache) bool {
	return cache.Spec.Capture == v1alpha1.CaptureReplication
}

// maxRetries tells none from not given: a row may become a dead letter at once.
func maxRetries(flush *v1alpha1.Flush) int {
	if flush.MaxRetries == nil {
		return config.Default().Flush.MaxRetries
	}
	return int(*flush.MaxRetries)
}

func mappingConfig(m *v1alpha1.Mapping) config.Mapping {
	out := config.Mapping{
		Name:          m.Name,
		KeyPrefix:     m.KeyPrefix,
		Table:         m.Table,
		KeyColumn:     m.KeyColumn,
		VersionColumn: m.VersionColumn,
		ValueColumn:   m.ValueColumn,
		MemberColumn:  m.MemberColumn,
		ScoreColumn:   m.ScoreColumn,
		IDColumn:      m.IDColumn,
		Mode:          string(m.Mode),
		Encoding:      string(m.Encoding),
		Partitions:    int(m.Partitions),
		OnDelete:      string(m.OnDelete),
	}
	if m.TimeToLiveSeconds != nil {
		out.TimeToLiveSeconds = int(*m.TimeToLiveSeconds)
	} else {
		out.TimeToLiveSeconds = config.DefaultMapping().TimeToLiveSeconds
	}
	for _, c := range m.Columns {
		out.Columns = append(out.Columns, config.Column{Field: c.Field, Column: c.Column})
	}
	return out
}

func redisConfig(cache *v1alpha1.WriteBehindCache) config.RedisExternal {
	external := cache.Spec.Redis.External
	if external == nil {
		return config.RedisExternal{
			Addresses:         []string{RedisAddress(cache)},
			Mode:              config.ModeStandalone,
			UsernameFile:      redisDirectory + "/" + usernameFile,
			UsernameSecret:    config.SecretKey(FlusherSecretName(cache), UsernameKey),
			PasswordFile:      redisDirectory + "/" + passwordFile,
			CredentialsSecret: config.SecretKey(FlusherSecretName(cache), PasswordKey),
			TLS:               managedTLSConfig(cache),
		}
	}
	out := config.RedisExternal{Addresses: external.Addresses, Mode: string(external.Mode), MasterName: external.MasterName}
	if ref := external.CredentialsSecretRef; ref != nil {
		out.PasswordFile = redisDirectory + "/" + passwordFile
		out.CredentialsSecret = config.SecretKey(ref.Name, ref.PasswordKey)
		if ref.UsernameKey != "" {
			out.UsernameFile = redisDirectory + "/" + usernameFile
			out.UsernameSecret = config.SecretKey(ref.Name, ref.UsernameKey)
		}
	}
	if ref := external.SentinelCredentialsSecretRef; ref != nil {
		out.SentinelPasswordFile = sentinelDirectory + "/" + passwordFile
		out.SentinelCredentialsSecret = config.SecretKey(ref.Name, ref.PasswordKey)
		if ref.UsernameKey != "" {
			out.SentinelUsernameFile = sentinelDirectory + "/" + usernameFile
			out.SentinelUsernameSecret = config.SecretKey(ref.Name, ref.UsernameKey)
		}
	}
	if tls := external.TLS; tls != nil {
		out.TLS = tlsConfig(tls.CASecretRef, redisCADirectory, tls.ClientCertSecretRef, redisClientDirectory)
	}
	return out
}

func postgresConfig(p *v1alpha1.Postgres) config.Postgres {
	out := config.Postgres{
		URLFile:                 databaseDirectory + "/" + uriFile,
		URLSecret:               config.SecretKey(p.URLSecretRef.Name, p.URLSecretRef.Key),
		MaxConnections:          int(p.MaxConnections),
		StatementTimeoutSeconds: int(p.StatementTimeoutSeconds),
		LedgerSchema:            p.LedgerSchema,
	}
	if tls := p.TLS; tls != nil {
		out.TLS = tlsConfig(tls.CASecretRef, databaseCADirectory, tls.ClientCertSecretRef, databaseClientDirectory)
	}
	return out
}

// tlsConfig names the files of a TLS client, each Secret in a directory of its own.
func tlsConfig(ca *v1alpha1.CASecretRef, caDirectory string, client *v1alpha1.SecretRef, clientDirectory string) *config.TLS {
	out := &config.TLS{}
	if ca != nil {
		out.CAFile = caDirectory + "/" + caFile
		out.CASecret = config.SecretKey(ca.Name, ca.Key)
	}
	if client != nil {
		out.CertFile = clientDirectory + "/" + certFile
		out.KeyFile = clientDirectory + "/" + keyFile
		out.ClientCertSecret = "Secret " + client.Name
	}
	return out
}

// RestartHash names those settings that a flusher reads only when it starts.
// Settings that take effect live are left out, so that changing them leaves the
// pods alone.
func RestartHash(c *config.Config) (string, error) {
	text, err := c.Structure().Marshal()
	if err != nil {
		return "", fmt.Errorf("marshal config: %w", err)
	}
	return Hash(string(text)), nil
}
