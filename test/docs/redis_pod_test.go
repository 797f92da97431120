// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/resources"
)

var (
	// inRedisPod is a path in the Pod of a managed Redis.
	inRedisPod = regexp.MustCompile(`/(?:etc|run)/redis[-a-z]*(?:/[-a-z.]+)*`)
	// setByHand is a setting of Redis that a page gives a value, which is not the one that it
	// turns off.
	setByHand = regexp.MustCompile(`CONFIG SET (auto-aof-[a-z-]+) ([1-9][0-9]*)`)
)

// What somebody is told to do in the Pod of a managed Redis, in the middle of the night, has to
// find its files there, and leave the settings as the operator makes them.
func TestWhatThePagesDoInThePodOfRedisFindsItsFiles(t *testing.T) {
	cache := &v1alpha1.WriteBehindCache{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "shop", UID: "0123456789"}}
	cache.Spec.Redis.Managed = &v1alpha1.ManagedRedis{TLS: &v1alpha1.ManagedTLS{SecretRef: v1alpha1.SecretRef{Name: "tls"}}}
	set, err := resources.RedisStatefulSet(cache, nil)
	if err != nil {
		t.Fatal(err)
	}
	pod := set.Spec.Template.Spec
	keys := map[string][]string{}
	for _, v := range pod.Volumes {
		switch {
		case v.Secret != nil:
			for _, item := range v.Secret.Items {
				keys[*v.Name] = append(keys[*v.Name], *item.Path)
			}
		case v.ConfigMap != nil && *v.ConfigMap.Name == resources.RedisName(cache):
			keys[*v.Name] = slices.Collect(maps.Keys(resources.RedisConfigMap(cache).Data))
		case v.ConfigMap != nil:
			keys[*v.Name] = slices.Collect(maps.Keys(resources.RedisUsersConfigMap(cache, nil).Data))
		}
	}
	there := map[string]bool{}
	for _, m := range pod.Containers[0].VolumeMounts {
		there[*m.MountPath] = true
		for _, key := range keys[*m.Name] {
			there[*m.MountPath+"/"+key] = true
		}
	}
	conf, found := resources.RedisConf(cache), 0
	for path, page := range pages(t) {
		text := page.prose
		for i := range page.blocks {
			text += page.blocks[i].text()
		}
		for _, file := range inRedisPod.FindAllString(text, -1) {
			found++
			if !there[strings.TrimRight(file, ".")] {
				t.Errorf("%s: %s is not in the Pod of Redis, which has %v", path, file, slices.Sorted(maps.Keys(there)))
			}
		}
		for _, set := range setByHand.FindAllStringSubmatch(text, -1) {
			if want := set[1] + " " + set[2] + "\n"; !strings.Contains(conf, want) {
				t.Errorf("%s: %s is not what the operator gives", path, set[0])
			}
		}
	}
	if found == 0 {
		t.Error("no page names a file in the Pod of Redis")
	}
}
