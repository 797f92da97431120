// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"net"
	"regexp"
	"slices"
	"strings"
)

// mostSentinels is as many as the resource's schema allows.
const mostSentinels = 10

// mostMasterName bounds a name as the resource's schema does.
const mostMasterName = 128

// masterNamePattern is what Sentinels take as the name of a primary.
var masterNamePattern = regexp.MustCompile(`^[-._A-Za-z0-9]+$`)

func (c *Config) validateRedis() error {
	r := c.Redis.External
	return firstOf(
		r.validateMode,
		r.validateAddresses,
		r.validateMasterName,
		func() error { return together("usernameFile", r.UsernameFile, "passwordFile", r.PasswordFile) },
		r.validateSentinelCredentials,
		func() error { return r.TLS.validate("redis.external.tls") },
	)
}

func (r *RedisExternal) validateMode() error {
	if r.Mode != ModeStandalone && r.Mode != ModeSentinel {
		return invalid("redis.external.mode", r.Mode, ModeStandalone+" or "+ModeSentinel)
	}
	return nil
}

func (r *RedisExternal) validateAddresses() error {
	const field = "redis.external.addresses"
	allowed := ""
	switch {
	case r.Mode == ModeStandalone && len(r.Addresses) != 1:
		allowed = "exactly one host:port in mode Standalone; several are the Sentinels of one Redis, in mode Sentinel"
	case len(r.Addresses) < 1 || len(r.Addresses) > mostSentinels:
		allowed = fmt.Sprintf("the host:port of 1 to %d Sentinels in mode Sentinel", mostSentinels)
	}
	if allowed != "" {
		for _, address := range r.Addresses {
			if strings.Contains(address, "@") {
				return ValidateAddress(field, address)
			}
		}
		return invalid(field, strings.Join(r.Addresses, ","), allowed)
	}
	for i, address := range r.Addresses {
		at := fmt.Sprintf("%s[%d]", field, i)
		if err := ValidateAddress(at, address); err != nil {
			return err
		}
		if slices.Contains(r.Addresses[:i], address) {
			return invalid(at, address, "each Sentinel once: most of those that are named have to agree on the primary")
		}
	}
	return nil
}

func (r *RedisExternal) validateMasterName() error {
	const field = "redis.external.masterName"
	switch {
	case r.Mode != ModeSentinel && r.MasterName != "":
		return invalid(field, r.MasterName, "it in mode Sentinel alone: leave it out, or set redis.external.mode to Sentinel")
	case r.Mode == ModeSentinel && (len(r.MasterName) > mostMasterName || !masterNamePattern.MatchString(r.MasterName)):
		return invalid(field, r.MasterName,
			fmt.Sprintf("the name by which the Sentinels watch the primary, such as mymaster: 1 to %d letters, digits, ., - and _", mostMasterName))
	}
	return nil
}

func (r *RedisExternal) validateSentinelCredentials() error {
	const elsewhere = "it in mode Sentinel alone: the server's own user goes in usernameFile and passwordFile"
	switch {
	case r.Mode != ModeSentinel && r.SentinelUsernameFile != "":
		return invalid("redis.external.sentinelUsernameFile", r.SentinelUsernameFile, elsewhere)
	case r.Mode != ModeSentinel && r.SentinelPasswordFile != "":
		return invalid("redis.external.sentinelPasswordFile", r.SentinelPasswordFile, elsewhere)
	}
	return together("sentinelUsernameFile", r.SentinelUsernameFile, "sentinelPasswordFile", r.SentinelPasswordFile)
}

// together refuses a user without a password.
func together(user, userFile, password, passwordFile string) error {
	if userFile != "" && passwordFile == "" {
		return invalid("redis.external."+password, "", "a file, since "+user+" is given")
	}
	return nil
}

// ValidateAddress checks that address is host:port with a port in 1..65535.
func ValidateAddress(field, address string) error {
	if strings.Contains(address, "@") {
		return invalid(field, withoutSecrets(address),
			"host:port alone, such as redis.shop:6379: user and password go in the files that redis.external.usernameFile and redis.external.passwordFile name")
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil || host == "" {
		return invalid(field, address, "host:port, such as redis.shop:6379")
	}
	if n, err := net.LookupPort("tcp", port); err != nil || n == 0 {
		return invalid(field, address, "a port from 1 to 65535")
	}
	return nil
}
