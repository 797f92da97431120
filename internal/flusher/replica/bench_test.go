// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// BenchmarkReading is what a stream of one command costs from the buffer to the effect; one
// operation is one command.
func BenchmarkReading(b *testing.B) {
	value := strings.Repeat("v", 200)
	for name, command := range map[string]func(i int) []string{
		"SET": func(i int) []string { return []string{"SET", fmt.Sprintf("key:%012d", i), value} },
		"SETEX": func(i int) []string {
			return []string{"SET", fmt.Sprintf("key:%012d", i), value, "PXAT", "1700000000000"}
		},
		"INCR": func(i int) []string { return []string{"INCR", fmt.Sprintf("key:%012d", i)} },
		"HSET": func(i int) []string {
			return []string{"HSET", fmt.Sprintf("key:%012d", i), "f", "1", "g", "2", "h", "3"}
		},
		"another": func(i int) []string { return []string{"SET", fmt.Sprintf("nokey:%012d", i), value} },
	} {
		b.Run(name, func(b *testing.B) {
			var text []byte
			const commands = 1000
			for i := range commands {
				text = append(text, stream(command(i))...)
			}
			p := newParser(0, usualBuffer)
			r := newReading(&oneCatalogue{keys: &places{stretches: []stretch{{index: 1, step: 1}}}}, Point{})
			r.interest = &Interest{Prefixes: []string{"session:", "product:", "key:"}}
			source := bytes.NewReader(text)
			b.SetBytes(int64(len(text) / commands))
			b.ReportAllocs()
			for n := 0; n < b.N; {
				arguments, whole, err := p.next()
				if err != nil {
					b.Fatal(err)
				}
				if whole {
					if r.full() {
						r.reset()
					}
					if _, err := r.take(b.Context(), arguments, p.offset); err != nil {
						b.Fatal(err)
					}
					n++
					continue
				}
				r.reset()
				if source.Len() == 0 {
					source.Reset(text)
				}
				if err := p.fill(source); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
