// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"slices"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/resources"
	"github.com/writebehind/operator/internal/controller/snapshot"
)

// vouched is the record with no Secret but the resource's. Who may edit ConfigMaps may write what
// it likes into a record, and need not be one who may read Secrets: a Secret that only the record
// names would be given to the flushers, and by them to the Redis that it names. So the spec has
// to name each, or the Deployment, which is the operator's and takes a right to run Pods to
// change. Where somebody deleted that, the status has to know the Redis. It is nil for a record
// of a Redis that nobody else knows; of any other the queues are kept, without the Secret.
func (m *InForce) vouched(s *snapshot.Snapshot) *InForce {
	wanted, live := s.Cache.Spec.Redis.External, s.Flushers.Deployment
	known := secretsOf(wanted)
	if live != nil {
		for i := range live.Spec.Template.Spec.Volumes {
			if secret := live.Spec.Template.Spec.Volumes[i].Secret; secret != nil {
				known = append(known, secret.SecretName)
			}
		}
	}
	strange := func(name string) bool { return !slices.Contains(known, name) }
	if !slices.ContainsFunc(secretsOf(m.External), strange) {
		return m
	}
	place := resources.ExternalPlace(m.External)
	seen := slices.ContainsFunc(s.Cache.Status.Mappings, func(q v1alpha1.MappingStatus) bool {
		return q.Journal != "" && q.RedisAddress == place
	})
	switch {
	case seen && live == nil:
		return m
	case !seen && (wanted == nil || resources.ExternalPlace(wanted) != place):
		return nil
	}
	left := *m
	left.External = withoutSecrets(m.External, strange)
	return &left
}

// secretsOf are the names of the Secrets that are given to flushers for a Redis.
func secretsOf(external *v1alpha1.ExternalRedis) (names []string) {
	if external == nil {
		return nil
	}
	for _, ref := range []*v1alpha1.CredentialsSecretRef{external.CredentialsSecretRef, external.SentinelCredentialsSecretRef} {
		if ref != nil {
			names = append(names, ref.Name)
		}
	}
	if tls := external.TLS; tls != nil {
		if tls.CASecretRef != nil {
			names = append(names, tls.CASecretRef.Name)
		}
		if tls.ClientCertSecretRef != nil {
			names = append(names, tls.ClientCertSecretRef.Name)
		}
	}
	return names
}

// withoutSecrets is a Redis without those Secrets.
func withoutSecrets(external *v1alpha1.ExternalRedis, those func(name string) bool) *v1alpha1.ExternalRedis {
	left := external.DeepCopy()
	for _, ref := range []**v1alpha1.CredentialsSecretRef{&left.CredentialsSecretRef, &left.SentinelCredentialsSecretRef} {
		if *ref != nil && those((*ref).Name) {
			*ref = nil
		}
	}
	if tls := left.TLS; tls != nil {
		if tls.CASecretRef != nil && those(tls.CASecretRef.Name) {
			tls.CASecretRef = nil
		}
		if tls.ClientCertSecretRef != nil && those(tls.ClientCertSecretRef.Name) {
			tls.ClientCertSecretRef = nil
		}
	}
	return left
}
