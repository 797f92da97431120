// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"strconv"
)

// network is the cluster's address plan inside one /16. The machine and the node are the two ends of a
// cable; the node routes between it and its pods. Nothing is translated between machine and pods, so
// either side reaches the other by its own address.
type network struct {
	subnet   netip.Prefix
	pods     netip.Prefix
	services netip.Prefix
	gateway  netip.Addr // the machine's end of the cable: where pods reach servers on the machine
	node     netip.Addr // the node's end: API server, kubelet, DNS
	api      netip.Addr // ClusterIP of the Service kubernetes, always the first
	dns      netip.Addr // ClusterIP of the Service kube-dns
}

// defaultSubnet is private and outside what home routers, Docker, kind and minikube use by default.
const defaultSubnet = "10.214.0.0/16"

func newNetwork(subnet string) (network, error) {
	prefix, err := netip.ParsePrefix(subnet)
	if err != nil || !prefix.Addr().Is4() || prefix.Bits() != 16 || prefix != prefix.Masked() {
		return network{}, fmt.Errorf("subnet %q: want an IPv4 /16 such as %s", subnet, defaultSubnet)
	}
	base := prefix.Addr().As4()
	at := func(third, fourth byte) netip.Addr {
		return netip.AddrFrom4([4]byte{base[0], base[1], third, fourth})
	}
	return network{
		subnet:   prefix,
		pods:     netip.PrefixFrom(at(0, 0), 18),
		services: netip.PrefixFrom(at(64, 0), 18),
		gateway:  at(128, 1),
		node:     at(128, 2),
		api:      at(64, 1),
		dns:      at(64, 10),
	}, nil
}

// conflict names the route of the machine that overlaps with the subnet, if there is one. The argument
// is what `ip -json route` prints.
func (n network) conflict(routes []byte) (string, error) {
	var parsed []struct {
		Destination string `json:"dst"`
		Device      string `json:"dev"`
	}
	if err := json.Unmarshal(routes, &parsed); err != nil {
		return "", fmt.Errorf("read the machine's routes: %w", err)
	}
	for _, route := range parsed {
		prefix, err := netip.ParsePrefix(route.Destination)
		if err != nil {
			address, err := netip.ParseAddr(route.Destination)
			if err != nil {
				continue // the default route
			}
			prefix = netip.PrefixFrom(address, address.BitLen())
		}
		if prefix.Overlaps(n.subnet) {
			return route.Destination + " on " + route.Device, nil
		}
	}
	return "", nil
}

func (n network) checkFree(ctx context.Context) error {
	routes, err := exec.CommandContext(ctx, "ip", "-json", "-4", "route").Output()
	if err != nil {
		return fmt.Errorf("read the machine's routes: %w", err)
	}
	conflict, err := n.conflict(routes)
	if err != nil {
		return err
	}
	if conflict != "" {
		return fmt.Errorf("subnet %s overlaps with the machine's route %s: name another /16 with --subnet",
			n.subnet, conflict)
	}
	return nil
}

// link is the machine's end of the cable. The kernel allows 15 characters.
func (c *cluster) link() string { return "wb-" + c.tag() }

// connect lays the cable between the machine and the node.
func (c *cluster) connect(ctx context.Context) error {
	holder, err := c.holder()
	if err != nil {
		return err
	}
	inside := func(argv ...string) []string {
		return append([]string{"nsenter", "--target", strconv.Itoa(holder), "--net", "--"}, argv...)
	}
	const linkBits = "/30"
	n := c.network
	for _, argv := range [][]string{
		{"ip", "link", "add", c.link(), "type", "veth", "peer", "name", "eth0", "netns", strconv.Itoa(holder)},
		{"ip", "address", "add", n.gateway.String() + linkBits, "dev", c.link()},
		{"ip", "link", "set", c.link(), "up"},
		inside("ip", "link", "set", "lo", "up"),
		inside("ip", "address", "add", n.node.String()+linkBits, "dev", "eth0"),
		inside("ip", "link", "set", "eth0", "up"),
		inside("ip", "route", "add", "default", "via", n.gateway.String()),
		inside("sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward"),
		{"ip", "route", "add", n.pods.String(), "via", n.node.String()},
		{"ip", "route", "add", n.services.String(), "via", n.node.String()},
	} {
		if err := run(ctx, argv...); err != nil {
			return err
		}
	}
	return nil
}

// disconnect takes the machine's end of the cable away, and with it the routes. It may be gone already:
// the kernel removes it some time after the node's namespace.
func (c *cluster) disconnect(ctx context.Context) error {
	err := run(ctx, "ip", "link", "delete", c.link())
	if err != nil && !c.connected() {
		return nil
	}
	return err
}

func (c *cluster) connected() bool {
	_, err := net.InterfaceByName(c.link())
	return err == nil
}

// podNetwork configures the pods' interfaces. Each pod has a cable of its own to the node rather than a
// port on a bridge: packets between two pods of one bridge pass by iptables unless br_netfilter is
// loaded, and then answers from behind a Service carry the wrong address.
func (c *cluster) podNetwork() ([]byte, error) {
	type object = map[string]any
	return json.MarshalIndent(object{
		"cniVersion": "0.4.0",
		"name":       "writebehind",
		"plugins": []object{
			{
				"type":   "ptp",
				"ipMasq": false,
				"ipam": object{
					"type":    "host-local",
					"dataDir": c.path("cni", "addresses"),
					"ranges":  [][]object{{{"subnet": c.network.pods.String()}}},
					"routes":  []object{{"dst": "0.0.0.0/0"}},
				},
			},
			{"type": "portmap", "capabilities": object{"portMappings": true}},
		},
	}, "", "  ")
}
