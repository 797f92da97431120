// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"slices"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/resources"
	"github.com/writebehind/operator/internal/controller/snapshot"
)

// vouchedFor reports whether the Secrets of a record are the resource's. Who may edit ConfigMaps
// may write what it likes into a record, and need not be one who may read Secrets: a Secret that
// only the record names would be given to the flushers, and by them to the Redis that it names.
// So the spec has to name each, or the Deployment, which is the operator's and takes a right
// to run Pods to change. Where somebody deleted that, the status has to know the Redis.
func (m *InForce) vouchedFor(s *snapshot.Snapshot) bool {
	known := secretsOf(s.Cache.Spec.Redis.External)
	if d := s.Flushers.Deployment; d != nil {
		for i := range d.Spec.Template.Spec.Volumes {
			if secret := d.Spec.Template.Spec.Volumes[i].Secret; secret != nil {
				known = append(known, secret.SecretName)
			}
		}
	}
	strange := func(name string) bool { return !slices.Contains(known, name) }
	if !slices.ContainsFunc(secretsOf(m.External), strange) {
		return true
	}
	place := resources.ExternalPlace(m.External)
	return s.Flushers.Deployment == nil && slices.ContainsFunc(s.Cache.Status.Mappings, func(q v1alpha1.MappingStatus) bool {
		return q.Journal != "" && q.RedisAddress == place
	})
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
