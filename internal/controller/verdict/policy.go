// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package verdict

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/writebehind/operator/api/v1alpha1"
)

// policy is every condition, in the order of evaluation. The causes of each are in order of
// precedence, with the reasons that they give.
var policy = []rule{
	redisReady,
	databaseReady,
	{
		kind: v1alpha1.ConditionDurable,
		causes: []cause{
			endangered,             // the gravest of durableReasons
			nobodyKnows,            // Unknown: FlushersDown
			dangersUnknown,         // Unknown: as a flusher says, Progressing
			unreportedIsNotDurable, // Unknown: Progressing
			lossesUnknown,          // Unknown: Progressing
			kept,                   // True
		},
		suffix: aboutAcknowledgement,
		when:   onceTriedUnlessLost,
	},
	{
		kind: v1alpha1.ConditionBacklogHealthy,
		causes: []cause{
			depthsUnknown,  // Unknown: FlushersDown, Progressing
			nearOverrun,    // NearOverrun
			markReached,    // Full, Critical, Warning
			backlogExpires, // BacklogExpires
			underEveryMark, // True
		},
		when: always,
	},
	{
		kind: v1alpha1.ConditionDeadLetterQueueEmpty,
		causes: []cause{
			deadLettersUnknown,                // Unknown: FlushersDown, Progressing
			deadLettersPresent,                // DeadLetters
			says("No queue has dead letters"), // True
		},
		when: always,
	},
	{
		kind: v1alpha1.ConditionSettingsApplied,
		causes: []cause{
			stalledSettings,  // InvalidSpec, ImageNotAllowed, ObjectConflict, QueueConflict, QueueNotEmpty
			nobodyAnswers,    // FlushersDown
			rolling,          // Rolling
			everyFlusherRuns, // True
		},
		when: onceLookedUnlessBlocked,
	},
	{
		kind: v1alpha1.ConditionReady,
		causes: []cause{
			beingDeleted,                          // Draining
			blocked,                               // InvalidSpec, ImageNotAllowed, ObjectConflict, QueueConflict
			nobodyAnswers,                         // FlushersDown
			suspended,                             // Suspended
			unless(redisReady),                    // as RedisReady
			unless(databaseReady),                 // as DatabaseReady
			unreportedIsNotReady,                  // QueueNotEmpty, Storage…, Progressing
			watchdogBarks,                         // Stuck
			nothingMoves,                          // Stuck
			says("Data is reaching the database"), // True
		},
		when: onceInForce,
	},
	// It is present only in a deletion, with its progress.
	{kind: v1alpha1.ConditionDraining, causes: []cause{drainingAs}, when: always},
	// It is there only while a person is needed.
	{kind: v1alpha1.ConditionStalled, causes: []cause{needsAPerson}, when: always},
	// It is there while the operator still has something to bring about. It comes
	// last, since it is judged by SettingsApplied as that stands.
	{
		kind: v1alpha1.ConditionReconciling,
		causes: []cause{
			// All of them give Progressing.
			waitingFor,
			attemptFailed,
			waitsForItsTurn,
			redisUnfinished,
			flushersUnfinished,
			settingsRolling,
		},
		when: always,
	},
}

// redisReady and databaseReady are also causes of Ready, and in the way of a deletion.
var (
	redisReady = rule{
		kind: v1alpha1.ConditionRedisReady,
		causes: []cause{
			nobodyKnows,         // Unknown: FlushersDown
			redisLacksFile,      // SecretMissing
			redisFails,          // as a flusher says; Unknown: Progressing
			queueFailsWithRedis, // as a flusher says of a queue
			redisIsReady,        // True
		},
		when: onceTried,
	}
	databaseReady = rule{
		kind: v1alpha1.ConditionDatabaseReady,
		causes: []cause{
			nobodyKnows,            // Unknown: FlushersDown
			databaseFails,          // as a flusher says; Unknown: Progressing
			queueFailsWithDatabase, // as a flusher says of a queue
			stillOpen,              // CircuitOpen, as it stands
			databaseIsReady,        // True
		},
		when: onceTried,
	}
)

func says(message string) cause { return func(*facts) *Condition { return good(message) } }

// unless is a cause that applies while another condition is not True, and gives its
// reason.
func unless(other rule) cause {
	return func(f *facts) *Condition {
		if c := other.evaluate(f); c.Status != metav1.ConditionTrue {
			return bad(c.Reason, c.Message)
		}
		return nil
	}
}

func always(*facts, Condition) tense { return now }

// onceTried is for a condition that a flusher finds out by trying the settings.
func onceTried(f *facts, _ Condition) tense {
	if len(f.documents) == 0 || f.tried() {
		return onceLooked
	}
	return before
}

// onceTriedUnlessLost reports a data loss at once: the operator remembers it itself, and
// needs no flusher to know it.
func onceTriedUnlessLost(f *facts, c Condition) tense {
	earlier := f.earlier(v1alpha1.ConditionDurable)
	if c.Reason == v1alpha1.ReasonDataLoss && (f.Seen.Looked || earlier == nil || earlier.Reason != c.Reason) {
		return now
	}
	return onceTried(f, c)
}

func onceLookedUnlessBlocked(f *facts, _ Condition) tense {
	if f.isBlocked() {
		return now
	}
	return onceLooked
}

// onceInForce means that all is well only when the capture functions have the present
// settings too: a writer that waits for the present generation needs them.
func onceInForce(f *facts, c Condition) tense {
	switch {
	case f.isBlocked() || f.Deleting():
		return now
	case c.Status == metav1.ConditionTrue && !f.inForce():
		return before
	default:
		return onceTried(f, c)
	}
}
