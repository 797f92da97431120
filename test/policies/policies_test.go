// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package policies asks a judge of NetworkPolicies that is not ours who reaches whom
// under those that the operator makes. The local cluster's network enforces none.
package policies

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/yaml"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/resources"
	"github.com/writebehind/operator/test/programs"
)

// judge is the program in the folder of that name, which answers traffic.
var judge string

func TestMain(m *testing.M) {
	os.Exit(programs.Main(m, func(folder string) error {
		judge = filepath.Join(folder, "judge")
		if said, err := exec.Command("go", "build", "-C", "judge", "-o", judge, ".").CombinedOutput(); err != nil {
			return fmt.Errorf("build judge: %w\n%s", err, said)
		}
		return nil
	}))
}

// traffic is what the judge is asked about, in its own words. What is no pod of the
// cluster has an address alone.
type (
	traffic struct {
		Source, Destination *peer
		ResolvedPort        int
		Protocol            corev1.Protocol
	}
	peer struct {
		IP       string
		Internal *labelled
	}
	labelled struct {
		Namespace                  string
		NamespaceLabels, PodLabels map[string]string
	}
)

// Who there is. An address alone is outside of the cluster, or a node.
const (
	flusher   = "a flusher"
	redis     = "the managed Redis"
	another   = "a flusher of another resource in the namespace"
	shop      = "the application"
	neighbour = "another pod of the namespace"
	web       = "an application in another namespace"
	stranger  = "a pod of a namespace that nobody named"
	operator  = "the operator"
	scraper   = "a Prometheus"
	resolver  = "the cluster's DNS"
	kubelet   = "a kubelet"
	database  = "the database"
	elsewhere = "an address on the Internet"
)

func peers(cache *v1alpha1.WriteBehindCache) map[string]*peer {
	pod := func(ip, namespace string, labels map[string]string) *peer {
		return &peer{IP: ip, Internal: &labelled{
			Namespace: namespace, NamespaceLabels: map[string]string{corev1.LabelMetadataName: namespace}, PodLabels: labels,
		}}
	}
	other := cache.DeepCopy()
	other.Name, other.UID = "cart", "another-uid"
	return map[string]*peer{
		flusher:   pod("10.0.0.1", cache.Namespace, resources.Labels(cache, resources.ComponentFlusher)),
		redis:     pod("10.0.0.2", cache.Namespace, resources.Labels(cache, resources.ComponentRedis)),
		another:   pod("10.0.0.3", cache.Namespace, resources.Labels(other, resources.ComponentFlusher)),
		shop:      pod("10.0.0.4", cache.Namespace, map[string]string{"app": "shop"}),
		neighbour: pod("10.0.0.5", cache.Namespace, nil),
		web:       pod("10.0.0.6", "web", nil),
		stranger:  pod("10.0.0.7", "elsewhere", map[string]string{"app": "shop"}),
		operator:  pod("10.0.0.8", "writebehind-system", map[string]string{"control-plane": "controller-manager", "app.kubernetes.io/name": "writebehind"}),
		scraper:   labelledMetrics(pod("10.0.0.9", "monitoring", nil)),
		resolver:  pod("10.0.0.10", "kube-system", map[string]string{"k8s-app": "kube-dns"}),
		kubelet:   {IP: "192.168.0.1"},
		database:  {IP: "172.16.0.5"},
		elsewhere: {IP: "1.1.1.1"},
	}
}

// labelledMetrics labels the pod's namespace for what scrapes.
func labelledMetrics(p *peer) *peer {
	p.Internal.NamespaceLabels["metrics"] = "enabled"
	return p
}

// way is from somebody to a port of somebody.
type way struct {
	from, to string
	port     int
	protocol corev1.Protocol
}

func tcp(from, to string, port int) way { return way{from, to, port, corev1.ProtocolTCP} }

// admitted are as the operator is told by default.
var admitted = resources.Admitted{
	OperatorNamespace: "writebehind-system", Scrapers: &metav1.LabelSelector{MatchLabels: map[string]string{"metrics": "enabled"}},
}

// policiesOf are those that the operator makes for a resource.
func policiesOf(t *testing.T, cache *v1alpha1.WriteBehindCache) []any {
	t.Helper()
	flushers, err := resources.FlusherNetworkPolicy(cache, &admitted)
	must(t, err)
	policies := []any{flushers}
	if cache.Spec.Redis.Managed != nil {
		redis, err := resources.RedisNetworkPolicy(cache)
		must(t, err)
		policies = append(policies, redis)
	}
	return policies
}

func cacheWith(edit func(*v1alpha1.WriteBehindCache)) *v1alpha1.WriteBehindCache {
	cache := &v1alpha1.WriteBehindCache{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "shop", UID: "6f1c9a52-0000-4000-8000-000000000000"}}
	cache.Spec.Redis.Managed = &v1alpha1.ManagedRedis{}
	if edit != nil {
		edit(cache)
	}
	return cache
}

func TestTheOperatorsPoliciesLetThroughWhatIsNeededAndNothingElse(t *testing.T) {
	const redisPort, flusherPort, databasePort = int(resources.RedisPort), int(resources.FlusherPort), 5432
	everybody := []string{flusher, redis, another, shop, neighbour, web, stranger, operator, scraper, resolver, kubelet, database, elsewhere}
	named := func(c *v1alpha1.WriteBehindCache) {
		c.Spec.NetworkPolicy.Clients = []networkingv1.NetworkPolicyPeer{
			{PodSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "shop"}}},
			{NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: "web"}}},
		}
	}
	closed := func(c *v1alpha1.WriteBehindCache) {
		c.Spec.NetworkPolicy.Egress = []v1alpha1.EgressRule{{
			To:    []networkingv1.NetworkPolicyPeer{{IPBlock: &networkingv1.IPBlock{CIDR: "172.16.0.5/32"}}},
			Ports: []v1alpha1.EgressPort{{Port: &v1alpha1.PortNumber{IntOrString: intstr.FromInt32(databasePort)}}},
		}}
	}
	for name, c := range map[string]struct {
		edit func(*v1alpha1.WriteBehindCache)
		// open are the ways that are to be open; of those that are compared all
		// others are to be closed.
		compared, open []way
	}{
		"into Redis, from its namespace by default": {
			compared: ways(everybody, redis, redisPort),
			open:     ways([]string{flusher, another, shop, neighbour}, redis, redisPort),
		},
		"into Redis, from those that the spec names": {
			edit: named, compared: ways(everybody, redis, redisPort), open: ways([]string{flusher, shop, web}, redis, redisPort),
		},
		"into no other port of Redis": {compared: ways(everybody, redis, 22)},
		"out of Redis, to nobody": {
			compared: []way{
				tcp(redis, database, databasePort), tcp(redis, elsewhere, 443), tcp(redis, elsewhere, redisPort),
				tcp(redis, flusher, flusherPort), tcp(redis, shop, 80),
				{redis, resolver, 53, corev1.ProtocolUDP},
			},
		},
		"into a flusher, from the operator and what scrapes": {
			compared: ways(everybody, flusher, flusherPort), open: ways([]string{operator, scraper}, flusher, flusherPort),
		},
		"into a flusher, from the scrapers that the spec names": {
			edit: func(c *v1alpha1.WriteBehindCache) {
				c.Spec.NetworkPolicy.Scrapers = []networkingv1.NetworkPolicyPeer{
					{PodSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "shop"}}}, {IPBlock: &networkingv1.IPBlock{CIDR: "1.1.1.1/32"}},
				}
			},
			compared: ways(everybody, flusher, flusherPort), open: ways([]string{operator, shop, elsewhere}, flusher, flusherPort),
		},
		"into no other port of a flusher": {compared: append(ways(everybody, flusher, 6060), ways(everybody, flusher, 22)...)},
		"out of a flusher, everywhere by default": {
			compared: []way{tcp(flusher, database, databasePort), tcp(flusher, elsewhere, 443), tcp(flusher, redis, redisPort)},
			open:     []way{tcp(flusher, database, databasePort), tcp(flusher, elsewhere, 443), tcp(flusher, redis, redisPort)},
		},
		"out of a flusher, where the spec says, to Redis and to DNS": {
			edit: func(c *v1alpha1.WriteBehindCache) { named(c); closed(c) },
			compared: []way{
				tcp(flusher, database, databasePort), tcp(flusher, database, 22), tcp(flusher, redis, redisPort), tcp(flusher, redis, 22),
				{flusher, resolver, 53, corev1.ProtocolUDP},
				tcp(flusher, resolver, 53), tcp(flusher, resolver, 443),
				{flusher, resolver, 5353, corev1.ProtocolUDP},
				{flusher, resolver, 8053, corev1.ProtocolUDP},
				tcp(flusher, elsewhere, 443), tcp(flusher, elsewhere, databasePort), tcp(flusher, elsewhere, redisPort),
				tcp(flusher, shop, 80), tcp(flusher, kubelet, 10250),
			},
			open: []way{
				tcp(flusher, database, databasePort), tcp(flusher, redis, redisPort),
				{flusher, resolver, 53, corev1.ProtocolUDP},
				tcp(flusher, resolver, 53),
				{flusher, resolver, 5353, corev1.ProtocolUDP},
				{flusher, resolver, 8053, corev1.ProtocolUDP},
			},
		},
		"out of a flusher with a Redis elsewhere, where the spec says": {
			edit: func(c *v1alpha1.WriteBehindCache) { c.Spec.Redis = v1alpha1.Redis{}; closed(c) },
			compared: []way{
				tcp(flusher, database, databasePort), tcp(flusher, redis, redisPort), tcp(flusher, elsewhere, redisPort),
			},
			open: []way{tcp(flusher, database, databasePort)},
		},
		"past those that nobody selects": {
			edit:     func(c *v1alpha1.WriteBehindCache) { named(c); closed(c) },
			compared: []way{tcp(stranger, shop, 80), tcp(shop, elsewhere, 443), tcp(another, elsewhere, 443), tcp(stranger, another, 22)},
			open:     []way{tcp(stranger, shop, 80), tcp(shop, elsewhere, 443), tcp(another, elsewhere, 443), tcp(stranger, another, 22)},
		},
	} {
		t.Run(name, func(t *testing.T) {
			cache := cacheWith(c.edit)
			compare(t, policiesOf(t, cache), peers(cache), c.compared, c.open)
		})
	}
}

// Without a Prometheus the operator alone gets in; one that runs outside of the cluster has
// no pod that a policy could name.
func TestWhoIsAdmittedDependsOnTheOperator(t *testing.T) {
	port := int(resources.FlusherPort)
	for name, c := range map[string]struct {
		admitted resources.Admitted
		open     []string
	}{
		"no Prometheus":           {resources.Admitted{OperatorNamespace: "writebehind-system"}, []string{operator}},
		"no operator's namespace": {resources.Admitted{}, []string{operator, scraper, stranger, neighbour}},
	} {
		t.Run(name, func(t *testing.T) {
			cache := cacheWith(nil)
			policy, err := resources.FlusherNetworkPolicy(cache, &c.admitted)
			must(t, err)
			compare(t, []any{policy}, peers(cache), ways([]string{operator, scraper, stranger, neighbour}, flusher, port), ways(c.open, flusher, port))
		})
	}
}

// TestARetainedRedisLetsInWhoTakesItOver, who has another UID.
func TestARetainedRedisLetsInWhoTakesItOver(t *testing.T) {
	cache := cacheWith(func(c *v1alpha1.WriteBehindCache) {
		c.Spec.NetworkPolicy.Clients = []networkingv1.NetworkPolicyPeer{{PodSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "shop"}}}}
	})
	all := peers(cache)
	next := cache.DeepCopy()
	next.UID = "its-successor"
	all["its successor's flusher"] = peers(next)[flusher]
	compare(t, policiesOf(t, cache), all, ways([]string{"its successor's flusher", another}, redis, int(resources.RedisPort)),
		ways([]string{"its successor's flusher"}, redis, int(resources.RedisPort)))
}

func TestOnlyLabelledNamespacesScrapeTheOperator(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "config", "network-policy", "allow-metrics-traffic.yaml"))
	must(t, err)
	policy := &networkingv1.NetworkPolicy{}
	must(t, yaml.UnmarshalStrict(text, policy))
	policy.Namespace = "writebehind-system"
	all := peers(cacheWith(nil))
	const metricsPort, other = 8443, 9443
	compare(t, []any{policy}, all,
		append(ways([]string{scraper, stranger, shop, elsewhere}, operator, metricsPort), tcp(scraper, operator, other), tcp(operator, flusher, 8080)),
		[]way{tcp(scraper, operator, metricsPort), tcp(operator, flusher, 8080)})
}

// ways lead from each of many to one.
func ways(from []string, to string, port int) []way {
	all := make([]way, 0, len(from))
	for _, f := range from {
		all = append(all, tcp(f, to, port))
	}
	return all
}

func compare(t *testing.T, policies []any, peers map[string]*peer, compared, open []way) {
	t.Helper()
	isOpen := map[way]bool{}
	for _, w := range open {
		isOpen[w] = true
	}
	asked := make([]traffic, 0, len(compared))
	for _, w := range compared {
		source, destination := peers[w.from], peers[w.to]
		if source == nil || destination == nil {
			t.Fatalf("nobody is called %q or %q", w.from, w.to)
		}
		asked = append(asked, traffic{Source: source, Destination: destination, ResolvedPort: w.port, Protocol: w.protocol})
	}
	for i, got := range answers(t, policies, asked) {
		w := compared[i]
		if got != isOpen[w] {
			t.Errorf("from %s to port %s of %s: it is open: %t", w.from, fmt.Sprint(w.port, "/", w.protocol), w.to, got)
		}
		delete(isOpen, w)
	}
	for w := range isOpen {
		t.Errorf("%v is to be open and is not compared", w)
	}
}

// answers tell whether each of the ways asked about is open.
func answers(t *testing.T, policies []any, asked []traffic) []bool {
	t.Helper()
	// By these go test finds out that its last result is that of another judge.
	for _, file := range []string{"main.go", "go.mod"} {
		_, err := os.Stat(filepath.Join("judge", file))
		must(t, err)
	}
	question, err := json.Marshal(map[string]any{"Policies": policies, "Ways": asked})
	must(t, err)
	command := exec.CommandContext(t.Context(), judge)
	command.Stdin = bytes.NewReader(question)
	said := &bytes.Buffer{}
	command.Stderr = said
	text, err := command.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	var open []bool
	must(t, json.Unmarshal(text, &open))
	if len(open) != len(asked) {
		t.Fatalf("the judge tells of %d of %d ways", len(open), len(asked))
	}
	return open
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
