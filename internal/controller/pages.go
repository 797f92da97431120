// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	toolscache "k8s.io/client-go/tools/cache"
)

// pageObjects is how many objects are listed at a time. The API server takes objects of
// 1.5 MB, and a page is in memory twice: as text, and decoded.
const pageObjects = 25

// pagedInformer makes an informer that never has whole what the cache is to trim. An API
// server before 1.34 does not stream a list, and answers one with everything at once.
func pagedInformer(from toolscache.ListerWatcher, of runtime.Object, resync time.Duration, indexers toolscache.Indexers) toolscache.SharedIndexInformer {
	return toolscache.NewSharedIndexInformer(paged(from), of, resync, indexers)
}

// paged lists by pages, and trims each before it asks for the next. The reflector, which
// pages by itself, would keep all of them as they come.
func paged(from toolscache.ListerWatcher) *toolscache.ListWatch {
	whole := toolscache.ToListerWatcherWithContext(from)
	return &toolscache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			options.Limit = pageObjects
			if options.ResourceVersion == "0" {
				// Of what it has in memory the API server would give everything at once.
				options.ResourceVersion = ""
			}
			return listPages(ctx, whole, options)
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			return whole.WatchWithContext(ctx, options) //nolint:wrapcheck // the reflector decides by its kind
		},
	}
}

// listPages returns the list of all pages, with the version of the first, which is that of
// all. Where the pages expire meanwhile, the reflector begins again.
func listPages(ctx context.Context, from toolscache.ListerWithContext, options metav1.ListOptions) (runtime.Object, error) {
	var list runtime.Object
	var all []runtime.Object
	for {
		page, err := from.ListWithContext(ctx, options)
		if err != nil {
			return nil, err //nolint:wrapcheck // the reflector decides by its kind
		}
		items, err := trimPage(page)
		if err != nil {
			return nil, err
		}
		about, err := meta.ListAccessor(page)
		if err != nil {
			return nil, fmt.Errorf("read a page of a list: %w", err)
		}
		next := about.GetContinue()
		about.SetContinue("")
		about.SetRemainingItemCount(nil)
		if list == nil {
			list = page
		}
		all = append(all, items...)
		if next == "" {
			return list, meta.SetList(list, all) //nolint:wrapcheck // it is the list that the items come from
		}
		options.Continue, options.ResourceVersion, options.ResourceVersionMatch = next, "", ""
	}
}

func trimPage(page runtime.Object) ([]runtime.Object, error) {
	items, err := meta.ExtractList(page)
	if err != nil {
		return nil, fmt.Errorf("read a page of a list: %w", err)
	}
	for i := range items {
		trimmed, err := trim(items[i])
		if err != nil {
			return nil, err
		}
		if object, ok := trimmed.(runtime.Object); ok {
			items[i] = object
		}
	}
	return items, nil
}
