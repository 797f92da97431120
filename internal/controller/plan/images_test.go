// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"errors"
	"strings"
	"testing"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/failure"
	"github.com/writebehind/operator/internal/controller/snapshot/snapshottest"
)

// An asterisk never reaches over a slash, so that no pattern allows another registry.
func TestWhichImagesAreAllowed(t *testing.T) {
	const digest = "@sha256:0a0b"
	for name, c := range map[string]struct {
		patterns []string
		image    string
		want     bool
	}{
		"without a pattern, every one":       {nil, "anywhere.example/any:1", true},
		"the very image":                     {[]string{"registry.example/team/flusher:v1"}, "registry.example/team/flusher:v1", true},
		"another tag":                        {[]string{"registry.example/team/flusher:v1"}, "registry.example/team/flusher:v2", false},
		"any tag":                            {[]string{"registry.example/team/flusher:*"}, "registry.example/team/flusher:v2", true},
		"a tag with a digest":                {[]string{"registry.example/team/flusher:*"}, "registry.example/team/flusher:v2" + digest, true},
		"a digest alone":                     {[]string{"registry.example/team/flusher:*"}, "registry.example/team/flusher" + digest, false},
		"any digest":                         {[]string{"registry.example/team/flusher@*"}, "registry.example/team/flusher" + digest, true},
		"any of a folder":                    {[]string{"registry.example/team/*"}, "registry.example/team/other:1", true},
		"below the folder":                   {[]string{"registry.example/team/*"}, "registry.example/team/deep/other:1", false},
		"the second pattern":                 {[]string{"a:1", "b:*"}, "b:7", true},
		"a registry named like an image":     {[]string{"redis:*"}, "redis:5000/evil", false},
		"a registry that begins like it":     {[]string{"registry.example/team/flusher:*"}, "registry.example.evil/team/flusher:v1", false},
		"one that contains the allowed text": {[]string{"redis:7.2"}, "evil.example/redis:7.2", false},
	} {
		t.Run(name, func(t *testing.T) {
			images := Images(c.patterns)
			if err := images.Validate(); err != nil {
				t.Fatal(err)
			}
			if got := images.allow(c.image); got != c.want {
				t.Errorf("allowed: %t", got)
			}
		})
	}
	for _, pattern := range []string{"", "a b:1", "redis:[", `redis\:1`} {
		if err := (&Site{AllowedRedisImages: Images{"redis:7.2", pattern}}).Validate(); !errors.Is(err, errPattern) {
			t.Errorf("pattern %q is answered with %v", pattern, err)
		}
	}
}

func TestAnImageThatIsNotAllowedIsRefused(t *testing.T) {
	site := &Site{FlusherImage: "own:1", AllowedFlusherImages: Images{"flusher:*", "other:2"}, AllowedRedisImages: Images{"valkey:8"}}
	image := func(name string) func(*v1alpha1.WriteBehindCache) {
		return func(c *v1alpha1.WriteBehindCache) { c.Spec.Flusher.Image = name }
	}
	redis := func(name string) func(*v1alpha1.WriteBehindCache) {
		return func(c *v1alpha1.WriteBehindCache) {
			c.Spec.Redis = v1alpha1.Redis{Managed: &v1alpha1.ManagedRedis{Image: name}}
		}
	}
	for name, c := range map[string]struct {
		edit func(*v1alpha1.WriteBehindCache)
		want string
	}{
		"none given":               {nil, ""},
		"the operator's own":       {image("own:1"), ""},
		"one that matches":         {image("flusher:9"), ""},
		"one that matches none":    {image("evil:1"), `spec.flusher.image: "evil:1" is not allowed here, what runs is left as it is: leave it out, which takes the operator's own, or name an image that matches one of flusher:*, other:2`},
		"a Redis that matches":     {redis("valkey:8"), ""},
		"a Redis that does not":    {redis("redis:7.2"), `spec.redis.managed.image: "redis:7.2" is not allowed here, what runs is left as it is: name an image that matches one of valkey:8`},
		"the flushers' as a Redis": {redis("flusher:9"), "spec.redis.managed.image"},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := Make(snapshottest.Ready(c.edit), site)
			stalled := (*failure.Stalled)(nil)
			switch {
			case c.want == "" && err != nil:
				t.Error(err)
			case c.want == "":
			case !errors.As(err, &stalled) || stalled.Reason != v1alpha1.ReasonImageNotAllowed || !strings.HasPrefix(stalled.Message, c.want):
				t.Errorf("it is answered with %v", err)
			case len(p.Objects) > 0 || p.Settings != nil:
				t.Error("something is planned all the same")
			}
		})
	}
}
