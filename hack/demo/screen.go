// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// screen prints for a person: numbered steps, each with its duration.
type screen struct {
	started time.Time
	number  int
}

func newScreen() *screen { return &screen{started: time.Now()} }

// step says what begins, does it, and says how long it took.
func (s *screen) step(what string, do func() error) error {
	s.number++
	fmt.Printf("\n%d. %s\n", s.number, what)
	started := time.Now()
	if err := do(); err != nil {
		return err
	}
	fmt.Printf("   done in %s\n", brief(time.Since(started)))
	return nil
}

// line prints below a step.
func (s *screen) line(format string, args ...any) {
	fmt.Printf("   "+format+"\n", args...)
}

// indent puts several lines below a step.
func indent(text string) string {
	return "   " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n   ")
}

// brief keeps of a duration what a reader compares.
func brief(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	default:
		return fmt.Sprintf("%d min %02d s", int(d.Minutes()), int(d.Seconds())%60)
	}
}

// grouped writes a number with commas between thousands.
func grouped(n int64) string {
	digits := strconv.FormatInt(n, 10)
	var b strings.Builder
	for i, digit := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 && digits[i-1] != '-' {
			b.WriteByte(',')
		}
		b.WriteRune(digit)
	}
	return b.String()
}

// share is part of whole as a percentage.
func share(part, whole int64) string {
	if whole == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f %%", 100*float64(part)/float64(whole))
}
