// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/writebehind/operator/test/kube"
)

// down removes what up made. It goes on after a failure: the more is gone the
// better, and what could not be removed is said at the end. Of a cluster that is not
// the demo's own it removes only what bears the mark.
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
			try("Namespace "+d.namespace, func() error { return d.removeNamespace(ctx) })
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
	// Without the kind kubectl knows no such resource.
	own, err := caches(ctx, d.cluster.Client, client.InNamespace(d.namespace), client.MatchingLabels{markLabel: markValue})
	if err != nil || len(own) == 0 {
		return err
	}
	printed, err := d.cluster.Kubectl(ctx, "delete", "wbc", "-l", markLabel+"="+markValue, "-n", d.namespace, "--ignore-not-found", "--timeout", "2m")
	if printed != "" {
		fmt.Println(indent(printed))
	}
	return err
}

func (d *demo) removeOperator(ctx context.Context) error {
	objects, err := d.operatorObjects(ctx)
	if err != nil {
		return err
	}
	own, foreign, err := present(ctx, d.cluster.Client, objects)
	if err != nil {
		return err
	}
	for _, object := range foreign {
		d.line("%s lacks the label %s=%s: left alone", display(object), markLabel, markValue)
	}
	if len(own) == 0 {
		return nil
	}
	if err := noneLeft(ctx, d.cluster.Client, "the operator with the CRD"); err != nil {
		return err
	}
	return d.remove(ctx, own)
}

func (d *demo) removeNamespace(ctx context.Context) error {
	own, foreign, err := present(ctx, d.cluster.Client, []*unstructured.Unstructured{named("v1", "Namespace", "", d.namespace)})
	if err != nil {
		return err
	}
	if len(foreign) > 0 {
		d.line("Namespace %s lacks the label %s=%s: left alone", d.namespace, markLabel, markValue)
	}
	if len(own) == 0 {
		return nil
	}
	if err := noneLeft(ctx, d.cluster.Client, "the namespace "+d.namespace, client.InNamespace(d.namespace)); err != nil {
		return err
	}
	return d.remove(ctx, own)
}

// remove deletes the objects and waits until they are gone.
func (d *demo) remove(ctx context.Context, objects []*unstructured.Unstructured) error {
	list := &unstructured.UnstructuredList{}
	list.SetAPIVersion("v1")
	list.SetKind("List")
	for _, object := range objects {
		list.Items = append(list.Items, *named(object.GetAPIVersion(), object.GetKind(), object.GetNamespace(), object.GetName()))
	}
	manifest, err := list.MarshalJSON()
	if err != nil {
		return err
	}
	_, err = d.cluster.KubectlWithInput(ctx, manifest, "delete", "--ignore-not-found", "--timeout", "2m", "-f", "-")
	return err
}
