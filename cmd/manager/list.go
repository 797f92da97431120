// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import "strings"

// list is a flag's value of words with commas between. The flag given again adds to them.
type list[T ~[]string] struct{ words *T }

// String is also called on a value without words, to learn the default.
func (l list[T]) String() string {
	if l.words == nil {
		return ""
	}
	return strings.Join(*l.words, ",")
}

// Set adds words. An empty text adds none, which is what a chart's empty value gives.
func (l list[T]) Set(text string) error {
	for word := range strings.SplitSeq(text, ",") {
		if word = strings.TrimSpace(word); word != "" {
			*l.words = append(*l.words, word)
		}
	}
	return nil
}
