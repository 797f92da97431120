// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
)

// apiServer is where the API server listens, for the machine, the node and the pods alike.
func (c *cluster) apiServer() string { return c.network.node.String() + ":6443" }

func (c *cluster) binary(name string) string { return filepath.Join(c.state.Binaries, name) }

// startEtcd starts etcd without waiting for the disk after every write: this cluster's data does not
// outlive its processes.
func (c *cluster) startEtcd(ctx context.Context) error {
	const client = "http://127.0.0.1:2379"
	etcd, err := c.start("etcd", c.binary("etcd"),
		"--name=writebehind",
		"--data-dir="+c.path("etcd"),
		"--listen-client-urls="+client,
		"--advertise-client-urls="+client,
		"--listen-peer-urls=http://127.0.0.1:2380",
		"--initial-advertise-peer-urls=http://127.0.0.1:2380",
		"--initial-cluster=writebehind=http://127.0.0.1:2380",
		"--listen-metrics-urls=http://"+c.network.node.String()+":2381",
		"--unsafe-no-fsync",
		"--log-level=warn",
	)
	if err != nil {
		return err
	}
	return etcd.await(ctx, func(ctx context.Context) error {
		return getOK(ctx, http.DefaultClient, "http://"+c.network.node.String()+":2381/health")
	})
}

func (c *cluster) startAPIServer(ctx context.Context) error {
	pki := func(name string) string { return c.path("pki", name) }
	server, err := c.start("kube-apiserver", c.binary("kube-apiserver"),
		"--etcd-servers=http://127.0.0.1:2379",
		"--bind-address="+c.network.node.String(),
		"--advertise-address="+c.network.node.String(),
		"--secure-port=6443",
		"--service-cluster-ip-range="+c.network.services.String(),
		"--authorization-mode=Node,RBAC",
		"--enable-admission-plugins=NodeRestriction",
		"--allow-privileged=true",
		"--client-ca-file="+pki("ca.crt"),
		"--tls-cert-file="+pki("apiserver.crt"),
		"--tls-private-key-file="+pki("apiserver.key"),
		"--kubelet-certificate-authority="+pki("ca.crt"),
		"--kubelet-client-certificate="+pki("apiserver-kubelet.crt"),
		"--kubelet-client-key="+pki("apiserver-kubelet.key"),
		"--kubelet-preferred-address-types=InternalIP",
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file="+pki("service-account.key"),
		"--service-account-signing-key-file="+pki("service-account.key"),
		"--requestheader-client-ca-file="+pki("ca.crt"),
		"--requestheader-allowed-names=front-proxy-client",
		"--requestheader-username-headers=X-Remote-User",
		"--requestheader-group-headers=X-Remote-Group",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--proxy-client-cert-file="+pki("front-proxy.crt"),
		"--proxy-client-key-file="+pki("front-proxy.key"),
	)
	if err != nil {
		return err
	}
	api, err := c.api()
	if err != nil {
		return err
	}
	return server.await(ctx, func(ctx context.Context) error {
		return getOK(ctx, api.http, api.server+"/readyz")
	})
}

// startControllers starts the controller manager and the scheduler. They find the API server by themselves,
// and nothing waits for them until pods have to run.
func (c *cluster) startControllers() error {
	controllers := c.path("controller-manager.kubeconfig")
	if _, err := c.start("kube-controller-manager", c.binary("kube-controller-manager"),
		"--kubeconfig="+controllers,
		"--authentication-kubeconfig="+controllers,
		"--authorization-kubeconfig="+controllers,
		"--bind-address=127.0.0.1",
		"--cluster-name=writebehind",
		"--leader-elect=false",
		"--use-service-account-credentials=true",
		"--root-ca-file="+c.path("pki", "ca.crt"),
		"--service-account-private-key-file="+c.path("pki", "service-account.key"),
		// The usual limits protect a server from many clusters' controllers. Here they would only delay
		// the start, by some four seconds.
		"--kube-api-qps=200",
		"--kube-api-burst=400",
	); err != nil {
		return err
	}
	scheduler := c.path("scheduler.kubeconfig")
	_, err := c.start("kube-scheduler", c.binary("kube-scheduler"),
		"--kubeconfig="+scheduler,
		"--authentication-kubeconfig="+scheduler,
		"--authorization-kubeconfig="+scheduler,
		"--bind-address=127.0.0.1",
		"--leader-elect=false",
	)
	return err
}

// awaitServiceAccount waits for what the controllers make for a namespace before a pod can be in it.
func (c *cluster) awaitServiceAccount(ctx context.Context) error {
	api, err := c.api()
	if err != nil {
		return err
	}
	err = poll(ctx, startupTimeout, nil, func(ctx context.Context) error {
		return getOK(ctx, api.http, api.server+"/api/v1/namespaces/default/serviceaccounts/default")
	})
	if err != nil {
		return fmt.Errorf("%w; the controllers' log is %s", err, c.path("logs", "kube-controller-manager.log"))
	}
	return nil
}

func getOK(ctx context.Context, client *http.Client, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", url, response.Status)
	}
	return nil
}
