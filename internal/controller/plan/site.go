// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"

	"github.com/writebehind/operator/internal/controller/resources"
)

// Site is what whoever runs the operator has decided for every resource.
type Site struct {
	// FlusherImage is the flushers' image if a spec names none.
	FlusherImage string
	// AllowedFlusherImages and AllowedRedisImages are the images that a resource may name.
	AllowedFlusherImages, AllowedRedisImages Images
	// Admitted are who may connect to the flushers' port.
	Admitted resources.Admitted
}

// Validate names the first decision that cannot be used.
func (s *Site) Validate() error {
	if err := s.AllowedFlusherImages.Validate(); err != nil {
		return fmt.Errorf("allowed flusher images: %w", err)
	}
	if err := s.AllowedRedisImages.Validate(); err != nil {
		return fmt.Errorf("allowed Redis images: %w", err)
	}
	return nil
}
