// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// DeletionPolicy says what happens to the queue when the resource is deleted.
// +kubebuilder:validation:Enum=Drain;Retain
type DeletionPolicy string

const (
	// DeletionPolicyDrain refuses writes, flushes the queues, and only then
	// removes anything.
	DeletionPolicyDrain DeletionPolicy = "Drain"
	// DeletionPolicyRetain removes the flushers and leaves a managed Redis with
	// its volume and its Secret in place.
	DeletionPolicyRetain DeletionPolicy = "Retain"
)

// Capture is how the writes of an application are noticed.
// +kubebuilder:validation:Enum=Functions;Replication
type Capture string

const (
	// CaptureFunctions notices what is written by the capture functions.
	CaptureFunctions Capture = "Functions"
	// CaptureReplication notices what is written by Redis' own commands.
	CaptureReplication Capture = "Replication"
)

// WriteBehindCacheSpec is the desired state.
// +kubebuilder:validation:XValidation:rule="(has(self.capture) && self.capture == 'Replication') || self.mappings.all(m, (!has(m.mode) || m.mode == 'Latest') && (!has(m.encoding) || m.encoding == 'JSON'))",message="with capture Functions a mapping has mode Latest and encoding JSON: mode Append and the encodings Hash, Number, SortedSet and Stream come later there, and are allowed with capture Replication",fieldPath=".mappings"
// +kubebuilder:validation:XValidation:rule="!has(self.capture) || self.capture != 'Replication' || self.mappings.all(m, !has(m.versionColumn))",message="versionColumn is not allowed with capture Replication, where a write has no version: leave it out",fieldPath=".mappings"
// +kubebuilder:validation:XValidation:rule="!has(self.capture) || self.capture != 'Replication' || self.mappings.all(m, !has(m.timeToLiveSeconds) || m.timeToLiveSeconds == 3600)",message="timeToLiveSeconds is not allowed with capture Replication, where the application alone says how long a key stays: leave it out",fieldPath=".mappings"
// +kubebuilder:validation:XValidation:rule="!has(self.capture) || self.capture != 'Replication' || !has(self.backpressure) || !has(self.backpressure.whenFull) || self.backpressure.whenFull == 'Reject'",message="whenFull is not allowed with capture Replication, where Redis accepts every write: leave it out",fieldPath=".backpressure"
// +kubebuilder:validation:XValidation:rule="(has(self.capture) && self.capture == 'Replication') || !has(self.redis.managed) || !has(self.redis.managed.replication)",message="redis.managed.replication is for capture Replication alone: leave it out",fieldPath=".redis"
// +kubebuilder:validation:XValidation:rule="!has(self.capture) || self.capture != 'Replication' || !has(self.redis.managed) || !has(self.redis.managed.resources) || !has(self.redis.managed.resources.limits) || !('memory' in self.redis.managed.resources.limits) || string(self.redis.managed.resources.limits['memory']).matches('[eE]') || string(self.redis.managed.maxMemory).matches('[eE]') || (has(self.redis.managed.replication) && string(self.redis.managed.replication.backlog).matches('[eE]')) || !quantity(string(self.redis.managed.resources.limits['memory'])).isLessThan(quantity(string(self.redis.managed.maxMemory)).add(has(self.redis.managed.replication) ? quantity(string(self.redis.managed.replication.backlog)) : quantity('64Mi')).add(has(self.redis.managed.replication) ? quantity(string(self.redis.managed.replication.backlog)) : quantity('64Mi')))",message="with capture Replication redis.managed.resources.limits.memory must not be below maxMemory and twice replication.backlog (64Mi unless given): the backlog and what waits for a flusher come on top of the data",fieldPath=".redis"
type WriteBehindCacheSpec struct {
	// suspend stops flushing while writes are still accepted; they wait in the
	// queue up to backpressure.maxQueueDepth. Takes effect within 2 seconds,
	// with no pod restart. Defaults to false.
	// +kubebuilder:default=false
	// +optional
	Suspend bool `json:"suspend,omitempty"`

	// capture is how the writes of the application are noticed, of all mappings. It
	// cannot change. Defaults to Functions.
	//
	// * Functions: the application calls the capture functions, such as wb_set, in place
	//   of Redis' commands. The queues are in Redis, and a full one refuses writes.
	// * Replication: the application writes with Redis' own commands, such as SET, HSET,
	//   INCR, ZADD and XADD. The flushers read Redis' replication stream as a replica does,
	//   and the keys that are there already are carried too. Redis accepts every write.
	//   DEL deletes the row; a key that expires, is evicted or goes by UNLINK keeps it.
	// +kubebuilder:default=Functions
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="capture cannot change: what was written the one way is not found the other way; create another resource, and delete this one once it is drained"
	// +optional
	Capture Capture `json:"capture,omitempty"`

	// redis is where the application writes, and where the queues are.
	// +required
	Redis Redis `json:"redis,omitzero"`

	// database is where the rows go.
	// +required
	Database Database `json:"database,omitzero"`

	// mappings carry keys to tables, one queue each. 1 to 32 of them. A mapping
	// that is removed is retired: its writers get WBPAUSED, its entries are flushed
	// with the last settings, and its item in the status stays until its queue is
	// empty. All names in columns of all mappings take at most 131072 bytes together,
	// since an object of Kubernetes holds little more than a megabyte.
	// +required
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:XValidation:rule="self.all(a, self.all(b, a.name == b.name || !a.keyPrefix.startsWith(b.keyPrefix)))",message="no keyPrefix may be the same as another's or the beginning of it: a key would fall into two queues"
	// +kubebuilder:validation:XValidation:rule="self.map(m, has(m.columns) ? m.columns.map(c, size(bytes(c.field)) + size(bytes(c.column))).sum() : 0).sum() <= 131072",message="the columns of all mappings together may name fields and columns of at most 131072 bytes: leave columns out where each field has the name of its column, or divide the mappings between two resources"
	Mappings []Mapping `json:"mappings,omitempty"`

	// flush tunes how the queue is carried to the database. Every field takes
	// effect within 2 seconds, with no pod restart.
	// +kubebuilder:default={}
	// +optional
	Flush Flush `json:"flush,omitzero"`

	// backpressure bounds the queue. Every field takes effect within 2 seconds,
	// with no pod restart.
	// +kubebuilder:default={}
	// +optional
	Backpressure Backpressure `json:"backpressure,omitzero"`

	// flusher describes the pods that carry the queue to the database.
	// +kubebuilder:default={}
	// +optional
	Flusher Flusher `json:"flusher,omitzero"`

	// networkPolicy restricts the connections to and from the flushers and a managed
	// Redis.
	// +kubebuilder:default={}
	// +optional
	NetworkPolicy NetworkPolicy `json:"networkPolicy,omitzero"`

	// deletionPolicy is what happens when this resource is deleted. Defaults to Drain.
	//
	// * Drain: writes are refused with WBPAUSED, the queues and the dead letters
	//   are emptied, and then everything is removed.
	// * Retain: the flushers are removed at once; a managed Redis stays with its
	//   Service, its Secret and its volume, and with whatever is still queued.
	// +kubebuilder:default=Drain
	// +optional
	DeletionPolicy DeletionPolicy `json:"deletionPolicy,omitempty"`

	// drainTimeoutSeconds is how long a deletion drains before the condition
	// Draining gets the reason DrainBlocked and names the obstacle. The time-out gives
	// no data up: draining goes on, and the annotation
	// cache.writebehind.dev/force-delete: "true" ends it. Defaults to 300.
	// +kubebuilder:default=300
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=604800
	// +optional
	DrainTimeoutSeconds int32 `json:"drainTimeoutSeconds,omitempty"`

	// monitoring configures the objects for a Prometheus: metrics and alerts.
	// +kubebuilder:default={}
	// +optional
	Monitoring Monitoring `json:"monitoring,omitzero"`
}

// Monitoring selects the objects of the Prometheus Operator to create. Each is created
// only if its kind is installed. A kind that is installed later is noticed within
// minutes.
type Monitoring struct {
	// serviceMonitor creates a ServiceMonitor that scrapes every flusher. Defaults to
	// true.
	// +kubebuilder:default=true
	// +optional
	ServiceMonitor *bool `json:"serviceMonitor,omitempty"`

	// prometheusRule creates a PrometheusRule with the alerts, at the marks of
	// backpressure. They select the series of serviceMonitor. Defaults to true.
	// +kubebuilder:default=true
	// +optional
	PrometheusRule *bool `json:"prometheusRule,omitempty"`

	// labels are put on both objects, for a Prometheus that selects them by label,
	// e.g. release: kube-prometheus-stack. The operator's own labels stay.
	// +kubebuilder:validation:MaxProperties=32
	// +kubebuilder:validation:XValidation:rule="self.all(key, key.matches('^([a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$') && key.indexOf('/') <= 253)",message="a label's name is 1 to 63 letters, digits, '-', '_' and '.', and begins and ends with a letter or digit; a DNS name and '/' may precede it"
	// +optional
	Labels map[string]LabelValue `json:"labels,omitempty"`
}

// LabelValue is a valid value of a label of Kubernetes.
// +kubebuilder:validation:MaxLength=63
// +kubebuilder:validation:XValidation:rule="self.matches('^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$')",message="a label's value is empty, or letters, digits, -, _ and ., and begins and ends with a letter or digit"
type LabelValue string

// Flush tunes the flusher.
type Flush struct {
	// intervalMilliseconds is the longest time, in milliseconds, that an entry
	// waits before its partition is flushed. 10 to 3600000, defaults to 5000.
	// +kubebuilder:default=5000
	// +kubebuilder:validation:Minimum=10
	// +kubebuilder:validation:Maximum=3600000
	// +optional
	IntervalMilliseconds int32 `json:"intervalMilliseconds,omitempty"`

	// batchSize is the most rows of one transaction. 1 to 10000, defaults to
	// 100.
	// +kubebuilder:default=100
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=10000
	// +optional
	BatchSize int32 `json:"batchSize,omitempty"`

	// concurrency is the number of database workers in one flusher. 1 to 64,
	// defaults to 4.
	// +kubebuilder:default=4
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=64
	// +optional
	Concurrency int32 `json:"concurrency,omitempty"`

	// maxInFlightMebibytes bounds the memory, in MiB, of the entries that the workers
	// of one flusher are writing. Each entry counts three times: as it came from
	// Redis, as columns, and as PostgreSQL reads it. A claim ends when the bound is
	// reached, so batches of large documents are smaller than batchSize; a document
	// above the bound is written alone. The process takes about two and a half times
	// the bound, and 20 MiB. Set flusher.resources.limits.memory to three times the
	// bound, or the kernel kills the process; the default limit of 512Mi allows 170.
	// Each worker claims 16 MiB of values at most, so more than 48 for each of
	// concurrency is of use only to larger documents. 8 to 16384, defaults to 64.
	// +kubebuilder:default=64
	// +kubebuilder:validation:Minimum=8
	// +kubebuilder:validation:Maximum=16384
	// +optional
	MaxInFlightMebibytes int32 `json:"maxInFlightMebibytes,omitempty"`

	// maxRetries is how often a row that the database refuses is tried again, on
	// its own and with growing pauses, before it becomes a dead letter. No row uses
	// up a retry while the database is unavailable, or while all rows of its mapping
	// are refused. 0 to 100, defaults to 3.
	// +kubebuilder:default=3
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	// +optional
	MaxRetries *int32 `json:"maxRetries,omitempty"`

	// circuitBreaker stops batches while the database fails.
	// +kubebuilder:default={}
	// +optional
	CircuitBreaker CircuitBreaker `json:"circuitBreaker,omitzero"`
}

// CircuitBreaker opens when the database fails, never when it refuses a row. While
// the circuit is open, no batch is tried. Then one batch is tried, and its outcome
// closes the circuit or opens it again.
type CircuitBreaker struct {
	// failureThreshold is how many batches in a row have to fail for the circuit
	// to open. 1 to 1000, defaults to 5.
	// +kubebuilder:default=5
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	// +optional
	FailureThreshold int32 `json:"failureThreshold,omitempty"`

	// openMilliseconds is how long, in milliseconds, an open circuit lets no batch
	// through. 100 to 3600000, defaults to 10000.
	// +kubebuilder:default=10000
	// +kubebuilder:validation:Minimum=100
	// +kubebuilder:validation:Maximum=3600000
	// +optional
	OpenMilliseconds int32 `json:"openMilliseconds,omitempty"`
}

// WhenFull is what a full queue does with a new key.
// +kubebuilder:validation:Enum=Reject;Accept
type WhenFull string

const (
	// WhenFullReject answers WBFULL at once.
	WhenFullReject WhenFull = "Reject"
	// WhenFullAccept accepts the write.
	WhenFullAccept WhenFull = "Accept"
)

// Backpressure bounds each queue. A mark above maxQueueDepth counts as maxQueueDepth.
// +kubebuilder:validation:XValidation:rule="!has(self.warningQueueDepth) || !has(self.criticalQueueDepth) || self.warningQueueDepth <= self.criticalQueueDepth",message="warningQueueDepth (1000 unless given) must not be above criticalQueueDepth (10000 unless given): raise criticalQueueDepth or lower warningQueueDepth"
type Backpressure struct {
	// maxQueueDepth is the exact maximum of dirty entries and dead letters, counted
	// together, in one queue. 1 to 100000000, defaults to 100000. With capture
	// Replication, which refuses no write, it is the depth at which the condition
	// BacklogHealthy gets the reason Full.
	// +kubebuilder:default=100000
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100000000
	// +optional
	MaxQueueDepth int32 `json:"maxQueueDepth,omitempty"`

	// warningQueueDepth is the number of dirty entries and dead letters of one
	// queue at which the condition BacklogHealthy gets the reason Warning. 1 to
	// 100000000 and not above criticalQueueDepth, defaults to 1000. Above
	// maxQueueDepth it counts as maxQueueDepth, and the reason is Full.
	// +kubebuilder:default=1000
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100000000
	// +optional
	WarningQueueDepth int32 `json:"warningQueueDepth,omitempty"`

	// criticalQueueDepth is the number of dirty entries and dead letters of one
	// queue at which the condition BacklogHealthy gets the reason Critical. 1 to
	// 100000000, defaults to 10000. Above maxQueueDepth it counts as
	// maxQueueDepth, and the reason is Full.
	// +kubebuilder:default=10000
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100000000
	// +optional
	CriticalQueueDepth int32 `json:"criticalQueueDepth,omitempty"`

	// whenFull is what a full queue does with a key that is not dirty yet. A dirty
	// key is always accepted, since it does not grow the queue. Defaults to Reject.
	//
	// * Reject: the write gets the error WBFULL at once, and nothing changes.
	// * Accept: the write is accepted; the queue may grow until Redis is out of
	//   memory.
	//
	// With capture Replication Redis accepts every write, and Accept is not allowed.
	// +kubebuilder:default=Reject
	// +optional
	WhenFull WhenFull `json:"whenFull,omitempty"`
}

// +kubebuilder:object:root=true
// +kubebuilder:resource:path=writebehindcaches,shortName=wbc,scope=Namespaced
// +kubebuilder:subresource:status
// +kubebuilder:subresource:scale:specpath=.spec.flusher.replicas,statuspath=.status.replicas,selectorpath=.status.selector
// +kubebuilder:printcolumn:name="READY",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`,description="Whether data is reaching the database."
// +kubebuilder:printcolumn:name="QUEUE",type=integer,JSONPath=`.status.queueDepth`,description="Dirty entries that wait in all queues."
// +kubebuilder:printcolumn:name="DLQ",type=integer,JSONPath=`.status.deadLetters`,description="Dead letters in all queues."
// +kubebuilder:printcolumn:name="OLDEST",type=integer,JSONPath=`.status.oldestPendingSeconds`,description="Age in seconds of the oldest dirty entry."
// +kubebuilder:printcolumn:name="FLUSHERS",type=integer,JSONPath=`.status.replicas`,description="Flusher pods."
// +kubebuilder:printcolumn:name="AGE",type=date,JSONPath=`.metadata.creationTimestamp`,description="Time since the resource was made."
// +kubebuilder:printcolumn:name="REASON",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`,description="Reason of the condition Ready."
// +kubebuilder:validation:XValidation:rule="size(self.metadata.name) <= 46 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",message="metadata.name must be 1 to 46 of a-z, 0-9 and -, beginning with a letter and ending with a letter or digit: Services and pods are named after it"
// +kubebuilder:validation:XValidation:rule="has(self.status) || !has(self.spec.redis.managed) || string(self.spec.redis.managed.maxMemory).matches('[eE]') || string(self.spec.redis.managed.storage.size).matches('[eE]') || !quantity(string(self.spec.redis.managed.maxMemory)).add(quantity(string(self.spec.redis.managed.maxMemory))).add(quantity(string(self.spec.redis.managed.maxMemory))).add(quantity(string(self.spec.redis.managed.maxMemory))).isGreaterThan(quantity(string(self.spec.redis.managed.storage.size)))",message="storage.size must be at least 4 times maxMemory: while the append-only file is rewritten, the volume holds it twice, with what is written meanwhile and a snapshot",fieldPath=".spec.redis.managed.storage.size"

// WriteBehindCache carries what an application writes to Redis on to PostgreSQL:
// coalesced, in batches, in order, once.
type WriteBehindCache struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// spec is the desired state.
	// +required
	Spec WriteBehindCacheSpec `json:"spec,omitzero"`

	// status is the observed state.
	// +optional
	Status WriteBehindCacheStatus `json:"status,omitzero"`
}

// +kubebuilder:object:root=true

// WriteBehindCacheList is a list of caches.
type WriteBehindCacheList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitzero"`
	Items           []WriteBehindCache `json:"items"`
}

func init() {
	SchemeBuilder.Register(func(scheme *runtime.Scheme) error {
		scheme.AddKnownTypes(GroupVersion, &WriteBehindCache{}, &WriteBehindCacheList{})
		return nil
	})
}
