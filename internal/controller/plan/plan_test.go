// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/failure"
	"github.com/writebehind/operator/internal/controller/observe"
	"github.com/writebehind/operator/internal/controller/resources"
	"github.com/writebehind/operator/internal/controller/rivals"
	"github.com/writebehind/operator/internal/controller/snapshot"
	"github.com/writebehind/operator/internal/controller/snapshot/snapshottest"
	"github.com/writebehind/operator/internal/flusher/config"
)

// inForce has the ConfigMap record what a resource planned before its spec changed;
// status knows a journal of each mapping.
func inForce(t *testing.T, s *snapshot.Snapshot, before *v1alpha1.WriteBehindCache, retired ...string) {
	t.Helper()
	settings := resources.FlusherConfig(before)
	for i := range settings.Mappings {
		for _, name := range retired {
			settings.Mappings[i].Retired = settings.Mappings[i].Retired || settings.Mappings[i].Name == name
		}
		name := settings.Mappings[i].Name
		s.Cache.Status.Mappings = append(s.Cache.Status.Mappings, v1alpha1.MappingStatus{
			Name: name, Journal: "journal-of-" + name, RedisAddress: resources.RedisPlace(settings.Redis.External),
		})
	}
	text, err := (&InForce{Revision: 2, External: before.Spec.Redis.External, Mappings: settings.Mappings}).text()
	if err != nil {
		t.Fatal(err)
	}
	s.Flushers.ConfigMap.Annotations = map[string]string{v1alpha1.AnnotationInForce: text}
}

// report has the flusher report a queue, which the settings of its document need not
// have.
func report(q config.QueueStatus) snapshottest.Edit {
	return snapshottest.Says(func(d *config.Status) {
		for i := range d.Queues {
			if d.Queues[i].Name == q.Name {
				d.Queues[i] = q
				return
			}
		}
		d.Queues = append(d.Queues, q)
	})
}

// planned are the mappings of a plan; those that are retired are in brackets.
func planned(p *Plan) string {
	if p.Settings == nil {
		return "none"
	}
	var names []string
	for _, m := range p.Settings.Mappings {
		if m.Retired {
			m.Name = "(" + m.Name + ")"
		}
		names = append(names, m.Name)
	}
	return strings.Join(names, " ")
}

func TestSettings(t *testing.T) {
	type resource = func(*v1alpha1.WriteBehindCache)
	mappings := func(all ...v1alpha1.Mapping) resource {
		return func(c *v1alpha1.WriteBehindCache) { c.Spec.Mappings = slices.Clone(all) }
	}
	products, orders := snapshottest.Mapping("products", "product:"), snapshottest.Mapping("orders", "order:")
	both := mappings(products, orders)
	at := func(address string) resource {
		return func(c *v1alpha1.WriteBehindCache) { c.Spec.Redis.External.Addresses = []string{address} }
	}
	all := func(edits ...resource) resource {
		return func(c *v1alpha1.WriteBehindCache) {
			for _, edit := range edits {
				edit(c)
			}
		}
	}
	sentinels := func(master string, addresses ...string) resource {
		return func(c *v1alpha1.WriteBehindCache) {
			c.Spec.Redis.External = &v1alpha1.ExternalRedis{Mode: v1alpha1.RedisModeSentinel, MasterName: master, Addresses: addresses}
		}
	}
	waits := report(config.QueueStatus{Name: "products", Journal: "journal-of-products", Depth: 7})
	closed := config.QueueStatus{Name: "orders", Journal: "journal-of-orders", Retired: true, State: config.StatePaused}
	full, another := closed, closed
	full.Depth, another.Journal = 7, "another"
	rival := &rivals.Rival{Queue: rivals.Queue{Redis: []string{"redis:6379"}, Name: "orders", Prefix: "order:"}, Resource: "other/shop"}
	many := func(n int) (all []v1alpha1.Mapping) {
		for i := range n {
			all = append(all, snapshottest.Mapping(fmt.Sprintf("m%02d", i), fmt.Sprintf("m%02d:", i)))
		}
		return all
	}

	for name, c := range map[string]struct {
		was      resource // what was in force; nil for nothing
		retired  string   // which of that was retired
		now      resource
		edits    []snapshottest.Edit
		mappings string
		address  string
		held     string // reason of what is held back, and what its message says
		stalled  string
		says     string
		again    time.Duration
	}{
		"a new resource":    {mappings: "products"},
		"nothing changed":   {was: both, now: both, mappings: "products orders"},
		"a mapping is new":  {was: mappings(products), now: both, mappings: "products orders"},
		"a mapping was out": {was: both, mappings: "products (orders)"},
		"it is not empty": {
			was: both, retired: "orders", edits: []snapshottest.Edit{report(full)}, mappings: "products (orders)",
		},
		"it is empty, but nobody closed it": {
			was: both, edits: []snapshottest.Edit{report(closed)}, mappings: "products (orders)",
		},
		"it is empty": {
			was: both, retired: "orders", edits: []snapshottest.Edit{report(closed)}, mappings: "products",
		},
		"it is empty, as one flusher says of an unreachable Redis": {
			was: both, retired: "orders", mappings: "products (orders)",
			edits: []snapshottest.Edit{report(closed), snapshottest.Says(func(d *config.Status) { d.Redis = config.Check{} })},
		},
		"it came back as another queue": {
			was: both, retired: "orders", edits: []snapshottest.Edit{report(another)}, mappings: "products (orders)", again: LossRetry,
		},
		"its keys are wanted by another": {
			was: both, retired: "orders", now: mappings(products, snapshottest.Mapping("items", "order:1")), edits: []snapshottest.Edit{report(full)},
			mappings: "products (orders)", held: v1alpha1.ReasonQueueNotEmpty, says: "mapping items waits until the queue of mapping orders",
		},
		"it comes back with other partitions": {
			was: both, now: all(both, func(c *v1alpha1.WriteBehindCache) { c.Spec.Mappings[1].Partitions = 8 }), edits: []snapshottest.Edit{report(full)},
			mappings: "products (orders)", held: v1alpha1.ReasonQueueNotEmpty, says: "7 entries",
		},
		"there is no room beside it": {
			was: mappings(many(maxQueues)...), now: mappings(append(many(maxQueues-1), orders)...),
			mappings: planned(&Plan{Settings: &config.Config{Mappings: func() (all []config.Mapping) {
				for i, m := range many(maxQueues) {
					all = append(all, config.Mapping{Name: m.Name, Retired: i == maxQueues-1})
				}
				return all
			}()}}),
			held: v1alpha1.ReasonQueueNotEmpty, says: "mapping orders waits: the flushers serve at most 32 queues",
		},

		"another Redis, with entries in the one before": {
			was: at("redis:6379"), now: at("new:6379"), edits: []snapshottest.Edit{report(config.QueueStatus{Name: "products", Journal: "journal-of-products", Depth: 7})},
			mappings: "products", address: "redis:6379", held: v1alpha1.ReasonQueueNotEmpty, says: "7 entries and 0 dead letters",
		},
		"another Redis, given up": {
			was: at("redis:6379"), now: all(at("new:6379"), snapshottest.Forced), edits: []snapshottest.Edit{report(config.QueueStatus{Name: "products", Journal: "journal-of-products", Depth: 7})},
			mappings: "products", address: "new:6379",
		},
		"another Redis, with nothing in the one before": {was: at("redis:6379"), now: at("new:6379"), mappings: "products", address: "new:6379"},
		"another Redis, while nobody answers": {
			was: at("redis:6379"), now: at("new:6379"), edits: []snapshottest.Edit{snapshottest.Silent},
			mappings: "products", address: "redis:6379", held: v1alpha1.ReasonQueueNotEmpty, says: "no flusher has reported it empty yet",
		},

		"Sentinels in another order, with entries": {
			was: sentinels("m", "a:1", "b:1"), now: sentinels("m", "b:1", "a:1"), edits: []snapshottest.Edit{waits}, mappings: "products", address: "b:1",
		},
		"one Sentinel for another, with entries": {
			was: sentinels("m", "a:1", "b:1"), now: sentinels("m", "c:1", "b:1"), edits: []snapshottest.Edit{waits}, mappings: "products", address: "c:1",
		},
		"another primary of the same Sentinels, with entries": {
			was: sentinels("m", "a:1", "b:1"), now: sentinels("n", "a:1", "b:1"), edits: []snapshottest.Edit{waits},
			mappings: "products", address: "a:1", held: v1alpha1.ReasonQueueNotEmpty, says: "the queue of mapping products in m@a:1,b:1 is not known to be empty",
		},
		"other Sentinels altogether, with entries": {
			was: sentinels("m", "a:1", "b:1"), now: sentinels("m", "c:1", "d:1"), edits: []snapshottest.Edit{waits},
			mappings: "products", address: "a:1", held: v1alpha1.ReasonQueueNotEmpty, says: "7 entries",
		},
		"other Sentinels altogether, with nothing": {
			was: sentinels("m", "a:1"), now: sentinels("m", "c:1"), mappings: "products", address: "c:1",
		},

		"a mapping of another resource": {
			now: both, edits: []snapshottest.Edit{func(s *snapshot.Snapshot) { s.Rivals = map[string]*rivals.Rival{"orders": rival} }},
			mappings: "none", stalled: v1alpha1.ReasonQueueConflict, says: "mapping orders names a queue that WriteBehindCache other/shop has",
		},
		"a mapping of another resource, at work already": {
			was: both, now: both, edits: []snapshottest.Edit{func(s *snapshot.Snapshot) { s.Rivals = map[string]*rivals.Rival{"orders": rival} }},
			mappings: "none", stalled: v1alpha1.ReasonQueueConflict,
		},
		"a mapping of another resource, new to one at work": {
			was: mappings(products), now: both, edits: []snapshottest.Edit{func(s *snapshot.Snapshot) { s.Rivals = map[string]*rivals.Rival{"orders": rival} }},
			mappings: "products", held: v1alpha1.ReasonQueueConflict, says: "mapping orders", again: failure.ConflictRetry,
		},
		"a mapping of another resource, in a deletion": {
			was: both, now: all(both, snapshottest.Deleted), edits: []snapshottest.Edit{func(s *snapshot.Snapshot) { s.Rivals = map[string]*rivals.Rival{"orders": rival} }},
			mappings: "products",
		},

		"a queue that nothing tells how to flush": {
			edits: []snapshottest.Edit{func(s *snapshot.Snapshot) {
				s.Cache.Status.Mappings = []v1alpha1.MappingStatus{{Name: "orders", Journal: "x"}}
			}},
			mappings: "none", stalled: v1alpha1.ReasonQueueNotEmpty, says: "queue orders is not known to be empty",
		},
		"a queue that nothing tells how to flush, given up": {
			now: snapshottest.Forced,
			edits: []snapshottest.Edit{func(s *snapshot.Snapshot) {
				s.Cache.Status.Mappings = []v1alpha1.MappingStatus{{Name: "orders", Journal: "x"}}
			}},
			mappings: "products",
		},
		"a spec that flushers could not use": {
			now:      func(c *v1alpha1.WriteBehindCache) { c.Spec.Mappings[0].KeyPrefix = "wb:" },
			mappings: "products", stalled: v1alpha1.ReasonInvalidSpec, says: "spec.mappings[0].keyPrefix",
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := snapshottest.Ready(c.now)
			if c.was != nil {
				inForce(t, s, snapshottest.Ready(c.was).Cache, c.retired)
			}
			for _, edit := range c.edits {
				edit(s)
			}
			before := *s
			p, err := Make(s, &Site{FlusherImage: "image"})
			if !reflect.DeepEqual(before, *s) {
				t.Error("the snapshot was changed")
			}
			if got := planned(p); got != c.mappings {
				t.Errorf("the mappings are %s, want %s", got, c.mappings)
			}
			if p.Settings != nil && c.address != "" && p.Settings.Redis.External.Addresses[0] != c.address {
				t.Errorf("the Redis is %s, want %s", p.Settings.Redis.External.Addresses, c.address)
			}
			var stalled *failure.Stalled
			if c.stalled == "" && err != nil || c.stalled != "" && (!errors.As(err, &stalled) || stalled.Reason != c.stalled || !strings.Contains(stalled.Message, c.says)) {
				t.Errorf("the error is %v, want %s: %s", err, c.stalled, c.says)
			}
			if (p.HeldBack == nil) != (c.held == "") || p.HeldBack != nil && (p.HeldBack.Reason != c.held || !strings.Contains(p.HeldBack.Message, c.says)) {
				t.Errorf("held back is %v, want %s: %s", p.HeldBack, c.held, c.says)
			}
			if p.Again != c.again {
				t.Errorf("another pass is due in %s, want %s", p.Again, c.again)
			}
		})
	}
}

// kinds are the objects of a plan in their order.
func kinds(p *Plan) string {
	var all []string
	for _, o := range p.Objects {
		all = append(all, o.Kind+" "+o.Name)
	}
	return strings.Join(all, ", ")
}

func TestObjectsComeInTheOrderInWhichTheyAreNeeded(t *testing.T) {
	const flushers = "ConfigMap shop-flusher, Service shop-flusher, Deployment shop-flusher, PodDisruptionBudget shop-flusher"
	managed := func(c *v1alpha1.WriteBehindCache) { c.Spec.Redis = v1alpha1.Redis{Managed: &v1alpha1.ManagedRedis{}} }
	open := func(c *v1alpha1.WriteBehindCache) { c.Spec.NetworkPolicy.Enabled = new(false) }
	for name, c := range map[string]struct {
		resource func(*v1alpha1.WriteBehindCache)
		want     string
	}{
		"an external Redis":  {nil, flushers + ", NetworkPolicy shop-flusher"},
		"no NetworkPolicies": {open, flushers},
		"a managed Redis": {managed, "ConfigMap shop-redis-users, ConfigMap shop-redis, Service shop-redis, StatefulSet shop-redis, " + flushers +
			", NetworkPolicy shop-flusher, NetworkPolicy shop-redis"},
	} {
		p, err := Make(snapshottest.Ready(c.resource), &Site{FlusherImage: "image"})
		if got := kinds(p); err != nil || got != c.want {
			t.Errorf("%s: the objects are %s, %v; want %s", name, got, err, c.want)
		}
	}
}

func TestOnlySettingsThatTakeARestartChangeTheTemplate(t *testing.T) {
	base, err := Make(snapshottest.Ready(nil), &Site{FlusherImage: "image"})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		resource func(*v1alpha1.WriteBehindCache)
		restarts bool
	}{
		"suspend":  {func(c *v1alpha1.WriteBehindCache) { c.Spec.Suspend = true }, false},
		"interval": {func(c *v1alpha1.WriteBehindCache) { c.Spec.Flush.IntervalMilliseconds = 10 }, false},
		"address":  {func(c *v1alpha1.WriteBehindCache) { c.Spec.Redis.External.Addresses = []string{"other:6379"} }, true},
	} {
		p, err := Make(snapshottest.Ready(c.resource), &Site{FlusherImage: "image"})
		if err != nil {
			t.Fatal(err)
		}
		if p.SettingsHash == base.SettingsHash || (p.RestartHash != base.RestartHash) != c.restarts {
			t.Errorf("%s: hashes %s and %s, before %s and %s", name, p.SettingsHash, p.RestartHash, base.SettingsHash, base.RestartHash)
		}
	}
}

// TestTheOrderOfSentinelsRestartsNobody: who adds one makes a list anew, as a rule.
func TestTheOrderOfSentinelsRestartsNobody(t *testing.T) {
	hash := func(addresses ...string) string {
		p, err := Make(snapshottest.Ready(func(c *v1alpha1.WriteBehindCache) {
			c.Spec.Redis.External = &v1alpha1.ExternalRedis{Mode: v1alpha1.RedisModeSentinel, MasterName: "m", Addresses: addresses}
		}), &Site{FlusherImage: "image"})
		if err != nil {
			t.Fatal(err)
		}
		return p.RestartHash
	}
	if hash("a:1", "b:1") != hash("b:1", "a:1") {
		t.Error("another order rolls the flushers")
	}
	if hash("a:1", "b:1") == hash("a:1", "c:1") {
		t.Error("another Sentinel does not roll the flushers, who would not ask it")
	}
}

func TestObjectsOfOthersAreLeftAlone(t *testing.T) {
	foreign := func(s *snapshot.Snapshot) { s.Foreign = []string{"Service shop-flusher"} }
	retained := func(s *snapshot.Snapshot) { foreign(s); s.RetainedBy = "earlier" }
	earlier := func(s *snapshot.Snapshot) { retained(s); s.RetainedWithoutUsers = true }
	going := func(s *snapshot.Snapshot) { s.Going = []string{"Service shop-flusher"} }
	for name, c := range map[string]struct {
		resource func(*v1alpha1.WriteBehindCache)
		edit     snapshottest.Edit
		says     string
		objects  bool
		secret   string
	}{
		"somebody else's": {nil, foreign, "ObjectConflict: Service shop-flusher of that name belongs to somebody else", false, ""},
		"an earlier resource's": {
			nil, retained, "ObjectConflict: Service shop-flusher of an earlier WriteBehindCache shop exists: that resource retained its Redis", false,
			"credentialsSecretRef {name: shop-redis-flusher-earlier, usernameKey: username}",
		},
		"one's of before there were users": {
			nil, earlier, "ObjectConflict: Service shop-flusher of an earlier WriteBehindCache shop exists", false,
			"credentialsSecretRef {name: shop-redis-earlier, usernameKey: username}",
		},
		"one that is being deleted":    {nil, going, "waiting for Service shop-flusher of an earlier resource of this name to be deleted", false, ""},
		"somebody else's, in deletion": {snapshottest.Deleted, foreign, "", true, ""},
	} {
		s := snapshottest.Ready(c.resource)
		c.edit(s)
		p, err := Make(s, &Site{FlusherImage: "image"})
		if err == nil != (c.says == "") || err != nil && !strings.HasPrefix(err.Error(), c.says) || len(p.Objects) > 0 != c.objects ||
			err != nil && !strings.Contains(err.Error(), c.secret) {
			t.Errorf("%s: %v, with %d objects", name, err, len(p.Objects))
		}
	}
}

func TestADrainWithoutAUsableSpecTakesTheSettingsInForce(t *testing.T) {
	s := snapshottest.Ready(func(c *v1alpha1.WriteBehindCache) {
		snapshottest.Deleted(c)
		c.Spec.Mappings[0].KeyPrefix = "wb:"
	})
	failed, err := Make(s, &Site{FlusherImage: "image"})
	if err == nil {
		t.Fatal("the spec is usable")
	}
	drains := func(text string) *Plan {
		t.Helper()
		s.Flushers.ConfigMap.Data = map[string]string{resources.ConfigFile: text}
		p, err := failed.AsBefore(s)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	good, err := Make(snapshottest.Ready(nil), &Site{FlusherImage: "image"})
	if err != nil {
		t.Fatal(err)
	}
	written, err := resources.FlusherConfigMap(s.Cache, good.Settings)
	if err != nil {
		t.Fatal(err)
	}
	text := written.Data[resources.ConfigFile]
	p := drains(text)
	if p.Settings == nil || !p.Settings.Draining || p.Settings.Mappings[0].KeyPrefix != "product:" || kinds(p) != "ConfigMap shop-flusher" {
		t.Errorf("drains with %+v and %s", p.Settings, kinds(p))
	}
	for name, text := range map[string]string{
		"another owner's": strings.Replace(text, string(s.Cache.UID), "other", 1), "no settings": "?",
	} {
		if p := drains(text); p.Settings != nil || len(p.Objects) > 0 {
			t.Errorf("%s: drains with %+v", name, p.Settings)
		}
	}
	s.Flushers.ConfigMap = nil
	if p, err := failed.AsBefore(s); err != nil || p.Settings != nil {
		t.Errorf("without a ConfigMap: %+v, %v", p.Settings, err)
	}
}

func TestNudges(t *testing.T) {
	applied := func(status metav1.ConditionStatus, ago time.Duration) snapshottest.Edit {
		return func(s *snapshot.Snapshot) {
			s.Cache.Status.Conditions = []metav1.Condition{{
				Type: v1alpha1.ConditionSettingsApplied, Status: status, LastTransitionTime: metav1.NewTime(s.Now.Add(-ago)),
			}}
		}
	}
	carries := func(mark string) snapshottest.Edit {
		return func(s *snapshot.Snapshot) { s.Flushers.Pods[0].Annotations[v1alpha1.AnnotationSettingsHash] = mark }
	}
	const late = metav1.ConditionFalse
	for name, c := range map[string]struct {
		edits []snapshottest.Edit
		mark  string
		again time.Duration
	}{
		"a flusher at present settings keeps its mark": {[]snapshottest.Edit{carries("new-2"), applied(late, time.Minute)}, "new-2", 0},
		"a Pod without a mark gets one":                {nil, "new", 0},
		"one behind is nudged":                         {[]snapshottest.Edit{snapshottest.Behind, applied(late, 0)}, "new", NudgeInterval},
		"one behind is nudged again":                   {[]snapshottest.Edit{snapshottest.Behind, carries("new"), applied(late, NudgeInterval)}, "new-1", NudgeInterval},
		"one behind is not nudged for ever":            {[]snapshottest.Edit{snapshottest.Behind, applied(late, time.Hour)}, "new-5", 0},
		"one that was not late starts anew":            {[]snapshottest.Edit{snapshottest.Behind, applied(metav1.ConditionTrue, time.Hour)}, "new", NudgeInterval},
		"a silent one is marked once":                  {[]snapshottest.Edit{snapshottest.Silent, carries("old"), applied(late, 0)}, "new", 0},
	} {
		s := snapshottest.Ready(nil)
		for _, edit := range c.edits {
			edit(s)
		}
		nudges := (&Plan{SettingsHash: "new"}).Nudges(s)
		if len(nudges) != 1 || nudges[0].Mark != c.mark || nudges[0].Again != c.again {
			t.Errorf("%s: %+v", name, nudges)
		}
	}
}

func TestOnlyRivals(t *testing.T) {
	rival := map[string]*rivals.Rival{"products": {Resource: "other/shop"}}
	s := snapshottest.Ready(nil)
	if OnlyRivals(s) {
		t.Error("others have a queue that nobody contests")
	}
	s.Rivals = rival
	if !OnlyRivals(s) {
		t.Error("others do not have the only queue")
	}
	inForce(t, s, snapshottest.Ready(func(c *v1alpha1.WriteBehindCache) {
		c.Spec.Mappings = append(c.Spec.Mappings, snapshottest.Mapping("orders", "order:"))
	}).Cache)
	if OnlyRivals(s) {
		t.Error("others have a queue that was taken out of the spec")
	}
}

// What an earlier flusher says of a queue does not count for one that was made since.
func TestNothingLeft(t *testing.T) {
	at := func(address, journal string) snapshottest.Edit {
		return func(s *snapshot.Snapshot) {
			s.Cache.Status.Mappings = []v1alpha1.MappingStatus{{Name: "products", Journal: journal, RedisAddress: address}}
		}
	}
	depth := snapshottest.Says(func(d *config.Status) { d.Queues[0].Depth = 1 })
	unseen := func(s *snapshot.Snapshot) { s.Seen = observe.Observation{Looked: true} }
	neverRan := func(s *snapshot.Snapshot) {
		s.Flushers.Deployment.Status.ReadyReplicas = 0
		s.Flushers.Started, s.Flushers.Pods[0].Status = false, corev1.PodStatus{Phase: corev1.PodPending}
		unseen(s)
	}
	for name, c := range map[string]struct {
		edits []snapshottest.Edit
		want  bool
	}{
		"seen empty":                                     {[]snapshottest.Edit{at("redis:6379", "journal-of-products")}, true},
		"seen with an entry":                             {[]snapshottest.Edit{at("redis:6379", "journal-of-products"), depth}, false},
		"another life was seen empty":                    {[]snapshottest.Edit{at("redis:6379", "another")}, false},
		"nobody says anything":                           {[]snapshottest.Edit{at("redis:6379", "journal-of-products"), snapshottest.Silent}, false},
		"it is of an earlier Redis":                      {[]snapshottest.Edit{at("earlier:6379", "journal-of-products")}, true},
		"the status is about to report it":               {nil, false},
		"a flusher ran and says nothing":                 {[]snapshottest.Edit{unseen}, false},
		"no flusher ran":                                 {[]snapshottest.Edit{neverRan}, true},
		"no flusher ran, and there is no Pod":            {[]snapshottest.Edit{neverRan, func(s *snapshot.Snapshot) { s.Flushers.Pods = nil }}, true},
		"a flusher ran once, and there is no Pod of one": {[]snapshottest.Edit{func(s *snapshot.Snapshot) { s.Flushers.Pods = nil }}, false},
	} {
		s := snapshottest.Ready(nil)
		for _, edit := range c.edits {
			edit(s)
		}
		if got := s.NothingLeft("products", "redis:6379"); got != c.want {
			t.Errorf("%s: nothing left is %t", name, got)
		}
	}
}
