// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"strings"
	"testing"

	cachev1alpha1 "github.com/writebehind/operator/api/v1alpha1"
)

// A server that leaves a field out, or has a policy of its own, is neither right
// nor wrong.
func TestAnInfoThatTellsNothingKnownIsUnknown(t *testing.T) {
	for name, check := range map[string]struct {
		got  string
		want string
	}{
		"no aof_enabled":      {checkPersistence("").Message, `aof_enabled as ""`},
		"another aof_enabled": {checkPersistence("partly").Message, `aof_enabled as "partly"`},
		"no policy":           {checkEviction("", "0").Message, `maxmemory_policy as ""`},
		"another policy":      {checkEviction("cache", "0").Message, `maxmemory_policy as "cache"`},
	} {
		if !strings.Contains(check.got, check.want) || !strings.Contains(check.got, "not known") {
			t.Errorf("%s: the message is %q, want %q in it", name, check.got, check.want)
		}
	}
	if c := checkEviction("cache", "0"); c.OK || c.Endangers() || c.Reason != cachev1alpha1.ReasonCommandFailed {
		t.Errorf("an unknown policy is told as %+v", c)
	}
}
