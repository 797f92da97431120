// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// Condition types of a WriteBehindCache. Ready is the summary; Reconciling and
// Stalled follow kstatus: True is abnormal, and they are absent when all is well.
const (
	// ConditionReady is True while data is reaching the database.
	ConditionReady = "Ready"
	// ConditionRedisReady is True while every flusher reaches a writable Redis
	// of version 7 or later, alone and no cluster, with the capture functions loaded.
	ConditionRedisReady = "RedisReady"
	// ConditionDatabaseReady is True while every flusher reaches a read-write
	// database whose tables, keys, columns and privileges fit the mappings.
	ConditionDatabaseReady = "DatabaseReady"
	// ConditionBacklogHealthy is True while the deepest queue, dirty entries and
	// dead letters together, is under backpressure.warningQueueDepth, and Unknown
	// until a queue was looked at. It does not touch Ready: a long queue that
	// moves reaches the database.
	ConditionBacklogHealthy = "BacklogHealthy"
	// ConditionDeadLetterQueueEmpty is True while no queue has dead letters, and
	// Unknown until a queue was looked at. It does not touch Ready: everything
	// else reaches the database.
	ConditionDeadLetterQueueEmpty = "DeadLetterQueueEmpty"
	// ConditionDurable is True while what was acknowledged is kept: Redis has an
	// append-only file and an eviction policy that cannot drop dirty entries, the
	// tables of the mappings and of the ledger are logged, and every data-loss
	// event is acknowledged. It is Unknown while a flusher cannot look. It does not
	// touch Ready: data reaches the database all the same, until something crashes.
	ConditionDurable = "Durable"
	// ConditionSettingsApplied is True when every flusher runs the settings of
	// status.observedGeneration.
	ConditionSettingsApplied = "SettingsApplied"
	// ConditionDraining is present only while the resource is being deleted; its
	// message says how much is left.
	ConditionDraining = "Draining"
	// ConditionReconciling is True while the operator is still bringing the
	// cluster to the spec, and absent otherwise.
	ConditionReconciling = "Reconciling"
	// ConditionStalled is True when only a person can make progress possible,
	// and absent otherwise.
	ConditionStalled = "Stalled"
)

// Reasons that are shared by several conditions.
const (
	// ReasonAsExpected goes with the good state of a condition.
	ReasonAsExpected = "AsExpected"
	// ReasonFlushersDown says that no flusher answers.
	ReasonFlushersDown = "FlushersDown"
	// ReasonSecretMissing says that a Secret or its key is not there.
	ReasonSecretMissing = "SecretMissing"
	// ReasonConnectionFailed says that the server cannot be reached.
	ReasonConnectionFailed = "ConnectionFailed"
	// ReasonAuthenticationFailed says that the server refuses the credentials.
	ReasonAuthenticationFailed = "AuthenticationFailed"
)

// Reasons of Ready.
const (
	// ReasonSuspended says that spec.suspend keeps the flushers from flushing.
	ReasonSuspended = "Suspended"
	// ReasonStuck says that entries wait and nothing is flushed, although nothing
	// else is known to be wrong.
	ReasonStuck = "Stuck"
)

// Reasons of RedisReady.
const (
	// ReasonReadOnlyReplica says that the address leads to a replica.
	ReasonReadOnlyReplica = "ReadOnlyReplica"
	// ReasonVersionTooOld says that the server is older than version 7.
	ReasonVersionTooOld = "VersionTooOld"
	// ReasonOutOfMemory says that Redis refuses writes at its memory limit.
	ReasonOutOfMemory = "OutOfMemory"
	// ReasonSplitBrain says that this Redis holds an older copy of a queue, while a
	// flusher at another Redis with the same journal is at work: nothing is flushed
	// from here.
	ReasonSplitBrain = "SplitBrain"
	// ReasonPersistenceFailing says that Redis refuses writes because it cannot
	// persist them.
	ReasonPersistenceFailing = "PersistenceFailing"
	// ReasonPrivilegeMissing says that the user lacks a right that is needed.
	ReasonPrivilegeMissing = "PrivilegeMissing"
	// ReasonCommandFailed says that Redis answered with an error that has no
	// reason of its own.
	ReasonCommandFailed = "CommandFailed"
	// ReasonClusterMode says that Redis is arranged in another way than
	// redis.external.mode says: the address leads to a Redis Cluster, to a Sentinel in
	// mode Standalone, or to none in mode Sentinel.
	ReasonClusterMode = "ClusterMode"
	// ReasonSentinelsUnreachable says that fewer than most of the Sentinels answer, so
	// that the primary which is known may have been replaced.
	ReasonSentinelsUnreachable = "SentinelsUnreachable"
	// ReasonSentinelAuthenticationFailed says that a Sentinel refuses the credentials.
	ReasonSentinelAuthenticationFailed = "SentinelAuthenticationFailed"
	// ReasonSentinelTLSFailed says that TLS with a Sentinel fails: it speaks none, or
	// shows a certificate that does not fit.
	ReasonSentinelTLSFailed = "SentinelTLSFailed"
	// ReasonPrimaryUnknown says that the Sentinels watch nothing by the name that
	// redis.external.masterName gives.
	ReasonPrimaryUnknown = "PrimaryUnknown"
	// ReasonNoPrimary says that the primary is down, and that the Sentinels have
	// elected no other.
	ReasonNoPrimary = "NoPrimary"
	// ReasonLibraryMismatch says that the function library in Redis is of another
	// release than the flusher, and that the two do not understand each other.
	ReasonLibraryMismatch = "LibraryMismatch"
	// ReasonJournalMismatch says that the queue in Redis was made with settings
	// that cannot change while it holds entries.
	ReasonJournalMismatch = "JournalMismatch"
)

// Reasons of DatabaseReady; PrivilegeMissing is one of them too.
const (
	// ReasonReadOnly says that the session is read-only, as on a standby.
	ReasonReadOnly = "ReadOnly"
	// ReasonSchemaMismatch says that a table, key or column does not fit its
	// mapping.
	ReasonSchemaMismatch = "SchemaMismatch"
	// ReasonCircuitOpen says that the database fails at every batch, so that
	// nothing is tried for a while.
	ReasonCircuitOpen = "CircuitOpen"
	// ReasonMappingPaused says that the database refuses every row of a mapping.
	ReasonMappingPaused = "MappingPaused"
	// ReasonInvalidURL says that the connection URL cannot be used.
	ReasonInvalidURL = "InvalidURL"
	// ReasonStatementFailed says that PostgreSQL answered with an error that has
	// no reason of its own.
	ReasonStatementFailed = "StatementFailed"
)

// Reasons of BacklogHealthy and DeadLetterQueueEmpty.
const (
	// ReasonWarning says that the deepest queue has reached
	// backpressure.warningQueueDepth.
	ReasonWarning = "Warning"
	// ReasonCritical says that the deepest queue has reached
	// backpressure.criticalQueueDepth.
	ReasonCritical = "Critical"
	// ReasonFull says that the deepest queue has reached
	// backpressure.maxQueueDepth.
	ReasonFull = "Full"
	// ReasonDeadLetters says that the database refused entries for good.
	ReasonDeadLetters = "DeadLetters"
)

// Reasons of Durable, the gravest first. When several hold, the condition has the
// first of them, and its message tells all.
const (
	// ReasonDataLoss says that Redis or PostgreSQL was found to have lost what it
	// had confirmed, and that nobody has acknowledged it with the annotation
	// cache.writebehind.dev/acknowledge-data-loss. It is also the reason of the
	// event that tells of each loss.
	ReasonDataLoss = "DataLoss"
	// ReasonAppendOnlyOff says that Redis has no append-only file. RDB snapshots
	// alone lose everything that was written since the last one.
	ReasonAppendOnlyOff = "AppendOnlyOff"
	// ReasonEvictionUnsafe says that the eviction policy of Redis may drop dirty
	// entries and the journal itself, as every allkeys policy may.
	ReasonEvictionUnsafe = "EvictionUnsafe"
	// ReasonTableUnlogged says that a mapping's table, one of its partitions, or
	// the ledger is UNLOGGED: PostgreSQL empties it in a crash.
	ReasonTableUnlogged = "TableUnlogged"
)

// Reasons of SettingsApplied, Reconciling, Stalled and Draining.
const (
	// ReasonRolling says that flushers still run older settings.
	ReasonRolling = "Rolling"
	// ReasonProgressing says that objects are on their way to the spec.
	ReasonProgressing = "Progressing"
	// ReasonInvalidSpec says that the spec cannot work as it stands.
	ReasonInvalidSpec = "InvalidSpec"
	// ReasonObjectConflict says that an object of a needed name belongs to
	// somebody else.
	ReasonObjectConflict = "ObjectConflict"
	// ReasonDraining says that the queue is being emptied.
	ReasonDraining = "Draining"
	// ReasonDrainBlocked says that drainTimeoutSeconds have passed and entries
	// are left.
	ReasonDrainBlocked = "DrainBlocked"
	// ReasonDrained says that the queues are empty, or were given up, and that
	// the objects are being removed. It is never taken back.
	ReasonDrained = "Drained"
	// ReasonRetained says that the flushers are being removed and that Redis
	// stays with what is queued. It is never taken back.
	ReasonRetained = "Retained"
	// ReasonQueueConflict says that another resource has a queue of the same name
	// on the same Redis, or one whose keys are also keys of this one; in RedisReady,
	// that flushers of another config do.
	ReasonQueueConflict = "QueueConflict"
	// ReasonQueueNotEmpty says that a change of the spec waits until the queue
	// that it would leave behind is empty.
	ReasonQueueNotEmpty = "QueueNotEmpty"
	// ReasonStorageNotExpandable says that the volume cannot be made larger.
	ReasonStorageNotExpandable = "StorageNotExpandable"
	// ReasonStorageCannotShrink says that the volume is larger than the spec
	// asks for.
	ReasonStorageCannotShrink = "StorageCannotShrink"
)

// Reasons of events that no condition has. An event about a condition has the reason
// of the condition, or the condition's own name when it has become True.
const (
	// EventCreated says that the operator made an object.
	EventCreated = "Created"
	// EventUpdated says that the operator changed an object of its own.
	EventUpdated = "Updated"
	// EventDeleted says that the operator removed an object of its own.
	EventDeleted = "Deleted"
	// EventBacklog begins the reason of an event about BacklogHealthy, whose own
	// reasons are short: BacklogWarning, BacklogCritical, BacklogFull.
	EventBacklog = "Backlog"
	// EventMonitoringFailed says that an object for Prometheus was refused.
	EventMonitoringFailed = "MonitoringFailed"
)
