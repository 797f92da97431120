// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package rivals

import (
	"errors"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/resources"
)

type edit = func(*v1alpha1.WriteBehindCache)

// resource has a mapping products of the keys product: at an external Redis.
func resource(namespace, uid string, edits ...edit) *v1alpha1.WriteBehindCache {
	c := &v1alpha1.WriteBehindCache{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "shop", UID: types.UID(uid), CreationTimestamp: metav1.NewTime(time.Unix(0, 0))},
		Spec: v1alpha1.WriteBehindCacheSpec{
			Redis:    v1alpha1.Redis{External: &v1alpha1.ExternalRedis{Addresses: []string{"redis.db:6379"}}},
			Mappings: []v1alpha1.Mapping{{Name: "products", KeyPrefix: "product:"}},
		},
	}
	for _, e := range edits {
		e(c)
	}
	return c
}

func mapping(name, prefix string) edit {
	return func(c *v1alpha1.WriteBehindCache) {
		c.Spec.Mappings[0].Name, c.Spec.Mappings[0].KeyPrefix = name, prefix
	}
}

func address(text string) edit {
	return func(c *v1alpha1.WriteBehindCache) { c.Spec.Redis.External.Addresses = []string{text} }
}

// sentinels are those of a primary.
func sentinels(master string, addresses ...string) edit {
	return func(c *v1alpha1.WriteBehindCache) {
		c.Spec.Redis.External = &v1alpha1.ExternalRedis{Mode: v1alpha1.RedisModeSentinel, MasterName: master, Addresses: addresses}
	}
}

// holding is a resource whose flushers were seen at its queue.
func holding(c *v1alpha1.WriteBehindCache) {
	c.Status.Mappings = []v1alpha1.MappingStatus{{
		Name: c.Spec.Mappings[0].Name, KeyPrefix: c.Spec.Mappings[0].KeyPrefix, Journal: "x", RedisAddress: resources.ExternalPlace(c.Spec.Redis.External),
	}}
}

func born(ago time.Duration) edit {
	return func(c *v1alpha1.WriteBehindCache) { c.CreationTimestamp = metav1.NewTime(time.Unix(0, 0).Add(-ago)) }
}

// named tells the two resources of one namespace apart.
func named(c *v1alpha1.WriteBehindCache) { c.Name = "theirs" }

// original is the name that its managed Redis is called by.
func original(c *v1alpha1.WriteBehindCache) { c.Name = "shop" }

func elsewhere(c *v1alpha1.WriteBehindCache) { c.Namespace = "elsewhere" }

func deleted(c *v1alpha1.WriteBehindCache) { c.DeletionTimestamp = new(metav1.Now()) }

func managed(c *v1alpha1.WriteBehindCache) {
	c.Spec.Redis = v1alpha1.Redis{Managed: &v1alpha1.ManagedRedis{}}
}

func TestWhoHasAQueue(t *testing.T) {
	for name, c := range map[string]struct {
		mine, theirs []edit
		givesWay     bool
		says         string
	}{
		"the older of another namespace, whom nobody saw there": {nil, []edit{elsewhere, born(time.Hour)}, false, ""},
		"of another namespace, seen there": {
			nil,
			[]edit{elsewhere, holding},
			true,
			"mapping products names a queue that a resource of another namespace has on the same Redis: give the mapping another name and another keyPrefix, or ask",
		},
		"of another namespace, seen at keys of it": {
			[]edit{mapping("items", "product:1")},
			[]edit{elsewhere, holding},
			true,
			`mapping items (keyPrefix "product:1") shares keys with a queue that a resource of another namespace has`,
		},
		"of another namespace, seen under the name": {
			[]edit{mapping("products", "p:")}, []edit{elsewhere, holding}, true, "give the mapping another name, or ask",
		},
		"of another namespace, with its own Redis": {[]edit{address("shop-redis.elsewhere:6379"), born(time.Hour)}, []edit{elsewhere, managed, original}, true, ""},
		"of another namespace, both seen":          {[]edit{holding}, []edit{elsewhere, holding, born(time.Hour)}, true, ""},
		"of another name":                          {nil, []edit{mapping("orders", "order:")}, false, ""},
		"at another Redis":                         {nil, []edit{address("other.db:6379")}, false, ""},
		"on another port":                          {nil, []edit{address("redis.db:6380")}, false, ""},
		"the older has it":                         {nil, []edit{born(time.Hour)}, true, "mapping products names a queue that WriteBehindCache mine/theirs has on the same Redis: give the mapping another name and a keyPrefix"},
		"the younger gives way":                    {[]edit{born(time.Hour)}, nil, false, ""},
		"one of them, of the same age":             {nil, nil, true, ""},
		"the Redis by another name":                {nil, []edit{born(time.Hour), address("Redis.db.svc.cluster.local.:6379")}, true, ""},
		"the Sentinels in another order": {
			[]edit{sentinels("m", "a.db:1", "b.db:1")}, []edit{sentinels("m", "b.db:1", "a.db:1"), born(time.Hour)}, true, "on the same Redis",
		},
		"another Sentinel of the trio": {
			[]edit{sentinels("m", "a.db:1", "b.db:1")}, []edit{sentinels("m", "b.db.svc:1", "c.db:1"), born(time.Hour)}, true, "",
		},
		"a Sentinel, whom it is at": {
			[]edit{sentinels("m", "a.db:1", "b.db:1"), born(time.Hour)}, []edit{sentinels("m", "c.db:1", "b.db:1"), holding}, true, "",
		},
		"another primary of the Sentinels": {[]edit{sentinels("m", "a.db:1")}, []edit{sentinels("n", "a.db:1"), born(time.Hour)}, false, ""},
		"other Sentinels":                  {[]edit{sentinels("m", "a.db:1")}, []edit{sentinels("m", "b.db:1"), born(time.Hour)}, false, ""},
		"a server where Sentinels are":     {[]edit{sentinels("m", "a.db:1")}, []edit{address("a.db:1"), born(time.Hour)}, false, ""},
		"who is at it goes first":          {[]edit{born(time.Hour)}, []edit{holding}, true, ""},
		"who is at it keeps it":            {[]edit{holding}, []edit{born(time.Hour)}, false, ""},
		"the Redis' own goes first":        {[]edit{born(time.Hour), address("shop-redis.elsewhere:6379"), holding}, []edit{elsewhere, managed, original}, true, ""},
		"its keys, under another name":     {[]edit{mapping("items", "product:1")}, []edit{born(time.Hour)}, true, `mapping items (keyPrefix "product:1") shares keys with mapping products (keyPrefix "product:") of WriteBehindCache mine/theirs`},
		"the name, of other keys":          {[]edit{mapping("products", "p:")}, []edit{born(time.Hour)}, true, "give the mapping another name, or remove it"},
		"keys that only begin alike":       {[]edit{mapping("items", "prod-1")}, []edit{born(time.Hour)}, false, ""},
		"its own queue, when deleted":      {[]edit{mapping("items", "product:1"), holding, deleted}, []edit{born(time.Hour), holding}, false, ""},
		"the same queue, when deleted":     {[]edit{deleted}, []edit{born(time.Hour), holding}, true, ""},
		"a queue that it never reached":    {[]edit{mapping("items", "product:1"), deleted}, []edit{born(time.Hour), holding}, true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			mine, theirs := resource("mine", "b", c.mine...), resource("mine", "a", append([]edit{named}, c.theirs...)...)
			found, err := Find(mine, func(Queue) ([]*v1alpha1.WriteBehindCache, error) { return []*v1alpha1.WriteBehindCache{theirs}, nil })
			rival := found[mine.Spec.Mappings[0].Name]
			if err != nil || (rival != nil) != c.givesWay {
				t.Fatalf("gives way to %+v, %v", rival, err)
			}
			if rival != nil && !strings.Contains(rival.Conflict(&mine.Spec.Mappings[0]), c.says) {
				t.Errorf("says %q, want %q", rival.Conflict(&mine.Spec.Mappings[0]), c.says)
			}
			if rival != nil && theirs.Namespace != mine.Namespace {
				for _, secret := range []string{theirs.Namespace + "/", theirs.Name, theirs.Spec.Mappings[0].Table, `"product:")`} {
					if text := rival.Conflict(&mine.Spec.Mappings[0]); secret != "" && strings.Contains(text, secret) {
						t.Errorf("says %q, which has %q of another namespace", text, secret)
					}
				}
			}
			// Never both, and one of them.
			back, _ := Find(theirs, func(Queue) ([]*v1alpha1.WriteBehindCache, error) { return []*v1alpha1.WriteBehindCache{mine}, nil })
			if len(back) > 0 && len(found) > 0 {
				t.Error("both give way")
			}
		})
	}
}

func TestARivalIsTheSameAtEachPass(t *testing.T) {
	others := []*v1alpha1.WriteBehindCache{resource("b", "1", holding), resource("a", "2", holding), resource("c", "3", holding)}
	for range others {
		others = append(others[1:], others[0])
		found, err := Find(resource("mine", "9"), func(Queue) ([]*v1alpha1.WriteBehindCache, error) { return others, nil })
		if err != nil || found["products"].Resource != "a/shop" {
			t.Errorf("gives way to %+v, %v", found["products"], err)
		}
	}
	away := errors.New("the API server is away")
	if _, err := Find(resource("mine", "9"), func(Queue) ([]*v1alpha1.WriteBehindCache, error) { return nil, away }); !errors.Is(err, away) {
		t.Errorf("the failure is %v", err)
	}
}
