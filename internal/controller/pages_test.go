// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	toolscache "k8s.io/client-go/tools/cache"
)

// shelf is an API server with large ConfigMaps that streams no list. Like one it gives
// everything at once where version 0 is good enough, or no limit is given.
type shelf struct {
	objects int
	// expires makes every page but the first one expire.
	expires bool
	// most is the most objects that were asked for at a time.
	most int
}

func (s *shelf) List(options metav1.ListOptions) (runtime.Object, error) {
	return s.ListWithContext(context.Background(), options)
}

func (s *shelf) ListWithContext(_ context.Context, options metav1.ListOptions) (runtime.Object, error) {
	from, limit := 0, int(options.Limit)
	if options.Continue != "" {
		if s.expires {
			return nil, apierrors.NewResourceExpired("too old")
		}
		var err error
		if from, err = strconv.Atoi(options.Continue); err != nil {
			return nil, err
		}
	}
	if limit == 0 || options.ResourceVersion == "0" {
		limit = s.objects
	}
	list := &corev1.ConfigMapList{ListMeta: metav1.ListMeta{ResourceVersion: "9"}}
	for i := from; i < min(from+limit, s.objects); i++ {
		list.Items = append(list.Items, corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint(i)}, Data: map[string]string{"payload": strings.Repeat("x", 1<<10)},
		})
	}
	s.most = max(s.most, len(list.Items))
	if from+limit < s.objects {
		list.Continue = strconv.Itoa(from + limit)
	}
	return list, nil
}

func (s *shelf) Watch(metav1.ListOptions) (watch.Interface, error) { return watch.NewFake(), nil }

// TestAListIsTrimmedPageByPage: with everything at once the payloads of all objects are in
// memory before the first is trimmed, after each start of the operator.
func TestAListIsTrimmedPageByPage(t *testing.T) {
	for _, objects := range []int{0, 1, pageObjects, pageObjects + 1, 10 * pageObjects} {
		for _, version := range []string{"", "0", "5"} {
			s := &shelf{objects: objects}
			list, err := paged(s).ListWithContext(t.Context(), metav1.ListOptions{ResourceVersion: version})
			if err != nil {
				t.Fatal(err)
			}
			all := list.(*corev1.ConfigMapList)
			if len(all.Items) != objects || all.ResourceVersion != "9" || all.Continue != "" || s.most > pageObjects {
				t.Errorf("of %d objects %d are listed, of version %q and with %q left, %d at a time", objects, len(all.Items), all.ResourceVersion, all.Continue, s.most)
			}
			for i := range all.Items {
				if all.Items[i].Name != fmt.Sprint(i) || len(all.Items[i].Data) > 0 {
					t.Errorf("object %d is %+v", i, all.Items[i])
				}
			}
		}
	}
	expired := &shelf{objects: 2 * pageObjects, expires: true}
	if _, err := paged(expired).ListWithContext(t.Context(), metav1.ListOptions{}); !apierrors.IsResourceExpired(err) {
		t.Errorf("a list that expires ends in %v", err)
	}
	if _, err := paged(&shelf{}).WatchWithContext(t.Context(), metav1.ListOptions{}); err != nil {
		t.Error(err)
	}
	if pagedInformer(expired, &corev1.ConfigMap{}, 0, toolscache.Indexers{}) == nil {
		t.Error("there is no informer")
	}
}
