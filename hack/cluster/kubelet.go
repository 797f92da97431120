// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"strings"
	"text/template"
)

// nodeName is the name of the one node.
const nodeName = "local"

// Images are only ever imported, so the kubelet must not collect them, however full the disk is; and the
// memory and disk of a shared machine say nothing about this cluster, so they evict no pods.
var kubeletConfig = template.Must(template.New("kubelet").Parse(`apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: {{.Node}}
healthzBindAddress: 127.0.0.1
containerRuntimeEndpoint: unix://{{.Socket}}
authentication:
  anonymous: {enabled: false}
  webhook: {enabled: true}
  x509: {clientCAFile: {{.Dir}}/pki/ca.crt}
authorization: {mode: Webhook}
tlsCertFile: {{.Dir}}/pki/kubelet.crt
tlsPrivateKeyFile: {{.Dir}}/pki/kubelet.key
cgroupDriver: cgroupfs
cgroupRoot: /{{.Cgroup}}
enforceNodeAllocatable: []
failCgroupV1: false
failSwapOn: false
localStorageCapacityIsolation: false
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
evictionHard:
  memory.available: 0%
  nodefs.available: 0%
  nodefs.inodesFree: 0%
  imagefs.available: 0%
  imagefs.inodesFree: 0%
clusterDomain: cluster.local
clusterDNS: [{{.DNS}}]
resolvConf: {{.Dir}}/resolv.conf
podLogsDir: {{.Dir}}/pods
volumePluginDir: {{.Dir}}/kubelet/plugins/volume
`))

// startKubelet starts the kubelet and waits until the node is Ready.
func (c *cluster) startKubelet(ctx context.Context) error {
	var config strings.Builder
	if err := kubeletConfig.Execute(&config, struct{ Dir, Node, Socket, Cgroup, DNS string }{
		c.dir, c.network.node.String(), c.containerdSocket(), c.cgroup(), c.network.dns.String(),
	}); err != nil {
		return err
	}
	if err := c.writeFile("kubelet.yaml", []byte(config.String())); err != nil {
		return err
	}
	// Pods get the cluster's DNS alone: the machine's own servers and search domains would make names
	// resolve differently from one machine to the next.
	if err := c.writeFile("resolv.conf", nil); err != nil {
		return err
	}
	kubelet, err := c.start("kubelet", c.binary("kubelet"),
		"--config="+c.path("kubelet.yaml"),
		"--kubeconfig="+c.path("kubelet.kubeconfig"),
		"--root-dir="+c.path("kubelet"),
		"--hostname-override="+nodeName,
		"--node-ip="+c.network.node.String(),
	)
	if err != nil {
		return err
	}
	api, err := c.api()
	if err != nil {
		return err
	}
	return kubelet.await(ctx, func(ctx context.Context) error {
		return nodeReady(ctx, api)
	})
}

func nodeReady(ctx context.Context, api *apiClient) error {
	var node struct {
		Status struct {
			Conditions []struct {
				Type, Status, Message string
			}
		}
	}
	if err := api.do(ctx, "GET", "/api/v1/nodes/"+nodeName, nil, &node); err != nil {
		return err
	}
	for _, condition := range node.Status.Conditions {
		if condition.Type != "Ready" {
			continue
		}
		if condition.Status == "True" {
			return nil
		}
		return fmt.Errorf("the node is not Ready: %s", condition.Message)
	}
	return fmt.Errorf("the node has no Ready condition yet")
}

// The kernel's connection tracking settings belong to the machine: kube-proxy leaves them alone.
var proxyConfig = template.Must(template.New("kube-proxy").Parse(`apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: iptables
bindAddress: {{.Node}}
healthzBindAddress: 127.0.0.1:10256
metricsBindAddress: 127.0.0.1:10249
hostnameOverride: {{.Name}}
clusterCIDR: {{.Pods}}
clientConnection: {kubeconfig: {{.Dir}}/kube-proxy.kubeconfig}
conntrack:
  maxPerCore: 0
  min: 0
  tcpCloseWaitTimeout: 0s
  tcpEstablishedTimeout: 0s
iptables:
  minSyncPeriod: 0s
`))

// startProxy starts kube-proxy. That it works shows when DNS answers on its ClusterIP.
func (c *cluster) startProxy() error {
	var config strings.Builder
	if err := proxyConfig.Execute(&config, struct{ Dir, Name, Node, Pods string }{
		c.dir, nodeName, c.network.node.String(), c.network.pods.String(),
	}); err != nil {
		return err
	}
	if err := c.writeFile("kube-proxy.yaml", []byte(config.String())); err != nil {
		return err
	}
	_, err := c.start("kube-proxy", c.binary("kube-proxy"), "--config="+c.path("kube-proxy.yaml"))
	return err
}
