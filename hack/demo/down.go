// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/writebehind/operator/test/kube"
)

// down removes what up made. It goes on after a failure: the more is gone the
// better, and what could not be removed is said at the end.
func down(ctx context.Context, o *options) error {
	s := newScreen()
	d := &demo{options: o, screen: s, image: o.image}
	var failures []error
	try := func(what string, do func() error) {
		if err := s.step(what, do); err != nil {
			s.line("failed: %v", err)
			failures = append(failures, fmt.Errorf("%s: %w", what, err))
		}
	}
	var err error
	if o.cluster == clusterLocal {
		d.cluster, err = kube.RunningLocal(ctx, os.Stdout)
	} else {
		d.cluster, err = kube.Current()
	}
	switch {
	case err == nil:
		try("The WriteBehindCache: its queue is drained first", func() error { return d.removeCache(ctx) })
		if !d.cluster.Local {
			try("The operator and the CRD", func() error { return d.removeOperator(ctx) })
			try("Namespace "+d.namespace, func() error {
				_, err := d.cluster.Kubectl(ctx, "delete", "namespace", d.namespace, "--ignore-not-found", "--timeout", "2m")
				return err
			})
		}
	case o.cluster == clusterLocal:
		s.line("No local cluster is up.")
	default:
		return err
	}
	if o.cluster == clusterLocal {
		if d.cluster != nil {
			try("The local cluster", func() error { return d.cluster.Down(ctx) })
		}
		try("PostgreSQL on this machine", func() error { return stopOnHost(ctx) })
	}
	return errors.Join(failures...)
}

func (d *demo) removeCache(ctx context.Context) error {
	printed, err := d.cluster.Kubectl(ctx, "delete", "wbc", "--all", "-n", d.namespace, "--ignore-not-found", "--timeout", "2m")
	if printed != "" {
		fmt.Println(indent(printed))
	}
	return err
}

func (d *demo) removeOperator(ctx context.Context) error {
	manifest, err := d.cluster.Manifests(ctx, "default", d.image)
	if err != nil {
		return err
	}
	_, err = d.cluster.KubectlWithInput(ctx, manifest, "delete", "--ignore-not-found", "--timeout", "2m", "-f", "-")
	return err
}
