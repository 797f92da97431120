// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestNewNetwork(t *testing.T) {
	n, err := newNetwork("10.9.0.0/16")
	if err != nil {
		t.Fatal(err)
	}
	if n.gateway.String() != "10.9.128.1" || n.node.String() != "10.9.128.2" || n.dns.String() != "10.9.64.10" {
		t.Errorf("addresses are %+v", n)
	}
	if n.pods.Overlaps(n.services) || n.pods.Contains(n.node) || n.services.Contains(n.node) {
		t.Errorf("the ranges overlap: %+v", n)
	}
	if !n.services.Contains(n.api) || !n.services.Contains(n.dns) {
		t.Errorf("Services outside their range: %+v", n)
	}
	for _, wrong := range []string{"", "10.9.0.0", "10.9.0.0/24", "10.9.1.0/16", "fd00::/16"} {
		if _, err := newNetwork(wrong); err == nil || !strings.Contains(err.Error(), defaultSubnet) {
			t.Errorf("subnet %q: %v, want an error with an example", wrong, err)
		}
	}
}

func TestConflict(t *testing.T) {
	n, err := newNetwork("10.9.0.0/16")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ name, routes, want string }{
		{"free", `[{"dst":"default","dev":"eth0"},{"dst":"192.0.2.0/24","dev":"eth0"},{"dst":"10.10.0.0/16","dev":"a"}]`, ""},
		{"wider", `[{"dst":"10.0.0.0/8","dev":"vpn0"}]`, "10.0.0.0/8 on vpn0"},
		{"narrower", `[{"dst":"10.9.64.0/18","dev":"wb-1"}]`, "10.9.64.0/18 on wb-1"},
		{"one address", `[{"dst":"10.9.1.1","dev":"tun0"}]`, "10.9.1.1 on tun0"},
		{"none", `[]`, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := n.conflict([]byte(test.routes))
			if err != nil || got != test.want {
				t.Errorf("conflict = %q, %v, want %q", got, err, test.want)
			}
		})
	}
	if _, err := n.conflict([]byte("no JSON")); err == nil {
		t.Error("no error for what is not JSON")
	}
}

func TestLinkNameFitsTheKernel(t *testing.T) {
	first, second := testCluster(t), testCluster(t)
	if first.link() == second.link() || first.cgroup() == second.cgroup() {
		t.Error("two folders share a name")
	}
	if len(first.link()) > 15 {
		t.Errorf("%s is longer than the kernel allows", first.link())
	}
}

func TestPodNetworkIsValid(t *testing.T) {
	content, err := testCluster(t).podNetwork()
	if err != nil {
		t.Fatal(err)
	}
	var parsed struct {
		Plugins []struct{ Type string }
	}
	if err := json.Unmarshal(content, &parsed); err != nil {
		t.Fatal(err)
	}
	if len(parsed.Plugins) != 2 || parsed.Plugins[0].Type != "ptp" || parsed.Plugins[1].Type != "portmap" {
		t.Errorf("plugins are %v", parsed.Plugins)
	}
}
