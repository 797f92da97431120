// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"context"
	"errors"
	"testing"

	"github.com/writebehind/operator/internal/flusher/config"
)

func TestTheNewestPrimaryIsTheOneOfTheHighestEpoch(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		told []elected
		want elected
	}{
		"one":                                {[]elected{{"a:1", 3, false}}, elected{"a:1", 3, false}},
		"the first who knows of a fail-over": {[]elected{{"a:1", 3, true}, {"b:1", 4, false}, {"a:1", 3, true}}, elected{"b:1", 4, false}},
		"one of two who holds it for down":   {[]elected{{"a:1", 3, true}, {"a:1", 3, false}}, elected{"a:1", 3, false}},
		"most who hold it for down":          {[]elected{{"a:1", 3, true}, {"a:1", 3, false}, {"a:1", 3, true}}, elected{"a:1", 3, true}},
		"those who know less do not count":   {[]elected{{"a:1", 3, true}, {"a:1", 3, true}, {"b:1", 4, false}}, elected{"b:1", 4, false}},
		"spelled as most do":                 {[]elected{{"x:1", 3, false}, {"a:1", 3, false}, {"x:1", 3, false}}, elected{"x:1", 3, false}},
		"spelled in two ways":                {[]elected{{"x:1", 3, false}, {"a:1", 3, false}}, elected{"a:1", 3, false}},
	} {
		if got := newestOf(c.told); got != c.want {
			t.Errorf("%s: the newest is %+v, want %+v", name, got, c.want)
		}
	}
}

func TestAnOlderPrimaryIsTakenOnlyFromAllSentinels(t *testing.T) {
	t.Parallel()
	n := &newest{}
	for _, step := range []struct {
		what          string
		epoch, before int64
		all, taken    bool
		known         int64
	}{
		{"the first", 5, 0, false, true, 5},
		{"the same", 5, 5, false, true, 5},
		{"a newer one", 6, 5, false, true, 6},
		{"an older one, of some", 5, 6, false, false, 6},
		{"an older one, of all who were asked before the newer one", 5, 5, true, false, 6},
		{"an older one, of all: they were set up anew", 0, 6, true, true, 0},
	} {
		if taken := n.take(step.epoch, step.before, step.all); taken != step.taken || n.known() != step.known {
			t.Errorf("%s: taken is %t and epoch %d is known, want %t and %d", step.what, taken, n.known(), step.taken, step.known)
		}
	}
}

// TestOfSeveralErrorsTheGravestIsTold in any order.
func TestOfSeveralErrorsTheGravestIsTold(t *testing.T) {
	t.Parallel()
	s := askSentinels(config.RedisExternal{Addresses: []string{"a:1", "b:1", "c:1"}, MasterName: "m"}, &newest{})
	defer s.close()
	away, also := s.because(0, "a:1", context.DeadlineExceeded), s.because(0, "b:1", context.DeadlineExceeded)
	secret := s.because(0, "c:1", &SecretError{Secret: "Secret s, key k", Problem: "is missing"})
	for name, c := range map[string]struct {
		failed []*sentinelError
		want   *sentinelError
	}{
		"one that is away":     {[]*sentinelError{also, away}, away},
		"the same, turned":     {[]*sentinelError{away, also}, away},
		"a Secret before that": {[]*sentinelError{away, secret, also}, secret},
	} {
		var got *sentinelError
		if err := s.gravest(c.failed, 1); !errors.As(err, &got) || got.address != c.want.address || got.answered != 1 || got.asked != 3 {
			t.Errorf("%s: it is %+v, want the one of %s", name, err, c.want.address)
		}
	}
}
