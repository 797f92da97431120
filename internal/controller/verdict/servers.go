// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package verdict

import (
	"fmt"
	"slices"
	"strings"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/resources"
	"github.com/writebehind/operator/internal/flusher/config"
)

// redisReasons are the reasons of a queue's check that lie with Redis; all others
// lie with the database.
var redisReasons = []string{
	v1alpha1.ReasonReadOnlyReplica, v1alpha1.ReasonVersionTooOld, v1alpha1.ReasonOutOfMemory,
	v1alpha1.ReasonPersistenceFailing, v1alpha1.ReasonCommandFailed, v1alpha1.ReasonJournalMismatch,
	v1alpha1.ReasonSentinelsUnreachable, v1alpha1.ReasonSentinelAuthenticationFailed, v1alpha1.ReasonSentinelTLSFailed,
	v1alpha1.ReasonPrimaryUnknown, v1alpha1.ReasonNoPrimary,
	v1alpha1.ReasonClusterMode, v1alpha1.ReasonLibraryMismatch, v1alpha1.ReasonQueueConflict, v1alpha1.ReasonSplitBrain,
}

func redisFails(f *facts) *Condition {
	for _, d := range f.documents {
		switch {
		case d.Redis.OK:
		case d.Redis.Reason == "":
			return unknown(v1alpha1.ReasonProgressing, "A flusher has not checked Redis yet")
		default:
			return bad(d.Redis.Reason, d.Redis.Message+clause(whyRedisPodWaits(f))+clause(redisRemedy(f, &d.Redis)))
		}
	}
	return nil
}

func redisIsReady(f *facts) *Condition {
	what := "Redis is reachable and writable, and has the capture functions"
	if f.Replicates() {
		what = "Redis is reachable and writable, takes a replica, and its settings fit capture Replication"
	}
	return good(what + clause(endsDefault(f)))
}

// endsDefault returns how the user is ended who may do everything in a managed Redis; empty
// where there is none but in the Pod.
func endsDefault(f *facts) string {
	redis := f.status.Redis
	if redis == nil || redis.EarlierSecretName == "" {
		return ""
	}
	return fmt.Sprintf("its user default, from before there were others, may do everything: give applications the username and the password of Secret %s, "+
		"and then delete Secret %s, which ends that user", redis.SecretName, redis.EarlierSecretName)
}

// redisLacksFile is about a managed Redis that ends since its certificate is not there.
func redisLacksFile(f *facts) *Condition {
	if f.RedisTLSSecret == "" {
		return nil
	}
	begins := config.SecretKey(f.RedisTLSSecret, "")
	for i := range f.Redis.Pods {
		if problem := podProblem(&f.Redis.Pods[i]); strings.Contains(problem, begins) {
			return bad(v1alpha1.ReasonSecretMissing, fmt.Sprintf("Pod %s %s", f.Redis.Pods[i].Name, problem))
		}
	}
	return nil
}

// redisRemedy returns what happens to a managed Redis, or what a person is to do; empty for
// one that is the user's.
func redisRemedy(f *facts, check *config.Check) string {
	if !f.Managed() {
		return ""
	}
	if f.RedisTLSSecret != "" && strings.Contains(check.Message, "certificate") {
		return fmt.Sprintf("the certificate in Secret %s has to name the host of %s, to be signed by what ca.crt there holds, and to be valid",
			f.RedisTLSSecret, resources.RedisAddress(f.Cache))
	}
	return passwordRemedy(f, check)
}

// passwordRemedy returns what happens to a managed Redis whose password is missing or
// differs.
func passwordRemedy(f *facts, check *config.Check) string {
	name := resources.FlusherSecretName(f.Cache)
	missing := check.Reason == v1alpha1.ReasonSecretMissing && strings.Contains(check.Message, config.SecretKey(f.loginSecret(), ""))
	switch {
	case missing && f.AsDefault:
		return fmt.Sprintf("the operator creates Secret %s again with a new password, and Redis restarts with it; no data is lost", f.loginSecret())
	case missing:
		return fmt.Sprintf("the operator creates Secret %s again with a new password, which Redis takes within about two minutes; no data is lost", name)
	case check.Reason == v1alpha1.ReasonAuthenticationFailed && f.AsDefault:
		return fmt.Sprintf("Redis runs with a password other than the one in Secret %s, and restarts within about two minutes with the Secret's; no data is lost. "+
			"To restart it at once, delete Pod %s-0", f.loginSecret(), resources.RedisName(f.Cache))
	case check.Reason == v1alpha1.ReasonAuthenticationFailed:
		return fmt.Sprintf("Redis takes the password of Secret %s when the kubelet has brought it, which takes about two minutes and no restart; no data is lost", name)
	}
	return ""
}

// loginSecret is the Secret with which flushers log in to a managed Redis.
func (f *facts) loginSecret() string {
	if f.AsDefault {
		return resources.DefaultSecretName(f.Cache)
	}
	return resources.FlusherSecretName(f.Cache)
}

func databaseFails(f *facts) *Condition {
	for _, d := range f.documents {
		switch {
		case d.Database.OK:
		case d.Database.Reason == "":
			return unknown(v1alpha1.ReasonProgressing, "A flusher has not checked PostgreSQL yet")
		default:
			return bad(d.Database.Reason, d.Database.Message)
		}
	}
	return nil
}

func queueFailsWithRedis(f *facts) *Condition    { return queueFails(f.documents, true) }
func queueFailsWithDatabase(f *facts) *Condition { return queueFails(f.documents, false) }

// queueFails is about the first queue whose check fails for a reason that lies with
// Redis, or with the database. A check that has no reason was not made yet, and one
// with reason Stuck found neither of them at fault.
func queueFails(documents []*config.Status, withRedis bool) *Condition {
	for _, d := range documents {
		for i := range d.Queues {
			q := &d.Queues[i]
			if q.Ready.OK || q.Ready.Reason == "" || q.Ready.Reason == v1alpha1.ReasonStuck {
				continue
			}
			if slices.Contains(redisReasons, q.Ready.Reason) != withRedis {
				continue
			}
			// A queue that could not be looked at repeats what prevents that.
			if q.Ready.Reason == d.Redis.Reason || q.Ready.Reason == d.Database.Reason {
				continue
			}
			return bad(q.Ready.Reason, aboutMapping(q))
		}
	}
	return nil
}

func aboutMapping(q *config.QueueStatus) string {
	if strings.Contains(q.Ready.Message, q.Name) {
		return q.Ready.Message
	}
	return fmt.Sprintf("mapping %s: %s", q.Name, q.Ready.Message)
}

// circuitHalfOpen is the state of a circuit breaker that lets one batch through.
const circuitHalfOpen = "half-open"

// stillOpen keeps CircuitOpen while a circuit is half-open, entries wait and none
// was flushed since. Otherwise an outage would look repaired for a moment each time
// the breaker tries.
func stillOpen(f *facts) *Condition {
	earlier := f.earlier(v1alpha1.ConditionDatabaseReady)
	if earlier == nil || earlier.Reason != v1alpha1.ReasonCircuitOpen {
		return nil
	}
	trying := false
	for _, d := range f.documents {
		for i := range d.Queues {
			if d.Queues[i].LastFlushTime.After(earlier.LastTransitionTime.Time) {
				return nil
			}
			trying = trying || d.Circuit == circuitHalfOpen && d.Queues[i].Depth > 0
		}
	}
	if !trying {
		return nil
	}
	return &Condition{earlier.Status, earlier.Reason, earlier.Message}
}
