// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"strconv"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/resources"
	"github.com/writebehind/operator/internal/controller/snapshot/snapshottest"
)

// A deletion that removed anything before its record is stored would begin again
// after a restart, with no flusher to ask any more.
func TestADeletionStoresItsRecordBeforeItRemovesAnything(t *testing.T) {
	cache := shopCache()
	snapshottest.Forced(cache)
	r, cached, _ := begin(t, cache)
	passOnce(t, r)
	if err := cached.Client.Delete(t.Context(), cached.live(t)); err != nil {
		t.Fatal(err)
	}
	version := func() int {
		n, err := strconv.Atoi(cached.live(t).ResourceVersion)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	deployment := func() error {
		return cached.Client.Get(t.Context(), client.ObjectKey{Namespace: "ns", Name: resources.FlusherName(cache)}, &appsv1.Deployment{})
	}

	before := version()
	passOnce(t, r)
	record := meta.FindStatusCondition(cached.live(t).Status.Conditions, v1alpha1.ConditionDraining)
	if record == nil || record.Reason != v1alpha1.ReasonDrained {
		t.Fatalf("the record is %+v", record)
	}
	if writes := version() - before; writes != 1 {
		t.Errorf("the pass wrote the resource %d times, want once", writes)
	}
	if err := deployment(); err != nil {
		t.Errorf("the pass that recorded removed the Deployment: %v", err)
	}

	passOnce(t, r)
	if err := deployment(); !apierrors.IsNotFound(err) {
		t.Errorf("the next pass left the Deployment: %v", err)
	}
	if err := cached.Client.Get(t.Context(), client.ObjectKeyFromObject(cache), &v1alpha1.WriteBehindCache{}); !apierrors.IsNotFound(err) {
		t.Errorf("the next pass left the resource: %v", err)
	}
}
