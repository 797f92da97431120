// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller_test

import (
	"slices"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/writebehind/operator/api/v1alpha1"
)

const secretNames = " must be the name of a Secret: lower case letters, digits, - and ., beginning and ending with a letter or digit"

const secretKeys = " must be a key of a Secret: letters, digits, -, _ and ., not . alone and not beginning with .."

func managed(edit func(*v1alpha1.ManagedRedis)) change {
	return func(c *v1alpha1.WriteBehindCache) { edit(c.Spec.Redis.Managed) }
}

// placed says where a managed Redis runs.
func placed(c *v1alpha1.WriteBehindCache, p v1alpha1.RedisPlacement) {
	c.Spec.Redis.Managed.RedisPlacement = p
}

func maxMemory(amount string) change {
	return managed(func(m *v1alpha1.ManagedRedis) { m.MaxMemory = resource.MustParse(amount) })
}

func storageSize(amount string) change {
	return managed(func(m *v1alpha1.ManagedRedis) { m.Storage.Size = resource.MustParse(amount) })
}

func storageClass(class *string) change {
	return managed(func(m *v1alpha1.ManagedRedis) { m.Storage.StorageClassName = class })
}

// redisResources gives limits and requests of memory, either of which may be empty.
func redisResources(limits, requests string) change {
	return managed(func(m *v1alpha1.ManagedRedis) { m.Resources = memoryResources(limits, requests) })
}

func memoryResources(limits, requests string) (r v1alpha1.Resources) {
	if limits != "" {
		r.Limits = memory(limits)
	}
	if requests != "" {
		r.Requests = memory(requests)
	}
	return r
}

// secured edits an external Redis that has all of its Secrets.
func secured(edit func(*v1alpha1.ExternalRedis)) change {
	return func(c *v1alpha1.WriteBehindCache) {
		c.Spec.Redis = external("a:1")
		c.Spec.Redis.External.CredentialsSecretRef = &v1alpha1.CredentialsSecretRef{Name: "a"}
		c.Spec.Redis.External.TLS = &v1alpha1.RedisTLS{
			CASecretRef: &v1alpha1.CASecretRef{Name: "a"}, ClientCertSecretRef: &v1alpha1.SecretRef{Name: "a"},
		}
		edit(c.Spec.Redis.External)
	}
}

// sentinel edits an external Redis that has Sentinels, with what only they have.
func sentinel(edit func(*v1alpha1.ExternalRedis)) change {
	return func(c *v1alpha1.WriteBehindCache) {
		c.Spec.Redis = external("a:1")
		r := c.Spec.Redis.External
		r.Mode, r.MasterName, r.SentinelCredentialsSecretRef = v1alpha1.RedisModeSentinel, "mymaster", &v1alpha1.CredentialsSecretRef{Name: "a"}
		edit(r)
	}
}

func addresses(all ...string) func(*v1alpha1.ExternalRedis) {
	return func(r *v1alpha1.ExternalRedis) { r.Addresses = all }
}

// names tries what names of objects may be.
func names(set func(name string) change) (refuses, takes []attempt) {
	for _, bad := range []string{"Bad Name!", "a..b", "-a", "a.", "a_b", "a/b", ".."} {
		refuses = append(refuses, attempt{what: "the name " + bad, edit: set(bad)})
	}
	return refuses, []attempt{{what: "a name with dots", edit: set("shop-db.eu.1")}, {what: "a name of one digit", edit: set("1")}}
}

func namesRule(field, says string, set func(name string) change) rule {
	refuses, takes := names(set)
	return rule{field: field, says: says, refuses: refuses, takes: takes}
}

// keysRule is about the keys of a Secret, which become the names of files.
func keysRule(field, name string, set func(key string) change) rule {
	r := rule{field: field, says: name + secretKeys}
	for _, bad := range []string{".", "..", "..data", "a/b", "../../etc/passwd", "a b", "a\x00", "é"} {
		r.refuses = append(r.refuses, attempt{what: "the key " + bad, edit: set(bad)})
	}
	for _, good := range []string{"a", ".a", "tls.key", "A-b_c..d"} {
		r.takes = append(r.takes, attempt{what: "the key " + good, edit: set(good)})
	}
	return r
}

// imageRule is about a container's image.
func imageRule(field string, set func(image string) change) rule {
	return rule{
		field: field, says: "image must not contain white space or control characters",
		refuses: []attempt{
			{what: "an image that is a space", edit: set(" ")},
			{what: "an image with a line's end", edit: set("redis:7.2\n")},
			{what: "an image that colours a terminal", edit: set("redis:\x1b[31m7.2")},
		},
		takes: []attempt{{what: "an image by digest behind a port", edit: set("registry:5000/a/b:v1@sha256:0a")}},
	}
}

// amountRules are about resources of a container, each of which set gives.
func amountRules(field string, set func(limits, requests string) change) []rule {
	of := func(name string, set func(amount string) change) rule {
		return rule{
			field: field + "." + name, says: name + " must be amounts of 0 or more without an exponent, such as 500m or 1Gi",
			refuses: []attempt{
				{what: "negative " + name, edit: set("-1Gi")},
				{what: name + " with an exponent", edit: set("1e9")},
				// The API server and the operator would be busy for minutes with it.
				{what: name + " beyond reason", edit: set("1e9999")},
			},
			takes: []attempt{
				{what: name + " in halves", edit: set("1.5Gi")},
				{what: name + " of an exa", edit: set("1E")},
				{what: name + " of a binary exa", edit: set("1Ei")},
			},
		}
	}
	return []rule{
		of("limits", func(amount string) change { return set(amount, "") }),
		of("requests", func(amount string) change { return set("", amount) }),
		{
			field: field, says: "requests of cpu and memory must not be above limits",
			refuses: []attempt{{what: "requests above the limits", edit: set("1Gi", "1025Mi")}},
			takes: []attempt{
				{what: "requests at the limits", edit: set("1Gi", "1024Mi")},
				{what: "requests of nothing", edit: set("", "0")},
			},
		},
	}
}

var redisRules = slices.Concat(amountRules("spec.redis.managed.resources", redisResources), placementRules("spec.redis.managed", placed), []rule{
	namesRule("spec.redis.managed.imagePullSecrets[].name", "name"+secretNames, func(name string) change {
		return managed(func(m *v1alpha1.ManagedRedis) { m.ImagePullSecrets = []v1alpha1.SecretRef{{Name: name}} })
	}),
	{
		field: "spec.redis", says: "give exactly one of managed and external",
		refuses: []attempt{
			{what: "two kinds of Redis", edit: func(c *v1alpha1.WriteBehindCache) { c.Spec.Redis.External = external("redis:6379").External }},
		},
		takes: []attempt{{what: "an external Redis", edit: address("redis.shop:6379")}},
	},
	{
		field: "spec.redis", says: "the choice between managed and external cannot change: the queue lives there",
		refuses: []attempt{
			{what: "managed that becomes external", before: as, edit: address("a:1")},
			{what: "external that becomes managed", before: address("a:1"), edit: func(c *v1alpha1.WriteBehindCache) {
				c.Spec.Redis = v1alpha1.Redis{Managed: &v1alpha1.ManagedRedis{}}
			}},
		},
		takes: []attempt{{what: "another external address", before: address("a:1"), edit: address("b:2")}},
	},
	{
		field: "spec.redis.managed", says: "resources.limits.memory must not be below maxMemory: the kernel would end Redis before Redis could evict",
		refuses: []attempt{{what: "a limit below maxMemory", edit: redisResources("255Mi", "")}},
		takes:   []attempt{{what: "a limit of just maxMemory", edit: redisResources("256Mi", "")}},
	},
	{
		field: "spec.redis.managed.maxMemory", says: "maxMemory must be an amount from 16Mi to 16Ti without an exponent, such as 256Mi",
		refuses: []attempt{
			{what: "too little memory", edit: maxMemory("16777215")},
			{what: "too much memory", edit: maxMemory("16385Gi")},
			{what: "a memory of 1e30", edit: maxMemory("1e30")},
			{what: "a memory beyond reason", edit: maxMemory("1e9999")},
		},
		takes: []attempt{
			{what: "the least memory", edit: maxMemory("16777216")},
			{what: "the most memory", edit: managed(func(m *v1alpha1.ManagedRedis) {
				m.MaxMemory, m.Storage.Size = resource.MustParse("16Ti"), resource.MustParse("64Ti")
			})},
		},
	},
	{
		field: "", says: "storage.size must be at least 4 times maxMemory: while the append-only file is rewritten, the volume holds it twice, with what is written meanwhile and a snapshot",
		refuses: []attempt{{what: "a volume that is hardly four times the memory", at: "spec.redis.managed.storage.size", edit: maxMemory("257Mi")}},
		takes:   []attempt{{what: "a volume of four times the memory", edit: maxMemory("256Mi")}},
	},
	{
		field: "spec.redis.managed", says: "maxMemory may grow to a quarter of storage.size: make the volume larger with it",
		refuses: []attempt{{what: "memory that outgrows the volume", at: "spec.redis.managed.maxMemory", before: as, edit: maxMemory("257Mi")}},
		takes:   []attempt{{what: "memory that grows within the volume", before: storageSize("2Gi"), edit: maxMemory("512Mi")}},
	},
	{
		field: "spec.redis.managed.storage.size", says: "size must be an amount above 0 and at most 1Pi without an exponent, such as 10Gi",
		refuses: []attempt{
			{what: "no volume", edit: storageSize("-1Gi")},
			{what: "a volume over 1Pi", edit: storageSize("1025Ti")},
			{what: "a volume of 1e30", edit: storageSize("1e30")},
			{what: "a volume beyond reason", edit: storageSize("1e9999")},
		},
		takes: []attempt{{what: "the largest volume", edit: storageSize("1Pi")}},
	},
	{
		field: "spec.redis.managed.storage.size", says: "size may only grow: a volume cannot shrink",
		refuses: []attempt{{what: "a volume that shrinks", before: storageSize("1Gi"), edit: storageSize("1023Mi")}},
		takes: []attempt{
			{what: "a volume that grows", before: storageSize("1Gi"), edit: storageSize("1025Mi")},
			{what: "the same size in other words", before: storageSize("1Gi"), edit: storageSize("1024Mi")},
		},
	},
	{
		field: "spec.redis.managed.storage", says: "storageClassName cannot change: a volume stays in its class",
		refuses: []attempt{
			{what: "another storage class", before: storageClass(new("fast")), edit: storageClass(new("slow"))},
			{what: "a storage class where there was none", before: as, edit: storageClass(new("slow"))},
			{what: "a storage class that goes", before: storageClass(new("fast")), edit: storageClass(nil)},
		},
		takes: []attempt{{what: "more storage in the same class", before: storageClass(new("fast")), edit: storageSize("2Gi")}},
	},
	namesRule("spec.redis.managed.storage.storageClassName",
		"storageClassName must be the name of a StorageClass: lower case letters, digits, - and ., beginning and ending with a letter or digit",
		func(name string) change { return storageClass(&name) }),
	namesRule("spec.redis.managed.tls.secretRef.name", "name"+secretNames, func(name string) change {
		return managed(func(m *v1alpha1.ManagedRedis) {
			m.TLS = &v1alpha1.ManagedTLS{SecretRef: v1alpha1.SecretRef{Name: name}}
		})
	}),
	imageRule("spec.redis.managed.image", func(image string) change { return managed(func(m *v1alpha1.ManagedRedis) { m.Image = image }) }),
	addressRule(),
	noCredentialsRule(),
	{
		field: "spec.redis.external.mode", says: "mode cannot change: the queue lives there",
		refuses: []attempt{
			{what: "a server that gets Sentinels", before: address("a:1"), edit: sentinel(func(*v1alpha1.ExternalRedis) {})},
			{what: "Sentinels that go", before: sentinel(func(*v1alpha1.ExternalRedis) {}), edit: address("a:1")},
		},
		takes: []attempt{{what: "the same arrangement, written down", before: address("a:1"), edit: func(c *v1alpha1.WriteBehindCache) {
			c.Spec.Redis.External.Mode = v1alpha1.RedisModeStandalone
		}}},
	},
	{
		field: "spec.redis.external", says: "addresses must be exactly one in mode Standalone: several are the Sentinels of one Redis, in mode Sentinel",
		refuses: []attempt{{what: "two servers", edit: func(c *v1alpha1.WriteBehindCache) {
			c.Spec.Redis = external("a:1")
			c.Spec.Redis.External.Addresses = []string{"a:1", "b:1"}
		}}},
		takes: []attempt{
			{what: "one Sentinel", edit: sentinel(addresses("a:1"))},
			{what: "a trio of Sentinels", edit: sentinel(addresses("a:26379", "b:26379", "[fd00::1]:26379"))},
			{
				what: "Sentinels in another order", before: sentinel(addresses("a:1", "b:1", "c:1")),
				edit: func(c *v1alpha1.WriteBehindCache) { c.Spec.Redis.External.Addresses = []string{"c:1", "a:1", "b:1"} },
			},
		},
	},
	{
		field: "spec.redis.external", says: "addresses must name each Sentinel once: most of those that are named have to agree on the primary",
		refuses: []attempt{{what: "a Sentinel twice", edit: sentinel(addresses("a:1", "b:1", "a:1"))}},
		takes:   []attempt{{what: "Sentinels of one host", edit: sentinel(addresses("a:1", "a:2", "a:3"))}},
	},
	{
		field: "spec.redis.external", says: "masterName is required in mode Sentinel: give the name by which the Sentinels watch the primary, such as mymaster",
		refuses: []attempt{{what: "Sentinels without a name", edit: sentinel(func(r *v1alpha1.ExternalRedis) { r.MasterName = "" })}},
		takes:   []attempt{{what: "Sentinels with a name", edit: sentinel(func(*v1alpha1.ExternalRedis) {})}},
	},
	{
		field: "spec.redis.external", says: "masterName is for mode Sentinel alone: leave it out, or make the resource with mode Sentinel",
		refuses: []attempt{{what: "a name without Sentinels", edit: secured(func(r *v1alpha1.ExternalRedis) { r.MasterName = "mymaster" })}},
		takes:   []attempt{{what: "neither", edit: secured(func(*v1alpha1.ExternalRedis) {})}},
	},
	{
		field: "spec.redis.external",
		says:  "sentinelCredentialsSecretRef is for mode Sentinel alone: the server's own user goes in the Secret that credentialsSecretRef names",
		refuses: []attempt{{what: "a user of Sentinels without any", edit: secured(func(r *v1alpha1.ExternalRedis) {
			r.SentinelCredentialsSecretRef = &v1alpha1.CredentialsSecretRef{Name: "a"}
		})}},
		takes: []attempt{{what: "Sentinels without a user", edit: sentinel(func(r *v1alpha1.ExternalRedis) { r.SentinelCredentialsSecretRef = nil })}},
	},
	masterNameRule(),
	namesRule("spec.redis.external.sentinelCredentialsSecretRef.name", "name"+secretNames, func(name string) change {
		return sentinel(func(r *v1alpha1.ExternalRedis) { r.SentinelCredentialsSecretRef.Name = name })
	}),
	keysRule("spec.redis.external.sentinelCredentialsSecretRef.usernameKey", "usernameKey", func(key string) change {
		return sentinel(func(r *v1alpha1.ExternalRedis) { r.SentinelCredentialsSecretRef.UsernameKey = key })
	}),
	keysRule("spec.redis.external.sentinelCredentialsSecretRef.passwordKey", "passwordKey", func(key string) change {
		return sentinel(func(r *v1alpha1.ExternalRedis) { r.SentinelCredentialsSecretRef.PasswordKey = key })
	}),
	namesRule("spec.redis.external.credentialsSecretRef.name", "name"+secretNames, func(name string) change {
		return secured(func(r *v1alpha1.ExternalRedis) { r.CredentialsSecretRef.Name = name })
	}),
	keysRule("spec.redis.external.credentialsSecretRef.usernameKey", "usernameKey", func(key string) change {
		return secured(func(r *v1alpha1.ExternalRedis) { r.CredentialsSecretRef.UsernameKey = key })
	}),
	keysRule("spec.redis.external.credentialsSecretRef.passwordKey", "passwordKey", func(key string) change {
		return secured(func(r *v1alpha1.ExternalRedis) { r.CredentialsSecretRef.PasswordKey = key })
	}),
	namesRule("spec.redis.external.tls.caSecretRef.name", "name"+secretNames, func(name string) change {
		return secured(func(r *v1alpha1.ExternalRedis) { r.TLS.CASecretRef.Name = name })
	}),
	keysRule("spec.redis.external.tls.caSecretRef.key", "key", func(key string) change {
		return secured(func(r *v1alpha1.ExternalRedis) { r.TLS.CASecretRef.Key = key })
	}),
	namesRule("spec.redis.external.tls.clientCertSecretRef.name", "name"+secretNames, func(name string) change {
		return secured(func(r *v1alpha1.ExternalRedis) { r.TLS.ClientCertSecretRef.Name = name })
	}),
})

func masterNameRule() rule {
	r := rule{field: "spec.redis.external.masterName", says: "masterName must be a name that Sentinels accept: letters, digits, ., - and _, such as mymaster"}
	name := func(text string) change {
		return sentinel(func(r *v1alpha1.ExternalRedis) { r.MasterName = text })
	}
	for _, bad := range []string{"my master", "a:1", "a@b", "a,b", "é", "a\n"} {
		r.refuses = append(r.refuses, attempt{what: "the name of a primary " + bad, edit: name(bad)})
	}
	for _, good := range []string{"mymaster", "A-1_b.c", "1"} {
		r.takes = append(r.takes, attempt{what: "the name of a primary " + good, edit: name(good)})
	}
	return r
}

// noCredentialsRule says nothing of the value, which may have a password in it.
func noCredentialsRule() rule {
	r := rule{
		field: "spec.redis.external.addresses[]", forbids: true,
		says: "an address has no user and no password: they go in the Secret that credentialsSecretRef names, and an address is host:port",
	}
	for _, bad := range []string{"user@a:1", "redis://u:S3cret@a:1", ":S3cret@a:1", "S3cret@"} {
		r.refuses = append(r.refuses, attempt{what: "the address " + bad, edit: address(bad)})
	}
	r.takes = append(r.takes, attempt{what: "an address without user and password", edit: address("redis:6379")})
	return r
}

func addressRule() rule {
	r := rule{field: "spec.redis.external.addresses[]", says: "an address is host:port with a port from 1 to 65535, such as redis.shop:6379"}
	for _, bad := range []string{
		"redis.shop", ":6379", "redis:", "redis:port", "redis:0", "redis:65536", "redis:99999999999999999999", "a b:1", "a\x01:1",
		"redis://a:1", "a/b:1", "fd00::1:6379", "[fd00::1", "[]:1", "a:1,b:2",
	} {
		r.refuses = append(r.refuses, attempt{what: "the address " + bad, edit: address(bad)})
	}
	for _, good := range []string{"redis.shop:6379", "a:1", "10.0.0.1:65535", "[fd00::1]:65535", "[fe80::1%eth0]:6379", "my_redis.shop.svc.:6379"} {
		r.takes = append(r.takes, attempt{what: "the address " + good, edit: address(good)})
	}
	return r
}
