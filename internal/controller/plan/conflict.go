// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"strings"
	"time"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/failure"
	"github.com/writebehind/operator/internal/controller/resources"
	"github.com/writebehind/operator/internal/controller/snapshot"
)

// goneRetry is how soon a pass checks a name whose object is being deleted, which
// takes seconds.
const goneRetry = 2 * time.Second

// GoingAway waits for objects of needed names that are being deleted.
func GoingAway(s *snapshot.Snapshot) error {
	return &failure.Waiting{What: strings.Join(s.Going, ", ") + " of an earlier resource of this name to be deleted", After: goneRetry}
}

// Conflict returns what to do about objects of others. Objects that an earlier resource of
// this name retained hold a queue, so they must not be deleted lightly.
func Conflict(s *snapshot.Snapshot) error {
	message := fmt.Sprintf("%s of that name belongs to somebody else and is not changed; delete it, or give this resource another name",
		strings.Join(s.Foreign, ", "))
	if s.RetainedBy != "" {
		secret := resources.RetainedSecretName(s.Cache, s.RetainedBy)
		if s.RetainedWithoutUsers {
			secret = resources.RetainedDefaultSecretName(s.Cache, s.RetainedBy)
		}
		message = fmt.Sprintf("%s of an earlier WriteBehindCache %s exists: that resource retained its Redis with the queued entries. To flush them and to go on with that Redis, "+
			"delete this resource and apply it with spec.redis.external in place of managed: addresses [%q], credentialsSecretRef {name: %s, usernameKey: username}. "+
			"To give them up, delete those objects; to keep them there, give this resource another name",
			strings.Join(s.Foreign, ", "), s.Cache.Name, resources.RedisAddress(s.Cache), secret)
	}
	return &failure.Stalled{Reason: v1alpha1.ReasonObjectConflict, Message: message, Retry: failure.ConflictRetry}
}
