// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package resources

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/writebehind/operator/api/v1alpha1"
)

// The API server stores amounts in whole thousandths, rounded up.
func TestRequirementsAreWhatTheAPIServerStores(t *testing.T) {
	for asked, want := range map[string]string{"100u": "1m", "1500u": "2m", "1n": "1m", "0": "0", "250m": "250m", "1Gi": "1Gi", "1.5": "1500m"} {
		list := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(asked)}
		got := requirements(v1alpha1.Resources{Requests: list}, flusherResources)
		amount := (*got.Requests)[corev1.ResourceCPU]
		if amount.String() != want {
			t.Errorf("%s becomes %s, want %s", asked, amount.String(), want)
		}
		if original := list[corev1.ResourceCPU]; original.Cmp(resource.MustParse(asked)) != 0 {
			t.Errorf("%s was changed in the spec to %s", asked, original.String())
		}
	}
}
