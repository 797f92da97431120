// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"context"
	"fmt"
	"strings"

	cachev1alpha1 "github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/config"
)

// Durability looks whether this Redis keeps what it confirms: whether it has an
// append-only file, and whether its eviction policy may drop a dirty entry. It
// asks with INFO alone, since managed services and careful ACLs forbid CONFIG.
// A check that cannot be made is never reported as OK.
func (j *Journal) Durability(ctx context.Context) (persistence, eviction config.Check) {
	info, err := j.rdb.Info(ctx, "persistence", "memory").Result()
	if err != nil {
		check := j.Explain(err)
		if check.Reason == cachev1alpha1.ReasonPrivilegeMissing {
			check.Message = "whether Redis persists and what it evicts is not known, since its user may not run INFO: ACL SETUSER " + j.user() + " +info"
		}
		return check, check
	}
	return j.ofPrimary(checkPersistence(infoField(info, "aof_enabled"))),
		j.ofPrimary(checkEviction(infoField(info, "maxmemory_policy"), infoField(info, "maxmemory")))
}

// ofPrimary adds to a danger that the check saw the present primary only, since any replica
// may become the next one.
func (j *Journal) ofPrimary(check config.Check) config.Check {
	if j.master != "" && check.Endangers() {
		check.Message += "; this was seen at the present primary of " + j.master + ": set it at the replicas too, since any of them may become the next one"
	}
	return check
}

// checkPersistence takes INFO's aof_enabled. Whether the file can be written is no
// part of it: Redis refuses writes when it cannot.
func checkPersistence(enabled string) config.Check {
	switch enabled {
	case "1":
		return config.Check{OK: true}
	case "0":
		return config.Check{
			Reason: cachev1alpha1.ReasonAppendOnlyOff,
			Message: "Redis keeps no append-only file (aof_enabled is 0): RDB snapshots alone lose every write since the last one; " +
				"set appendonly yes in its configuration, and at once with CONFIG SET appendonly yes",
		}
	}
	return untold("aof_enabled", enabled, "whether Redis persists")
}

// checkEviction takes INFO's maxmemory_policy. A dirty entry and the journal have
// no time to live, so a volatile policy passes them over. An allkeys policy
// is unsafe without a limit too: the limit is one command, or one resize of a
// managed service, away, and what it evicts is gone before anybody looks again.
func checkEviction(policy, limit string) config.Check {
	switch {
	case policy == "noeviction" || strings.HasPrefix(policy, "volatile-"):
		return config.Check{OK: true}
	case strings.HasPrefix(policy, "allkeys-"):
		when := "at maxmemory " + limit
		if limit == "0" {
			when = "as soon as maxmemory, which is 0, gets a limit"
		}
		return config.Check{
			Reason: cachev1alpha1.ReasonEvictionUnsafe,
			Message: fmt.Sprintf("maxmemory-policy of Redis is %s, which drops dirty entries and the journal itself %s: "+
				"set it to volatile-lru or another volatile policy, which pass them over, or to noeviction, "+
				"in its configuration, and at once with CONFIG SET maxmemory-policy volatile-lru", policy, when),
		}
	}
	return untold("maxmemory_policy", policy, "whether Redis may evict dirty entries")
}

// untold is the check of something that INFO does not tell in words known here.
func untold(field, value, what string) config.Check {
	return config.Check{
		Reason:  cachev1alpha1.ReasonCommandFailed,
		Message: fmt.Sprintf("%s is not known: this server's INFO reports %s as %q", what, field, value),
	}
}
