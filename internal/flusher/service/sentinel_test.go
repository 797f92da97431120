// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package service_test

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	cachev1alpha1 "github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/journal/journaltest"
	"github.com/writebehind/operator/test/programs"
)

// TestAFaultOfSentinelsThatLastsHasOneWord has the flusher try again and again.
func TestAFaultOfSentinelsThatLastsHasOneWord(t *testing.T) {
	t.Parallel()
	file := secretFiles(t)
	primary, dead := journaltest.New(t), journaltest.New(t)
	plain := journaltest.NewSentinel(t, primary, 1)
	secured := journaltest.NewSentinel(t, primary, 1, journaltest.Password("right"))
	ofTheDead := journaltest.NewSentinel(t, dead, 2)
	dead.MustKill(t)
	asked := redis.NewSentinelClient(ofTheDead.Options())
	defer asked.Close()
	programs.Usual.Eventually(t, "the Sentinel holds its primary for down", func() error {
		fields, err := asked.Master(t.Context(), journaltest.MasterName).Result()
		if err == nil && !strings.Contains(fields["flags"], "s_down") {
			err = fmt.Errorf("it says %s", fields["flags"])
		}
		return err
	})
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	programs.Must(t, err)
	t.Cleanup(func() { _ = silent.Close() })
	tls := journaltest.New(t, journaltest.TLS())

	const nobody = "127.0.0.1:1"
	for name, c := range map[string]struct {
		addresses []string
		edit      func(*config.RedisExternal)
		reason    string
	}{
		"all are away":           {addresses: []string{nobody, "127.0.0.1:2", "127.0.0.1:3"}, reason: cachev1alpha1.ReasonSentinelsUnreachable},
		"most are away":          {addresses: []string{plain.Addr(), "127.0.0.1:2", "127.0.0.1:3"}, reason: cachev1alpha1.ReasonSentinelsUnreachable},
		"one hangs, one is away": {addresses: []string{plain.Addr(), silent.Addr().String(), nobody}, reason: cachev1alpha1.ReasonSentinelsUnreachable},
		"an unknown name": {
			addresses: []string{plain.Addr()}, edit: func(r *config.RedisExternal) { r.MasterName = "another" }, reason: cachev1alpha1.ReasonPrimaryUnknown,
		},
		"no password": {addresses: []string{secured.Addr()}, reason: cachev1alpha1.ReasonSentinelAuthenticationFailed},
		"a wrong password": {
			addresses: []string{secured.Addr()}, reason: cachev1alpha1.ReasonSentinelAuthenticationFailed,
			edit: func(r *config.RedisExternal) { r.SentinelPasswordFile = file("wrong", "wrong") },
		},
		"no TLS": {
			addresses: []string{plain.Addr()}, reason: cachev1alpha1.ReasonSentinelTLSFailed,
			edit: func(r *config.RedisExternal) { r.TLS = &config.TLS{CAFile: tls.TLS().CA} },
		},
		"none is elected":          {addresses: []string{ofTheDead.Addr()}, reason: cachev1alpha1.ReasonNoPrimary},
		"a server and no Sentinel": {addresses: []string{primary.Addr()}, reason: cachev1alpha1.ReasonClusterMode},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := run(t, products, func(settings *config.Config) {
				quick(settings)
				external := &settings.Redis.External
				external.Mode, external.MasterName, external.Addresses = config.ModeSentinel, journaltest.MasterName, c.addresses
				if c.edit != nil {
					c.edit(external)
				}
			})
			r.oneWord(c.reason, redisOf)
		})
	}
}
