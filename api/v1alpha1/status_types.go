// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// WriteBehindCacheStatus is the observed state. Numbers come from the flushers. While
// no flusher answers, numbers keep their last value, and lastObservedTime is when they
// were read.
type WriteBehindCacheStatus struct {
	// observedGeneration is the generation of the spec that the operator has
	// last acted on.
	// +optional
	// +kubebuilder:validation:Minimum=0
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// replicas is the number of existing flusher pods.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Replicas int32 `json:"replicas"`

	// selector selects the flusher pods, for the scale subresource.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Selector string `json:"selector,omitempty"`

	// queueDepth is the number of dirty entries in all queues.
	// +optional
	// +kubebuilder:validation:Minimum=0
	QueueDepth *int64 `json:"queueDepth,omitempty"`

	// deadLetters is the number of entries in all queues that the database
	// refused for good and that were set aside with their payload.
	// +optional
	// +kubebuilder:validation:Minimum=0
	DeadLetters *int64 `json:"deadLetters,omitempty"`

	// oldestPendingSeconds is the age in seconds of the oldest dirty entry, 0
	// when there is none.
	// +optional
	// +kubebuilder:validation:Minimum=0
	OldestPendingSeconds *int64 `json:"oldestPendingSeconds,omitempty"`

	// flushedTotal is the number of entries that were flushed since the present queues
	// were created.
	// +optional
	// +kubebuilder:validation:Minimum=0
	FlushedTotal *int64 `json:"flushedTotal,omitempty"`

	// lastFlushTime is when a flusher last committed a batch.
	// +kubebuilder:validation:XValidation:rule="self.getFullYear() > 0",message="lastFlushTime must be a time as RFC 3339 writes it, such as 2026-01-02T15:04:05Z"
	// +optional
	LastFlushTime metav1.Time `json:"lastFlushTime,omitzero"`

	// dataLossEvents is how often Redis or PostgreSQL was found to have lost data that
	// it had confirmed: journal and ledger disagreed, or a queue was lost and created
	// again. It never falls, even when Redis has lost the queue's own count, or when a
	// mapping is removed.
	// +optional
	// +kubebuilder:validation:Minimum=0
	DataLossEvents *int64 `json:"dataLossEvents,omitempty"`

	// dataLoss has the parts of dataLossEvents and how many events were acknowledged.
	// It is absent until there is an event or an acknowledgement.
	// +optional
	DataLoss *DataLossStatus `json:"dataLoss,omitempty"`

	// lastObservedTime is when the numbers above were last read and had changed. It
	// does not move while a queue is idle.
	// +kubebuilder:validation:XValidation:rule="self.getFullYear() > 0",message="lastObservedTime must be a time as RFC 3339 writes it, such as 2026-01-02T15:04:05Z"
	// +optional
	LastObservedTime metav1.Time `json:"lastObservedTime,omitzero"`

	// capture is how the writes of the application are noticed.
	// +optional
	Capture Capture `json:"capture,omitempty"`

	// replication is how far the flushers have come in Redis' replication stream, as the
	// one that reads it reports. It is absent with capture Functions, and until a flusher
	// reads.
	// +optional
	Replication *ReplicationStatus `json:"replication,omitempty"`

	// redis is how an application reaches a managed Redis.
	// +optional
	Redis *RedisStatus `json:"redis,omitempty"`

	// mappings has one item per queue: the queues of the spec in its order, then the
	// retired ones that are not empty yet.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=256
	Mappings []MappingStatus `json:"mappings,omitempty"`

	// conditions of the cache: Ready, RedisReady, DatabaseReady, Durable,
	// BacklogHealthy, DeadLetterQueueEmpty and SettingsApplied are always present;
	// Draining only while the resource is being deleted; Reconciling and Stalled only
	// while they are True.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:XValidation:rule="self.all(c, c.lastTransitionTime.getFullYear() > 0)",message="lastTransitionTime must be a time as RFC 3339 writes it, such as 2026-01-02T15:04:05Z"
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// ReplicationStatus is how far the flushers have come in Redis' replication stream.
type ReplicationStatus struct {
	// history numbers the history of the stream: a new number means that every key was read
	// again, since the stream could not be read on from where it was left.
	// +optional
	// +kubebuilder:validation:Minimum=0
	History int64 `json:"history,omitempty"`

	// behindBytes is how much of the stream is not committed in the database yet.
	// +optional
	// +kubebuilder:validation:Minimum=0
	BehindBytes *int64 `json:"behindBytes,omitempty"`

	// behindSeconds is the age in seconds of the oldest write that is not committed in
	// the database yet, 0 when there is none.
	// +optional
	// +kubebuilder:validation:Minimum=0
	BehindSeconds *int64 `json:"behindSeconds,omitempty"`

	// backlogPercent is how much of Redis' backlog behindBytes takes, in percent. At 100
	// and above a flusher that is restarted has to read every key again.
	// +optional
	// +kubebuilder:validation:Minimum=0
	BacklogPercent *int64 `json:"backlogPercent,omitempty"`

	// scanning is true while keys are read that were there before the stream was.
	// +optional
	Scanning bool `json:"scanning,omitempty"`

	// scannedKeys is the number of keys under the prefixes that the scan has come across
	// in this history.
	// +optional
	// +kubebuilder:validation:Minimum=0
	ScannedKeys int64 `json:"scannedKeys,omitempty"`

	// notice is what the stream told last that a person should know, such as FLUSHALL or
	// the reason for a new history.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Notice string `json:"notice,omitempty"`
}

// RedisStatus is how to reach the managed Redis.
type RedisStatus struct {
	// address is host:port inside the cluster.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Address string `json:"address,omitempty"`

	// secretName is the Secret in this namespace for applications. It holds the keys
	// username, password, host and port.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	SecretName string `json:"secretName,omitempty"`

	// earlierSecretName is the Secret of the user default, who may do everything, of a Redis
	// from before there were other users. It is set while that Secret is there: give
	// applications the one that secretName names, and then delete it, which ends the user.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	EarlierSecretName string `json:"earlierSecretName,omitempty"`

	// tlsSecretName is the Secret in this namespace whose key ca.crt holds the authorities
	// that signed Redis' certificate. It is set while Redis takes connections by TLS alone. The
	// Secret holds Redis' private key too: mount ca.crt alone.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	TLSSecretName string `json:"tlsSecretName,omitempty"`
}

// DataLossStatus is which data-loss events were counted, and how many of them were
// acknowledged.
type DataLossStatus struct {
	// acknowledged is how many of the events the annotation
	// cache.writebehind.dev/acknowledge-data-loss has acknowledged.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Acknowledged int64 `json:"acknowledged,omitempty"`

	// annotation is the annotation's value that acknowledged was taken from. The same
	// value acknowledges no further event, so that a value above the number of events
	// does not hide later ones.
	// +optional
	// +kubebuilder:validation:MaxLength=20
	Annotation string `json:"annotation,omitempty"`

	// journals are the incarnations of queues that had events, in the order in which
	// they were seen. With them no event is counted again when a queue comes back.
	// +optional
	// +listType=map
	// +listMapKey=journal
	// +kubebuilder:validation:MaxItems=128
	Journals []JournalLoss `json:"journals,omitempty"`
}

// JournalLoss is the count that one incarnation of a queue keeps itself.
type JournalLoss struct {
	// journal is the random id of that incarnation.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	Journal string `json:"journal,omitempty"`

	// events is the incarnation's own count of data-loss events when it was last read.
	// +required
	// +kubebuilder:validation:Minimum=1
	Events int64 `json:"events,omitempty"`
}

// MappingStatus is the observed state of one queue.
type MappingStatus struct {
	// name is the mapping's name, and the queue's.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Name string `json:"name,omitempty"`

	// journal is the random id of this incarnation of the queue. Another id means that
	// the queue was lost with its entries.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	Journal string `json:"journal,omitempty"`

	// redisAddress is where that incarnation was seen: the address or, of Sentinels, the
	// name of the primary and their addresses, as in mymaster@a:26379,b:26379. Another
	// journal at the same Redis is a data-loss event; another journal at another Redis is
	// not.
	// +optional
	// +kubebuilder:validation:MaxLength=4096
	RedisAddress string `json:"redisAddress,omitempty"`

	// keyPrefix begins the keys of that incarnation. The spec no longer has it once the
	// mapping is removed.
	// +optional
	// +kubebuilder:validation:MaxLength=128
	KeyPrefix string `json:"keyPrefix,omitempty"`

	// queueDepth is the number of dirty entries.
	// +optional
	// +kubebuilder:validation:Minimum=0
	QueueDepth *int64 `json:"queueDepth,omitempty"`

	// deadLetters is the number of dead letters.
	// +optional
	// +kubebuilder:validation:Minimum=0
	DeadLetters *int64 `json:"deadLetters,omitempty"`

	// oldestPendingSeconds is the age in seconds of the oldest dirty entry, 0
	// when there is none.
	// +optional
	// +kubebuilder:validation:Minimum=0
	OldestPendingSeconds *int64 `json:"oldestPendingSeconds,omitempty"`

	// flushedTotal is the number of entries that were flushed in this incarnation of
	// the queue.
	// +optional
	// +kubebuilder:validation:Minimum=0
	FlushedTotal *int64 `json:"flushedTotal,omitempty"`

	// dataLossEvents is the number of data-loss events of this queue, in all of its
	// incarnations since it was first seen.
	// +optional
	// +kubebuilder:validation:Minimum=0
	DataLossEvents *int64 `json:"dataLossEvents,omitempty"`

	// lastFlushTime is when a flusher last committed a batch of this queue.
	// +kubebuilder:validation:XValidation:rule="self.getFullYear() > 0",message="lastFlushTime must be a time as RFC 3339 writes it, such as 2026-01-02T15:04:05Z"
	// +optional
	LastFlushTime metav1.Time `json:"lastFlushTime,omitzero"`

	// lastError is the last failure to flush, without row values. It is empty after a
	// later flush succeeded while no entry waits for a retry.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	LastError string `json:"lastError,omitempty"`
}
