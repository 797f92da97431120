// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"slices"
	"testing"
	"time"

	"github.com/writebehind/operator/internal/flusher/config"
)

// What a Pod gives out for a warning and is none does not reach the status.
func TestOnlyWarningsThatAreKnownAreTaken(t *testing.T) {
	s := fine(0)
	s.Warnings.Redis = []string{"run this", config.WarningAdministrator, config.WarningUnencrypted, config.WarningAdministrator}
	s.Warnings.Database = []string{"or this"}
	bound(s, "shop-flusher-0", time.Now())
	if !slices.Equal(s.Warnings.Redis, []string{config.WarningUnencrypted, config.WarningAdministrator}) || s.Warnings.Database != nil {
		t.Errorf("the warnings are %+v", s.Warnings)
	}
}
