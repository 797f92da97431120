// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// Redis is either a Redis that the operator runs, or one that exists already.
// +kubebuilder:validation:XValidation:rule="has(self.managed) != has(self.external)",message="give exactly one of managed and external"
// +kubebuilder:validation:XValidation:rule="has(self.managed) == has(oldSelf.managed)",message="the choice between managed and external cannot change: the queue lives there"
type Redis struct {
	// managed lets the operator run one Redis with an append-only file and
	// snapshots.
	// +optional
	Managed *ManagedRedis `json:"managed,omitempty"`

	// external names a Redis that exists already, version 7.0 or later.
	// +optional
	External *ExternalRedis `json:"external,omitempty"`
}

// AppendFsync is when Redis makes its append-only file durable.
// +kubebuilder:validation:Enum=EverySecond;Always
type AppendFsync string

const (
	// AppendFsyncEverySecond may lose about a second of acknowledged writes.
	AppendFsyncEverySecond AppendFsync = "EverySecond"
	// AppendFsyncAlways loses no acknowledged write, and costs a sync a write.
	AppendFsyncAlways AppendFsync = "Always"
)

// ManagedRedis is the Redis that the operator runs.
// +kubebuilder:validation:XValidation:rule="!has(self.resources) || !has(self.resources.limits) || !('memory' in self.resources.limits) || string(self.resources.limits['memory']).matches('[eE]') || string(self.maxMemory).matches('[eE]') || !quantity(string(self.resources.limits['memory'])).isLessThan(quantity(string(self.maxMemory)))",message="resources.limits.memory must not be below maxMemory: the kernel would end Redis before Redis could evict"
// +kubebuilder:validation:XValidation:rule="string(self.maxMemory).matches('[eE]') || string(oldSelf.maxMemory).matches('[eE]') || string(self.storage.size).matches('[eE]') || !quantity(string(self.maxMemory)).isGreaterThan(quantity(string(oldSelf.maxMemory))) || !quantity(string(self.maxMemory)).add(quantity(string(self.maxMemory))).add(quantity(string(self.maxMemory))).add(quantity(string(self.maxMemory))).isGreaterThan(quantity(string(self.storage.size)))",message="maxMemory may grow to a quarter of storage.size: make the volume larger with it",fieldPath=".maxMemory"
type ManagedRedis struct {
	// image is the container image of Redis or Valkey, version 7.0 or later. It
	// needs redis-server, redis-cli, sha256sum and /bin/sh. Defaults to redis:7.2.
	// +kubebuilder:default="redis:7.2"
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="!self.matches('[[:space:][:cntrl:]]')",message="image must not contain white space or control characters"
	// +optional
	Image string `json:"image,omitempty"`

	// storage of the append-only file and the snapshots.
	// +kubebuilder:default={}
	// +optional
	Storage Storage `json:"storage,omitzero"`

	// resources of the Redis container. If unset, 100m of CPU are requested, the
	// request for memory is maxMemory, and its limit is twice maxMemory: while a
	// snapshot or a rewrite of the append-only file runs, pages that are written
	// meanwhile exist twice. With capture Replication maxMemory and twice
	// replication.backlog take the place of maxMemory.
	// +optional
	Resources Resources `json:"resources,omitzero"`

	// maxMemory bounds the memory of Redis' data. At the bound Redis evicts clean
	// entries, the least recently used first, and never a dirty one; when no clean
	// entry is left, Redis refuses writes. 16Mi to 16Ti, defaults to 256Mi. A limit on
	// memory in resources should be twice as much.
	// +kubebuilder:default="256Mi"
	// +kubebuilder:validation:XValidation:rule="!string(self).matches('[eE][^i]') && !quantity(string(self)).isLessThan(quantity('16Mi')) && !quantity(string(self)).isGreaterThan(quantity('16Ti'))",message="maxMemory must be an amount from 16Mi to 16Ti without an exponent, such as 256Mi"
	// +optional
	MaxMemory resource.Quantity `json:"maxMemory,omitempty,omitzero"`

	// appendFsync is when the append-only file is made durable. Defaults to
	// EverySecond.
	//
	// * EverySecond: a crash of the node may lose about the last second of
	//   acknowledged writes; it is noticed and reported.
	// * Always: a crash loses no acknowledged write; each write waits for the
	//   disk.
	// +kubebuilder:default=EverySecond
	// +optional
	AppendFsync AppendFsync `json:"appendFsync,omitempty"`

	RedisPlacement `json:",inline"`

	// tls, if set, has Redis take connections by TLS alone, at the same port. A change
	// restarts Redis and cuts off applications that connect in the other way.
	// +optional
	TLS *ManagedTLS `json:"tls,omitempty"`

	// replication sizes what Redis keeps for the flushers with capture Replication. It is
	// allowed there alone.
	// +optional
	Replication *ManagedReplication `json:"replication,omitempty"`
}

// ManagedTLS is the certificate of a managed Redis.
type ManagedTLS struct {
	// secretRef names a Secret with the keys tls.crt, tls.key and ca.crt, as cert-manager
	// makes them. The certificate has to name the host of status.redis.address:
	// NAME-redis.NAMESPACE.svc. Flushers and applications trust what ca.crt holds. A renewed
	// certificate takes effect without a restart.
	// +required
	SecretRef SecretRef `json:"secretRef,omitzero"`
}

// ManagedReplication sizes what a managed Redis keeps for the flushers.
type ManagedReplication struct {
	// backlog is how much of its replication stream Redis keeps for flushers that are
	// away or behind, and as much may wait on the way to one. When more was written than
	// it holds before that is committed, every key is read again, and what was
	// deleted meanwhile is a data-loss event. Redis takes twice as much on top of maxMemory. A
	// change restarts Redis, and waits until nothing waits to be flushed. 1Mi to 1Ti,
	// defaults to 64Mi.
	// +kubebuilder:default="64Mi"
	// +kubebuilder:validation:XValidation:rule="!string(self).matches('[eE][^i]') && !quantity(string(self)).isLessThan(quantity('1Mi')) && !quantity(string(self)).isGreaterThan(quantity('1Ti'))",message="backlog must be an amount from 1Mi to 1Ti without an exponent, such as 64Mi"
	// +optional
	Backlog resource.Quantity `json:"backlog,omitempty,omitzero"`
}

// Storage is the volume of a managed Redis.
// +kubebuilder:validation:XValidation:rule="has(self.storageClassName) == has(oldSelf.storageClassName) && (!has(self.storageClassName) || self.storageClassName == oldSelf.storageClassName)",message="storageClassName cannot change: a volume stays in its class"
type Storage struct {
	// size of the volume. It may only grow, and only if the storage class can expand
	// volumes; otherwise the condition Stalled reports it and the volume keeps its
	// size. A new resource needs at least 4 times maxMemory: while the append-only file is
	// rewritten, the volume holds it twice, with what is written meanwhile and a snapshot. At
	// most 1Pi, defaults to 1Gi.
	// +kubebuilder:default="1Gi"
	// +kubebuilder:validation:XValidation:rule="!string(self).matches('[eE][^i]') && quantity(string(self)).isGreaterThan(quantity('0')) && !quantity(string(self)).isGreaterThan(quantity('1Pi'))",message="size must be an amount above 0 and at most 1Pi without an exponent, such as 10Gi"
	// +kubebuilder:validation:XValidation:rule="string(self).matches('[eE]') || !quantity(string(self)).isLessThan(quantity(string(oldSelf)))",message="size may only grow: a volume cannot shrink"
	// +optional
	Size resource.Quantity `json:"size,omitempty,omitzero"`

	// storageClassName of the volume. If unset, the cluster's default class is
	// used. It cannot change.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')",message="storageClassName must be the name of a StorageClass: lower case letters, digits, - and ., beginning and ending with a letter or digit"
	// +optional
	StorageClassName *string `json:"storageClassName,omitempty"`
}

// Resources of one container.
// +kubebuilder:validation:XValidation:rule="!has(self.requests) || !has(self.limits) || ['cpu', 'memory'].all(n, !(n in self.requests) || !(n in self.limits) || string(self.requests[n]).matches('[eE]') || string(self.limits[n]).matches('[eE]') || !quantity(string(self.requests[n])).isGreaterThan(quantity(string(self.limits[n]))))",message="requests of cpu and memory must not be above limits"
type Resources struct {
	// limits are the most that the container may use, by resource name; at most
	// 6 of them.
	// +kubebuilder:validation:MaxProperties=6
	// +kubebuilder:validation:XValidation:rule="self.all(n, !string(self[n]).matches('[eE][^i]') && !quantity(string(self[n])).isLessThan(quantity('0')))",message="limits must be amounts of 0 or more without an exponent, such as 500m or 1Gi"
	// +optional
	Limits corev1.ResourceList `json:"limits,omitempty"`

	// requests are what the scheduler sets aside for the container, by resource
	// name; at most 6 of them.
	// +kubebuilder:validation:MaxProperties=6
	// +kubebuilder:validation:XValidation:rule="self.all(n, !string(self[n]).matches('[eE][^i]') && !quantity(string(self[n])).isLessThan(quantity('0')))",message="requests must be amounts of 0 or more without an exponent, such as 500m or 1Gi"
	// +optional
	Requests corev1.ResourceList `json:"requests,omitempty"`
}

// RedisMode is the topology of an external Redis.
// +kubebuilder:validation:Enum=Standalone;Sentinel
type RedisMode string

const (
	// RedisModeStandalone is one server at one address.
	RedisModeStandalone RedisMode = "Standalone"
	// RedisModeSentinel is a primary with replicas, of which Sentinels elect another
	// primary when that fails.
	RedisModeSentinel RedisMode = "Sentinel"
)

// ExternalRedis is a Redis that exists already. Its eviction policy must not drop
// keys without a time to live: noeviction, or one of volatile-*.
// +kubebuilder:validation:XValidation:rule="!has(self.addresses) || self.mode == 'Sentinel' || self.addresses.size() == 1",message="addresses must be exactly one in mode Standalone: several are the Sentinels of one Redis, in mode Sentinel"
// +kubebuilder:validation:XValidation:rule="!has(self.addresses) || self.addresses.all(a, self.addresses.exists_one(b, b == a))",message="addresses must name each Sentinel once: most of those that are named have to agree on the primary"
// +kubebuilder:validation:XValidation:rule="self.mode != 'Sentinel' || has(self.masterName)",message="masterName is required in mode Sentinel: give the name by which the Sentinels watch the primary, such as mymaster"
// +kubebuilder:validation:XValidation:rule="self.mode == 'Sentinel' || !has(self.masterName)",message="masterName is for mode Sentinel alone: leave it out, or make the resource with mode Sentinel"
// +kubebuilder:validation:XValidation:rule="self.mode == 'Sentinel' || !has(self.sentinelCredentialsSecretRef)",message="sentinelCredentialsSecretRef is for mode Sentinel alone: the server's own user goes in the Secret that credentialsSecretRef names"
type ExternalRedis struct {
	// addresses are host:port: of the server, exactly one, in mode Standalone; of
	// the Sentinels, up to 10, in mode Sentinel. The order means nothing. The port
	// is a number from 1 to 65535.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=10
	// +kubebuilder:validation:items:MaxLength=261
	// +kubebuilder:validation:items:XValidation:rule="!self.contains('@')",message="an address has no user and no password: they go in the Secret that credentialsSecretRef names, and an address is host:port",reason=FieldValueForbidden
	// +kubebuilder:validation:items:XValidation:rule="self.contains('@') || self.matches('^([-A-Za-z0-9._]+|[[][0-9A-Fa-f:.]+(%[-A-Za-z0-9._]+)?[]]):[0-9]{1,5}$') && int(self.substring(self.lastIndexOf(':') + 1)) >= 1 && int(self.substring(self.lastIndexOf(':') + 1)) <= 65535",message="an address is host:port with a port from 1 to 65535, such as redis.shop:6379"
	Addresses []string `json:"addresses,omitempty"`

	// mode is the topology of the Redis. It cannot change. Defaults to Standalone.
	//
	// * Standalone: one server at one address.
	// * Sentinel: the Sentinels at the addresses tell which server is the primary.
	//   The flushers follow a fail-over, and flush nothing while they do not hear
	//   of one primary from most of the Sentinels that are named here.
	// +kubebuilder:default=Standalone
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="mode cannot change: the queue lives there"
	// +optional
	Mode RedisMode `json:"mode,omitempty"`

	// masterName is the name by which the Sentinels watch the primary, as in their
	// configuration: sentinel monitor mymaster. Mode Sentinel requires it.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:XValidation:rule="self.matches('^[-._A-Za-z0-9]+$')",message="masterName must be a name that Sentinels accept: letters, digits, ., - and _, such as mymaster"
	// +optional
	MasterName string `json:"masterName,omitempty"`

	// credentialsSecretRef names the Secret with the user and the password. In mode
	// Sentinel all servers have the same. If unset, the flushers connect without
	// authentication.
	// +optional
	CredentialsSecretRef *CredentialsSecretRef `json:"credentialsSecretRef,omitempty"`

	// sentinelCredentialsSecretRef names the Secret with the user and the password of the
	// Sentinels, in mode Sentinel. If unset, the flushers connect to them without
	// authentication: a Sentinel never gets the password of the servers.
	// +optional
	SentinelCredentialsSecretRef *CredentialsSecretRef `json:"sentinelCredentialsSecretRef,omitempty"`

	// tls, if set, turns TLS on, for servers and Sentinels alike. An empty tls trusts the
	// certificate authorities of the flusher's image. A certificate has to name the host of
	// its address: that of a Sentinel as addresses has it, that of a primary as the Sentinels
	// report it, which is an IP address unless they have resolve-hostnames and
	// announce-hostnames.
	// +optional
	TLS *RedisTLS `json:"tls,omitempty"`
}

// CredentialsSecretRef names the keys of a Secret that hold a Redis user.
type CredentialsSecretRef struct {
	// name of a Secret in this namespace.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')",message="name must be the name of a Secret: lower case letters, digits, - and ., beginning and ending with a letter or digit"
	Name string `json:"name,omitempty"`

	// usernameKey is the key that holds the name of the user. If unset, flushers log in
	// as the default user.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[-._a-zA-Z0-9]+$') && self != '.' && !self.startsWith('..')",message="usernameKey must be a key of a Secret: letters, digits, -, _ and ., not . alone and not beginning with .."
	// +optional
	UsernameKey string `json:"usernameKey,omitempty"`

	// passwordKey is the key that holds the password. Defaults to password.
	// +kubebuilder:default=password
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[-._a-zA-Z0-9]+$') && self != '.' && !self.startsWith('..')",message="passwordKey must be a key of a Secret: letters, digits, -, _ and ., not . alone and not beginning with .."
	// +optional
	PasswordKey string `json:"passwordKey,omitempty"`
}

// RedisTLS is which certificate authorities to trust and which client certificate to
// send.
type RedisTLS struct {
	// caSecretRef names the certificate authorities that sign the server's
	// certificate. If unset, those of the flusher's image are trusted.
	// +optional
	CASecretRef *CASecretRef `json:"caSecretRef,omitempty"`

	// clientCertSecretRef names a Secret of type kubernetes.io/tls with the
	// client's certificate and key. If unset, no client certificate is sent.
	// +optional
	ClientCertSecretRef *SecretRef `json:"clientCertSecretRef,omitempty"`
}

// CASecretRef names one key of a Secret that holds certificates in PEM.
type CASecretRef struct {
	// name of a Secret in this namespace.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')",message="name must be the name of a Secret: lower case letters, digits, - and ., beginning and ending with a letter or digit"
	Name string `json:"name,omitempty"`

	// key that holds the certificates. Defaults to ca.crt.
	// +kubebuilder:default="ca.crt"
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[-._a-zA-Z0-9]+$') && self != '.' && !self.startsWith('..')",message="key must be a key of a Secret: letters, digits, -, _ and ., not . alone and not beginning with .."
	// +optional
	Key string `json:"key,omitempty"`
}

// SecretRef names a Secret.
type SecretRef struct {
	// name of a Secret in this namespace.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')",message="name must be the name of a Secret: lower case letters, digits, - and ., beginning and ending with a letter or digit"
	Name string `json:"name,omitempty"`
}
