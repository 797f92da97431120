// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package resources

import (
	"fmt"

	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/config"
)

// FlusherConfigMap holds the flusher's config file.
func FlusherConfigMap(cache *v1alpha1.WriteBehindCache, c *config.Config) (*corev1ac.ConfigMapApplyConfiguration, error) {
	data, err := c.Marshal()
	if err != nil {
		return nil, fmt.Errorf("marshal config: %w", err)
	}
	return corev1ac.ConfigMap(FlusherName(cache), cache.Namespace).
		WithLabels(Labels(cache, ComponentFlusher)).
		WithData(map[string]string{ConfigFile: string(data)}), nil
}
