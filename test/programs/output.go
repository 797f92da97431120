// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package programs

import (
	"bytes"
	"sync"
)

// output is what a program says.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
	// most is how many bytes of the end are kept; 0 keeps all.
	most int
}

// Write implements io.Writer.
func (o *output) Write(data []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	defer o.cut()
	return o.text.Write(data)
}

func (o *output) cut() {
	if excess := o.text.Len() - o.most; o.most > 0 && excess > 0 {
		o.text.Next(excess)
	}
}

func (o *output) keepLast(most int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.most = most
	o.cut()
}

// String is what is kept.
func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}
