// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"context"
	"strings"
)

// catalogue knows where commands have the keys that they write. Its errors are those of the
// server, or of the way to it.
type catalogue interface {
	// places are those of the commands of a name, in capitals. A part of a container is named
	// with both names, as in XGROUP|CREATE.
	places(ctx context.Context, name string) (*places, error)
	// written are the keys that the one command writes. ok is false where the server does not
	// tell.
	written(ctx context.Context, command []string) (keys []string, ok bool, err error)
}

// places are where the commands of one name have the keys that they write.
type places struct {
	// unknown means that the server does not know the name.
	unknown bool
	// asks means that the server has to be asked about each command, since its keys are not
	// at places that can be reckoned.
	asks bool
	// container means that the argument behind the name is the second part of it.
	container bool
	stretches []stretch
}

// stretch is a row of keys, in the terms that servers have for that.
type stretch struct {
	// index is the place where it begins. With a keyword, which is looked for from the place
	// index on, or backwards from there where index is counted from the end, and so is
	// negative, it begins behind that.
	index   int
	keyword string
	// last is the place of the last key, counted from the first one, or from the end where it
	// is negative: -1 is the last argument. With a limit above 1 only so much of what is left
	// are keys: a half for 2. From one key to the next it is step.
	last, limit, step int
	// counted means that the number of the keys stands at the place countAt and the first
	// key at firstAt, both counted from where the stretch begins.
	counted          bool
	countAt, firstAt int
}

// tellByPlaces tells of the keys where the server says that the command has them.
func (r *reading) tellByPlaces(ctx context.Context, c *command) error {
	if c.keys == nil {
		keys, err := r.catalogue.places(ctx, c.name)
		if err != nil {
			return err
		}
		c.keys = keys
	}
	switch {
	case c.keys.unknown, c.keys.container && r.of(1) == nil:
		r.none(c, Unknown)
	case c.keys.container && !strings.Contains(c.name, "|"):
		part := r.named([]byte(c.name + "|" + strings.ToUpper(string(r.of(1)))))
		return r.tellByPlaces(ctx, part)
	case c.keys.asks:
		return r.tellByAsking(ctx, c)
	default:
		for _, keys := range c.keys.stretches {
			r.tellStretch(c, keys)
		}
	}
	return nil
}

func (r *reading) tellStretch(c *command, keys stretch) {
	first, last := r.bounds(keys)
	for i := first; i > 0 && i <= min(last, r.count-1); i += max(1, keys.step) {
		r.key(c, r.of(i), Written)
	}
}

// bounds are the places of the first key and of the last one. The first one is 0 where
// there is none.
func (r *reading) bounds(keys stretch) (first, last int) {
	first = keys.index
	if keys.keyword != "" {
		first = r.behind(keys.keyword, keys.index)
	}
	switch {
	case first == 0:
		return 0, 0
	case keys.counted:
		n := r.number(first + keys.countAt)
		first += keys.firstAt
		return first, first + (n-1)*keys.step
	case keys.last >= 0:
		return first, first + keys.last
	case keys.limit > 1:
		return first, first + (r.count-first)/keys.limit + keys.last
	default:
		return first, r.count + keys.last
	}
}

// behind is the place behind the word, or 0 where it does not stand.
func (r *reading) behind(word string, from int) int {
	step := 1
	if from < 0 {
		from, step = r.count+from, -1
	}
	for i := from; i > 0 && i < r.count; i += step {
		if r.is(i, word) {
			return i + 1
		}
	}
	return 0
}

// tellByAsking asks the server which keys the command writes.
func (r *reading) tellByAsking(ctx context.Context, c *command) error {
	whole := make([]string, 0, len(r.spans))
	for i := range r.count {
		argument := r.of(i)
		if argument == nil {
			r.none(c, Unknown)
			return nil
		}
		whole = append(whole, string(argument))
	}
	keys, ok, err := r.catalogue.written(ctx, whole)
	switch {
	case err != nil:
		return err
	case !ok:
		r.none(c, Unknown)
	}
	for _, key := range keys {
		r.key(c, []byte(key), Written)
	}
	return nil
}
