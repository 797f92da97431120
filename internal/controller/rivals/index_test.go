// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package rivals

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/resources"
)

// A queue that its rival does not find is two resources that write each other's
// rows. Prefixes of two letters, short ones and those around the length that the index
// tells apart, make every kind of overlap likely.
func TestQueuesThatMeetFindEachOther(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	prefix := func(common string) string {
		text := strings.Repeat(common, random.IntN(2)*(longestBeginning-4))
		for range random.IntN(10) + 1 {
			text += string(rune('a' + random.IntN(2)))
		}
		return text
	}
	// Two of three Sentinels, of which each has another one in common, or the same server.
	redis := func() []string {
		one, two := random.IntN(3), random.IntN(3)
		return []string{string(rune('a' + one)), string(rune('a' + two))}
	}
	names := []string{"products", "items", "pages"}
	met := 0
	for range 10_000 {
		a := Queue{Redis: redis(), Name: names[random.IntN(len(names))], Prefix: prefix("a"), managed: random.IntN(2) == 0}
		b := Queue{Redis: redis(), Name: names[random.IntN(len(names))], Prefix: prefix("a"), managed: random.IntN(2) == 0}
		if !a.meets(b) {
			continue
		}
		met++
		for _, pair := range [][2]Queue{{a, b}, {b, a}} {
			if !slices.ContainsFunc(pair[0].Lookups(), func(term string) bool { return slices.Contains(pair[1].terms(), term) }) {
				t.Fatalf("%+v does not find %+v: it looks for %q, and that is found by %q", pair[0], pair[1], pair[0].Lookups(), pair[1].terms())
			}
		}
	}
	if met < 1000 {
		t.Errorf("only %d of 10000 pairs met", met)
	}
}

// TestTheIndexHasFewTerms: a thousand resources' would be most of the operator's memory.
func TestTheIndexHasFewTerms(t *testing.T) {
	q := Queue{Redis: []string{"redis:6379"}, Name: "products", Prefix: strings.Repeat("p", 2*longestBeginning)}
	if n := len(q.terms()); n > 10 {
		t.Errorf("a queue has %d terms: %q", n, q.terms())
	}
	cache := &v1alpha1.WriteBehindCache{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "shop"}}
	cache.Spec.Redis.Managed = &v1alpha1.ManagedRedis{}
	for _, name := range []string{"products", "pages"} {
		cache.Spec.Mappings = append(cache.Spec.Mappings, v1alpha1.Mapping{Name: name, KeyPrefix: name + ":"})
		cache.Status.Mappings = append(cache.Status.Mappings, v1alpha1.MappingStatus{
			Name: name, KeyPrefix: name + ":", Journal: "j", RedisAddress: resources.RedisAddress(cache),
		})
	}
	if terms := Terms(cache); len(terms) != 1 {
		t.Errorf("a resource with a managed Redis has the terms %q", terms)
	}
	cache.Status.Mappings[0].RedisAddress = "redis.elsewhere:6379"
	if terms := Terms(cache); len(terms) < 3 {
		t.Errorf("a queue that was left behind elsewhere is found by %q alone", terms)
	}
}

// TestTheIndexFindsFew: each pass compares with what is found, and a thousand resources on one
// Redis have prefixes that begin alike.
func TestTheIndexFindsFew(t *testing.T) {
	const many, few = 1000, 110
	for shared := range longestBeginning - 3 {
		found := map[string]int{}
		var queues []Queue
		for i := range many {
			prefix := strings.Repeat("p", shared) + fmt.Sprintf("%03d:", i)
			q := Queue{Redis: []string{"redis:6379"}, Name: prefix, Prefix: prefix}
			queues = append(queues, q)
			for _, term := range q.terms() {
				found[term]++
			}
		}
		for _, q := range queues {
			n := 0
			for _, term := range q.Lookups() {
				n += found[term]
			}
			if n > few {
				t.Fatalf("among %d prefixes that share %d bytes %q finds %d", many, shared, q.Prefix, n)
			}
		}
	}
}
