// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func upCommand(o *options) *cobra.Command {
	var subnet string
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Start a cluster, building and installing what is missing",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return up(cmd.Context(), o, subnet)
		},
	}
	cmd.Flags().StringVar(&subnet, "subnet", defaultSubnet,
		"IPv4 /16 for pods, services and the node; reachable from this machine only")
	return cmd
}

func up(ctx context.Context, o *options, subnet string) error {
	started := time.Now()
	if runtime.GOOS != "linux" {
		return errors.New("running pods needs Linux; `cluster assets` works without")
	}
	if os.Geteuid() != 0 {
		return errNotRoot
	}
	if err := checkFolder(o.dir); err != nil {
		return err
	}
	if _, err := os.Stat(o.dir); err == nil {
		// Another `up` may be at work: its end decides.
		unlock, err := lockFolder(o.dir)
		if err != nil {
			return err
		}
		done, err := alreadyUp(o.dir)
		unlock()
		if done || err != nil {
			return err
		}
	}
	b, err := newBuilder(o.cache)
	if err != nil {
		return err
	}
	c, err := newCluster(o.dir, subnet, b.dir)
	if err != nil {
		return err
	}
	tools, err := findRuntime(ctx, b.sources)
	if err != nil {
		return err
	}
	if err := c.network.checkFree(ctx); err != nil {
		return err
	}
	if err := b.ensure(ctx, append(append([]binary(nil), assetBinaries...), nodeBinaries...)); err != nil {
		return err
	}

	if err := os.MkdirAll(c.path(), 0o755); err != nil {
		return err
	}
	unlock, err := lockFolder(c.dir)
	if err != nil {
		return err
	}
	defer unlock()
	// Another `up` may have come first while this one was building.
	if done, err := alreadyUp(o.dir); done || err != nil {
		return err
	}
	if err := c.bringUp(ctx, b, tools); err != nil {
		return fmt.Errorf("%w\nWhat did start still runs, for a look at it; `cluster down` ends it", err)
	}
	fmt.Fprintf(os.Stderr, "\nKubernetes %s is up after %s.\n\n", kubernetesVersion, shortDuration(time.Since(started)))
	c.printUse(os.Stdout)
	return nil
}

// alreadyUp tells, also to the user, whether a cluster is up in the folder. A cluster that is half there
// is an error: starting a second one on top of it would lose track of the first.
func alreadyUp(dir string) (bool, error) {
	c, err := openCluster(dir)
	switch {
	case errors.Is(err, errNoCluster):
		return false, nil
	case err != nil:
		return false, err
	case c.whole():
		fmt.Fprintf(os.Stderr, "A cluster is already up, since %s.\n\n", c.state.Started.Format(time.DateTime))
		c.printUse(os.Stdout)
		return true, nil
	}
	problem := "did not come up whole"
	if dead := c.dead(); len(dead) > 0 {
		problem = "no longer runs " + strings.Join(dead, ", ")
	}
	return false, fmt.Errorf("the cluster in %s %s: end it with `cluster down` first", dir, problem)
}

// bringUp starts everything in the order in which the parts need each other.
func (c *cluster) bringUp(ctx context.Context, b *builder, tools runtimeTools) error {
	pause, err := b.path(pauseBinary)
	if err != nil {
		return err
	}
	coredns, err := b.path(corednsBinary)
	if err != nil {
		return err
	}
	// From here on there are traces, and the state is there first.
	c.state.Sysctls = readSysctls(kubeletSysctls)
	if err := c.save(); err != nil {
		return err
	}
	if err := os.MkdirAll(c.path("logs"), 0o755); err != nil {
		return err
	}
	for _, part := range []struct {
		what  string
		start func() error
	}{
		{"making the node's namespaces, network and certificates", func() error {
			return inOrder(
				c.writeCredentials,
				func() error { return c.startNode(ctx, pause) },
				func() error { return c.connect(ctx) },
				c.makeCgroups,
			)
		}},
		{"starting etcd", func() error { return c.startEtcd(ctx) }},
		{"starting kube-apiserver", func() error { return c.startAPIServer(ctx) }},
		{"starting kube-controller-manager, kube-scheduler and containerd", func() error {
			return inOrder(c.startControllers, func() error { return c.startContainerd(ctx, tools, pause) })
		}},
		{"starting the kubelet, until the node is Ready", func() error { return c.startKubelet(ctx) }},
		// kube-proxy waits for its node, with pauses that grow: it comes after the kubelet.
		{"starting kube-proxy and the volume provisioner", func() error {
			return inOrder(c.startProxy, func() error { return c.startProvisioner(ctx) })
		}},
		{"starting DNS, until it answers", func() error { return c.startDNS(ctx, coredns) }},
		{"waiting for the default service account", func() error { return c.awaitServiceAccount(ctx) }},
	} {
		if err := step(part.what, part.start); err != nil {
			return err
		}
	}
	if dead := c.dead(); len(dead) > 0 {
		return fmt.Errorf("%s ended soon after its start: its log is in %s", strings.Join(dead, ", "), c.path("logs"))
	}
	c.state.Complete = true
	return c.save()
}

// inOrder runs each function if the one before it succeeded.
func inOrder(functions ...func() error) error {
	for _, function := range functions {
		if err := function(); err != nil {
			return err
		}
	}
	return nil
}
