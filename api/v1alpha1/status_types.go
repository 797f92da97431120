// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// WriteBehindCacheStatus is what is seen. Numbers come from the flushers; while
// none answers they keep their last value and lastObservedTime tells their age.
type WriteBehindCacheStatus struct {
	// observedGeneration is the generation of the spec that the operator has
	// last acted on.
	// +optional
	// +kubebuilder:validation:Minimum=0
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// replicas is the number of flusher pods there are.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Replicas int32 `json:"replicas"`

	// selector finds the flusher pods, for the scale subresource.
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

	// flushedTotal is the number of entries that were flushed in the lives of
	// the present queues.
	// +optional
	// +kubebuilder:validation:Minimum=0
	FlushedTotal *int64 `json:"flushedTotal,omitempty"`

	// lastFlushTime is when a flusher last committed a batch.
	// +kubebuilder:validation:XValidation:rule="self.getFullYear() > 0",message="lastFlushTime must be a time as RFC 3339 writes it, such as 2026-01-02T15:04:05Z"
	// +optional
	LastFlushTime metav1.Time `json:"lastFlushTime,omitzero"`

	// dataLossEvents counts how often Redis or PostgreSQL was found to have lost
	// what it had confirmed: by comparing journal and ledger, or because a queue
	// began another life. It never falls, also when Redis has lost the queue's own
	// count, or when a mapping is taken out.
	// +optional
	// +kubebuilder:validation:Minimum=0
	DataLossEvents *int64 `json:"dataLossEvents,omitempty"`

	// dataLoss remembers what dataLossEvents is made of and how much of it was
	// acknowledged; absent until there is either.
	// +optional
	DataLoss *DataLossStatus `json:"dataLoss,omitempty"`

	// lastObservedTime is when the numbers above were last read and had changed.
	// An idle queue therefore leaves it alone.
	// +kubebuilder:validation:XValidation:rule="self.getFullYear() > 0",message="lastObservedTime must be a time as RFC 3339 writes it, such as 2026-01-02T15:04:05Z"
	// +optional
	LastObservedTime metav1.Time `json:"lastObservedTime,omitzero"`

	// redis tells the application how to reach a managed Redis.
	// +optional
	Redis *RedisStatus `json:"redis,omitempty"`

	// mappings has one item a queue: those of the spec, in its order, and then
	// the retired ones that are not empty yet.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=256
	Mappings []MappingStatus `json:"mappings,omitempty"`

	// conditions of the cache: Ready, RedisReady, DatabaseReady, Durable,
	// BacklogHealthy, DeadLetterQueueEmpty and SettingsApplied are always there;
	// Draining only while it is being deleted; Reconciling and Stalled only while
	// they are True.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:XValidation:rule="self.all(c, c.lastTransitionTime.getFullYear() > 0)",message="lastTransitionTime must be a time as RFC 3339 writes it, such as 2026-01-02T15:04:05Z"
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// RedisStatus tells how to reach the managed Redis.
type RedisStatus struct {
	// address is host:port inside the cluster.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Address string `json:"address,omitempty"`

	// secretName is the Secret in this namespace that holds the keys username
	// and password.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	SecretName string `json:"secretName,omitempty"`
}

// DataLossStatus remembers what was counted and what was acknowledged of the
// data-loss events.
type DataLossStatus struct {
	// acknowledged is how many of the events the annotation
	// cache.writebehind.dev/acknowledge-data-loss has acknowledged.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Acknowledged int64 `json:"acknowledged,omitempty"`

	// annotation is the value that acknowledged was taken from. The same value
	// acknowledges nothing more, so that one above the number of events does not
	// hide those that follow.
	// +optional
	// +kubebuilder:validation:MaxLength=20
	Annotation string `json:"annotation,omitempty"`

	// journals are the lives of queues that had events, in the order in which they
	// were seen, so that no event is counted again when a queue comes back.
	// +optional
	// +listType=map
	// +listMapKey=journal
	// +kubebuilder:validation:MaxItems=128
	Journals []JournalLoss `json:"journals,omitempty"`
}

// JournalLoss is what one life of a queue has counted itself.
type JournalLoss struct {
	// journal is the random id of that life.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	Journal string `json:"journal,omitempty"`

	// events is its own count of data-loss events when it was last read.
	// +required
	// +kubebuilder:validation:Minimum=1
	Events int64 `json:"events,omitempty"`
}

// MappingStatus tells about one queue.
type MappingStatus struct {
	// name is the mapping's name, and the queue's.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Name string `json:"name,omitempty"`

	// journal is the random id of this life of the queue. Another one means that
	// the queue was lost with its entries.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	Journal string `json:"journal,omitempty"`

	// redisAddress is where that life of the queue was seen: the address, or the
	// name of the primary and those of its Sentinels, as mymaster@a:26379,b:26379.
	// Another journal at the same Redis is a data-loss event; at another it is not.
	// +optional
	// +kubebuilder:validation:MaxLength=4096
	RedisAddress string `json:"redisAddress,omitempty"`

	// keyPrefix begins the keys of that life of the queue. The spec does not tell it
	// any more once the mapping was taken out.
	// +optional
	// +kubebuilder:validation:MaxLength=128
	KeyPrefix string `json:"keyPrefix,omitempty"`

	// queueDepth is the number of dirty entries.
	// +optional
	// +kubebuilder:validation:Minimum=0
	QueueDepth *int64 `json:"queueDepth,omitempty"`

	// deadLetters is the number of entries that were set aside.
	// +optional
	// +kubebuilder:validation:Minimum=0
	DeadLetters *int64 `json:"deadLetters,omitempty"`

	// oldestPendingSeconds is the age in seconds of the oldest dirty entry, 0
	// when there is none.
	// +optional
	// +kubebuilder:validation:Minimum=0
	OldestPendingSeconds *int64 `json:"oldestPendingSeconds,omitempty"`

	// flushedTotal is the number of entries that were flushed in this life of
	// the queue.
	// +optional
	// +kubebuilder:validation:Minimum=0
	FlushedTotal *int64 `json:"flushedTotal,omitempty"`

	// dataLossEvents is how many of the data-loss events were of this queue, in all
	// of its lives since it was first seen.
	// +optional
	// +kubebuilder:validation:Minimum=0
	DataLossEvents *int64 `json:"dataLossEvents,omitempty"`

	// lastFlushTime is when a flusher last committed a batch of this queue.
	// +kubebuilder:validation:XValidation:rule="self.getFullYear() > 0",message="lastFlushTime must be a time as RFC 3339 writes it, such as 2026-01-02T15:04:05Z"
	// +optional
	LastFlushTime metav1.Time `json:"lastFlushTime,omitzero"`

	// lastError is the last failure to flush, without row values; empty once a
	// later flush succeeded.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	LastError string `json:"lastError,omitempty"`
}
