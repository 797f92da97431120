// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"fmt"
	"strconv"
)

// reader takes a function's flat answer apart, one value after the other, and
// remembers the first thing that was not as expected.
type reader struct {
	values []any
	err    error
}

func (r *reader) more() bool {
	return r.err == nil && len(r.values) > 0
}

func (r *reader) next() any {
	if len(r.values) == 0 {
		r.fail("the answer is too short")
		return nil
	}
	value := r.values[0]
	r.values = r.values[1:]
	return value
}

func (r *reader) number() int64 {
	switch value := r.next().(type) {
	case int64:
		return value
	case string:
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			r.fail("%q is not a number", value)
		}
		return n
	default:
		r.fail("%T is not a number", value)
		return 0
	}
}

func (r *reader) text() string {
	text, ok := r.next().(string)
	if !ok {
		r.fail("expected a string")
	}
	return text
}

func (r *reader) list() []any {
	list, ok := r.next().([]any)
	if !ok {
		r.fail("expected a list")
	}
	return list
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf(format, args...)
	}
}

func (r *reader) done(action string) error {
	if r.err != nil {
		return fmt.Errorf("%s: %w: %w", action, errOtherRelease, r.err)
	}
	return nil
}
