// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// Condition types of a WriteBehindCache. Ready is the summary; Reconciling and
// Stalled follow kstatus: True is abnormal, and they are absent when all is well.
const (
	// ConditionReady is True while data is reaching the database.
	ConditionReady = "Ready"
	// ConditionRedisReady is True while every flusher reaches a writable Redis
	// of version 7 or later, alone and no cluster, with the capture functions loaded;
	// with capture Replication one that takes a replica, and whose settings fit that.
	ConditionRedisReady = "RedisReady"
	// ConditionDatabaseReady is True while every flusher reaches a read-write
	// database whose tables, keys, columns and privileges fit the mappings.
	ConditionDatabaseReady = "DatabaseReady"
	// ConditionBacklogHealthy is True while the deepest queue, dirty entries and
	// dead letters together, is under backpressure.warningQueueDepth, and Unknown
	// until a flusher has reported a queue. With capture Replication Redis' backlog has
	// to hold what is not committed yet, too. Ready does not depend on it: a long
	// queue that moves reaches the database.
	ConditionBacklogHealthy = "BacklogHealthy"
	// ConditionDeadLetterQueueEmpty is True while no queue has dead letters, and
	// Unknown until a flusher has reported a queue. Ready does not depend on it:
	// everything else reaches the database.
	ConditionDeadLetterQueueEmpty = "DeadLetterQueueEmpty"
	// ConditionDurable is True while what was acknowledged is kept: Redis has an
	// append-only file and an eviction policy that cannot drop dirty entries, the
	// tables of the mappings and of the ledger are logged, and every data-loss
	// event is acknowledged. It is Unknown while a flusher cannot check. Ready does not
	// depend on it: data reaches the database until something crashes.
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
	// ReasonFlushersDown means that no flusher answers.
	ReasonFlushersDown = "FlushersDown"
	// ReasonSecretMissing means that a Secret or its key is not there.
	ReasonSecretMissing = "SecretMissing"
	// ReasonConnectionFailed means that the server cannot be reached.
	ReasonConnectionFailed = "ConnectionFailed"
	// ReasonAuthenticationFailed means that the server refuses the credentials.
	ReasonAuthenticationFailed = "AuthenticationFailed"
)

// Reasons of Ready.
const (
	// ReasonSuspended means that spec.suspend keeps the flushers from flushing.
	ReasonSuspended = "Suspended"
	// ReasonStuck means that entries wait and nothing is flushed, although no other
	// problem is known.
	ReasonStuck = "Stuck"
)

// Reasons of RedisReady.
const (
	// ReasonReadOnlyReplica means that the address leads to a replica.
	ReasonReadOnlyReplica = "ReadOnlyReplica"
	// ReasonVersionTooOld means that the server is older than version 7.
	ReasonVersionTooOld = "VersionTooOld"
	// ReasonOutOfMemory means that Redis refuses writes at its memory limit.
	ReasonOutOfMemory = "OutOfMemory"
	// ReasonSplitBrain means that this Redis holds an older copy of a queue, while a
	// flusher works at another Redis with the same journal. Nothing is flushed from
	// this Redis.
	ReasonSplitBrain = "SplitBrain"
	// ReasonPersistenceFailing means that Redis refuses writes because it cannot
	// persist them.
	ReasonPersistenceFailing = "PersistenceFailing"
	// ReasonPrivilegeMissing means that the user lacks a right that is needed.
	ReasonPrivilegeMissing = "PrivilegeMissing"
	// ReasonCommandFailed means that Redis answered with an error that has no
	// reason of its own.
	ReasonCommandFailed = "CommandFailed"
	// ReasonClusterMode means that Redis has another topology than redis.external.mode
	// names: the address leads to a Redis Cluster, in mode Standalone to a Sentinel, or in
	// mode Sentinel to a server that is none.
	ReasonClusterMode = "ClusterMode"
	// ReasonSentinelsUnreachable means that no majority of the Sentinels answers, so that
	// the known primary may have been replaced.
	ReasonSentinelsUnreachable = "SentinelsUnreachable"
	// ReasonSentinelAuthenticationFailed means that a Sentinel refuses the credentials.
	ReasonSentinelAuthenticationFailed = "SentinelAuthenticationFailed"
	// ReasonSentinelTLSFailed means that TLS with a Sentinel fails: the Sentinel does not
	// speak it, or presents a certificate that does not fit.
	ReasonSentinelTLSFailed = "SentinelTLSFailed"
	// ReasonPrimaryUnknown means that the Sentinels watch no primary by the name in
	// redis.external.masterName.
	ReasonPrimaryUnknown = "PrimaryUnknown"
	// ReasonNoPrimary means that the primary is down and the Sentinels have elected no
	// other.
	ReasonNoPrimary = "NoPrimary"
	// ReasonLibraryMismatch means that the function library in Redis is of another
	// release than the flusher, and that the two do not understand each other.
	ReasonLibraryMismatch = "LibraryMismatch"
	// ReasonSettingsUnfit means that settings of Redis do not fit capture Replication: the
	// message has the CONFIG SET to type. Nothing is flushed until then.
	ReasonSettingsUnfit = "SettingsUnfit"
	// ReasonJournalMismatch means that the queue in Redis was made with settings
	// that cannot change while it holds entries.
	ReasonJournalMismatch = "JournalMismatch"
)

// Reasons of DatabaseReady; PrivilegeMissing is one of them too.
const (
	// ReasonReadOnly means that the session is read-only, as on a standby.
	ReasonReadOnly = "ReadOnly"
	// ReasonSchemaMismatch means that a table, key or column does not fit its
	// mapping.
	ReasonSchemaMismatch = "SchemaMismatch"
	// ReasonCircuitOpen means that the database fails at every batch, so that no batch
	// is tried for a while.
	ReasonCircuitOpen = "CircuitOpen"
	// ReasonMappingPaused means that the database refuses every row of a mapping.
	ReasonMappingPaused = "MappingPaused"
	// ReasonInvalidURL means that the connection URL cannot be used.
	ReasonInvalidURL = "InvalidURL"
	// ReasonStatementFailed means that PostgreSQL answered with an error that has
	// no reason of its own.
	ReasonStatementFailed = "StatementFailed"
)

// Reasons of BacklogHealthy and DeadLetterQueueEmpty.
const (
	// ReasonWarning means that the deepest queue has reached
	// backpressure.warningQueueDepth.
	ReasonWarning = "Warning"
	// ReasonCritical means that the deepest queue has reached
	// backpressure.criticalQueueDepth.
	ReasonCritical = "Critical"
	// ReasonNearOverrun means that most of Redis' backlog is taken by what is not
	// committed in the database yet: once it holds no more, every key is read again.
	ReasonNearOverrun = "NearOverrun"
	// ReasonBacklogExpires means that Redis may drop its backlog, or the connection of a
	// flusher that is behind, by its settings: the message has the CONFIG SET to type.
	ReasonBacklogExpires = "BacklogExpires"
	// ReasonFull means that the deepest queue has reached
	// backpressure.maxQueueDepth.
	ReasonFull = "Full"
	// ReasonDeadLetters means that the database refused entries for good.
	ReasonDeadLetters = "DeadLetters"
)

// Reasons of Durable, the gravest first. When several apply, the condition has the
// first of them, and its message names all.
const (
	// ReasonDataLoss means that Redis or PostgreSQL has lost data that it had confirmed,
	// and that nobody has acknowledged it with the annotation
	// cache.writebehind.dev/acknowledge-data-loss. It is also the reason of the event
	// about each loss.
	ReasonDataLoss = "DataLoss"
	// ReasonAppendOnlyOff means that Redis has no append-only file. RDB snapshots
	// alone lose everything that was written since the last one.
	ReasonAppendOnlyOff = "AppendOnlyOff"
	// ReasonEvictionUnsafe means that the eviction policy of Redis may drop dirty
	// entries and the journal itself, as every allkeys policy may.
	ReasonEvictionUnsafe = "EvictionUnsafe"
	// ReasonTableUnlogged means that a mapping's table, one of its partitions, or
	// the ledger is UNLOGGED: PostgreSQL empties it in a crash.
	ReasonTableUnlogged = "TableUnlogged"
)

// Reasons of SettingsApplied, Reconciling, Stalled and Draining.
const (
	// ReasonRolling means that flushers still run older settings.
	ReasonRolling = "Rolling"
	// ReasonProgressing means that objects do not match the spec yet.
	ReasonProgressing = "Progressing"
	// ReasonInvalidSpec means that the spec cannot work.
	ReasonInvalidSpec = "InvalidSpec"
	// ReasonImageNotAllowed means that the spec names an image that whoever runs the
	// operator does not allow. Nothing of the spec takes effect until it is another.
	ReasonImageNotAllowed = "ImageNotAllowed"
	// ReasonObjectConflict means that an object of a needed name belongs to
	// somebody else.
	ReasonObjectConflict = "ObjectConflict"
	// ReasonDraining means that the queue is being emptied.
	ReasonDraining = "Draining"
	// ReasonDrainBlocked means that drainTimeoutSeconds have passed and entries
	// remain.
	ReasonDrainBlocked = "DrainBlocked"
	// ReasonDrained means that the queues are empty, or were given up, and that
	// the objects are being removed. It never changes back.
	ReasonDrained = "Drained"
	// ReasonRetained means that the flushers are being removed and that Redis
	// stays with the queued entries. It never changes back.
	ReasonRetained = "Retained"
	// ReasonQueueConflict means that another resource has a queue of the same name
	// on the same Redis, or one whose keys are also keys of this one; in RedisReady,
	// that flushers of another config do.
	ReasonQueueConflict = "QueueConflict"
	// ReasonQueueNotEmpty means that a change of the spec waits until the queue
	// that it would leave behind is empty.
	ReasonQueueNotEmpty = "QueueNotEmpty"
	// ReasonStorageNotExpandable means that the volume cannot be made larger.
	ReasonStorageNotExpandable = "StorageNotExpandable"
	// ReasonStorageCannotShrink means that the volume is larger than the spec
	// asks for.
	ReasonStorageCannotShrink = "StorageCannotShrink"
)

// Reasons of events that no condition has. An event about a condition has the reason
// of the condition, or the condition's own name when it has become True.
const (
	// EventCreated means that the operator made an object.
	EventCreated = "Created"
	// EventUpdated means that the operator changed an object of its own.
	EventUpdated = "Updated"
	// EventDeleted means that the operator removed an object of its own.
	EventDeleted = "Deleted"
	// EventBacklog begins the reason of an event about BacklogHealthy, whose own
	// reasons are short: BacklogWarning, BacklogCritical, BacklogFull, BacklogNearOverrun.
	EventBacklog = "Backlog"
	// EventReplicationNotice means that Redis' replication stream told something that a
	// person should know, such as FLUSHALL.
	EventReplicationNotice = "ReplicationNotice"
	// EventMonitoringFailed means that an object for Prometheus was refused.
	EventMonitoringFailed = "MonitoringFailed"
)
