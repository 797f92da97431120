// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"net"
	"strings"
	"text/template"
)

// CoreDNS answers for the cluster's names and for nothing else: a name outside it is refused at once
// rather than after a timeout, because pods have no way out of this machine.
var corefile = template.Must(template.New("Corefile").Parse(`.:53 {
    bind {{.Node}}
    errors
    ready {{.Node}}:8181
    kubernetes cluster.local in-addr.arpa {
        kubeconfig {{.Dir}}/coredns.kubeconfig
        ttl 5
    }
    cache 5
}
`))

// CoreDNS runs beside the kubelet rather than in a pod, so its Service has no selector.
var dnsManifest = template.Must(template.New("dns").Parse(`apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: "system:coredns"}
rules:
- {apiGroups: [""], resources: [services, pods, namespaces], verbs: [list, watch]}
- {apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [list, watch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: "system:coredns"}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: "system:coredns"}
subjects:
- {apiGroup: rbac.authorization.k8s.io, kind: User, name: "system:coredns"}
---
apiVersion: v1
kind: Service
metadata:
  name: kube-dns
  namespace: kube-system
  labels: {k8s-app: kube-dns}
spec:
  clusterIP: {{.DNS}}
  ports:
  - {name: dns, port: 53, protocol: UDP}
  - {name: dns-tcp, port: 53, protocol: TCP}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: kube-dns
  namespace: kube-system
  labels: {kubernetes.io/service-name: kube-dns}
addressType: IPv4
ports:
- {name: dns, port: 53, protocol: UDP}
- {name: dns-tcp, port: 53, protocol: TCP}
endpoints:
- {addresses: ["{{.Node}}"], conditions: {ready: true}}
`))

// startDNS starts CoreDNS and waits until it answers on its ClusterIP, which shows that kube-proxy and
// the routes work too.
func (c *cluster) startDNS(ctx context.Context, coredns string) error {
	values := struct{ Dir, Node, DNS string }{c.dir, c.network.node.String(), c.network.dns.String()}
	var config, manifest strings.Builder
	if err := corefile.Execute(&config, values); err != nil {
		return err
	}
	if err := dnsManifest.Execute(&manifest, values); err != nil {
		return err
	}
	if err := c.apply(ctx, []byte(manifest.String())); err != nil {
		return err
	}
	if err := c.writeFile("Corefile", []byte(config.String())); err != nil {
		return err
	}
	dns, err := c.start("coredns", coredns, "-conf", c.path("Corefile"))
	if err != nil {
		return err
	}
	resolver := &net.Resolver{
		PreferGo: true,
		Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			var dialer net.Dialer
			return dialer.DialContext(ctx, network, net.JoinHostPort(c.network.dns.String(), "53"))
		},
	}
	return dns.await(ctx, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 10*pollInterval)
		defer cancel()
		addresses, err := resolver.LookupHost(ctx, "kubernetes.default.svc.cluster.local.")
		if err != nil {
			return err
		}
		if len(addresses) != 1 || addresses[0] != c.network.api.String() {
			return fmt.Errorf("DNS gives %v for the API server, want %s", addresses, c.network.api)
		}
		return nil
	})
}
