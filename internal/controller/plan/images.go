// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/failure"
)

// Images are the patterns of which an image has to match one. Without any pattern every
// image is allowed.
//
// A pattern is an image as a resource names it, in which * stands for any characters but
// a slash, and ? and [] mean what they mean to a shell. An asterisk must not reach over a
// slash: redis:* would allow redis:5000/evil, which is an image of the registry redis.
type Images []string

var errPattern = errors.New("a pattern is an image such as registry.example/team/flusher:*, without white space")

// Validate reports the first pattern that matches no image whatever it is.
func (i Images) Validate() error {
	for _, pattern := range i {
		if _, err := path.Match(pattern, ""); err != nil || pattern == "" || strings.ContainsAny(pattern, " \t\r\n\\") {
			return fmt.Errorf("pattern %q: %w", pattern, errPattern)
		}
	}
	return nil
}

// allow reports whether a resource may name the image.
func (i Images) allow(image string) bool {
	for _, pattern := range i {
		if ok, err := path.Match(pattern, image); ok && err == nil {
			return true
		}
	}
	return len(i) == 0
}

// checkImages refuses an image that whoever runs the operator has not allowed. The
// operator's own choice for the flushers needs no pattern. A flusher's image reads
// the Secrets that the resource names, so nothing of the resource takes effect before its
// images are allowed.
func (p *planner) checkImages() error {
	if image := p.Cache.Spec.Flusher.Image; image != "" && image != p.site.FlusherImage {
		if err := p.site.AllowedFlusherImages.check("spec.flusher.image", image, "leave it out, which takes the operator's own"); err != nil {
			return err
		}
	}
	if managed := p.Cache.Spec.Redis.Managed; managed != nil {
		return p.site.AllowedRedisImages.check("spec.redis.managed.image", managed.Image, "")
	}
	return nil
}

func (i Images) check(field, image, instead string) error {
	if i.allow(image) {
		return nil
	}
	if instead != "" {
		instead += ", or "
	}
	return &failure.Stalled{Reason: v1alpha1.ReasonImageNotAllowed, Message: fmt.Sprintf(
		"%s: %q is not allowed here, what runs is left as it is: %sname an image that matches one of %s",
		field, image, instead, strings.Join(i, ", "))}
}
