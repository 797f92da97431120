// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"bytes"
	"context"
	"strconv"
	"strings"
)

// reading makes effects of commands. It knows where in the stream it is: which database is
// selected, and whether a transaction has begun.
type reading struct {
	interest  *Interest
	catalogue catalogue
	commands  map[string]*command

	// safe is the last point at which another reader can begin.
	safe        Point
	database    int
	transaction bool
	// asked means that the server wants to know at once how far everything was committed.
	asked bool

	effects []Effect
	// parts are the members and fields of all effects.
	parts [][]byte

	// arguments and end, the offset behind it, are those of the command that is being read.
	// first is the place of the first key of one that has many, or where it goes on with them;
	// left is the place at which it has to go on where the effects before are enough for one
	// batch, or else 0.
	arguments
	end         int64
	first, left int
}

// command is what is known of the commands of one name.
type command struct {
	// name is in capitals.
	name string
	// tell adds the effects. Without it they are told by the places where the server says
	// that commands of the name have keys.
	tell func(r *reading, c *command)
	// elsewhere means that it tells something where another database is selected, too.
	elsewhere bool
	// stays means that nobody has to read the command again: the point before it is as good
	// as the one behind it.
	stays bool
	// keys are those places, once the server was asked.
	keys *places
}

const (
	// mostEffects is how many effects one batch has, but for one command of a module that
	// has more: so many lie in the cache of a processor, and one DEL may name a million keys.
	mostEffects = 512
	// usualParts is how much memory for members is kept from one batch to the next.
	usualParts = 16 << 10
)

const (
	// mostNames is how many spellings of commands are remembered: a server has some 400
	// commands, and hands on what an application wrote, in capitals or not.
	mostNames = 4096
	// longestName is beyond the name of any command.
	longestName = 128
)

func newReading(keys catalogue, at Point) *reading {
	return &reading{interest: &Interest{}, catalogue: keys, commands: map[string]*command{}, safe: at, database: at.Database}
}

// reset forgets the effects, whose bytes are about to go.
func (r *reading) reset() {
	if cap(r.effects) > 2*mostEffects || cap(r.parts) > usualParts {
		r.effects, r.parts = nil, nil
	}
	clear(r.effects)
	clear(r.parts)
	r.effects, r.parts = r.effects[:0], r.parts[:0]
}

// full tells whether the effects are enough for one batch.
func (r *reading) full() bool { return len(r.effects) >= mostEffects }

// take reads a command that ends at the offset. Where it has more effects than fit, whole is
// false, and rest reads on when the effects were taken.
func (r *reading) take(ctx context.Context, a arguments, end int64) (whole bool, err error) {
	r.arguments, r.end, r.left = a, end, 1
	return r.rest(ctx)
}

func (r *reading) rest(ctx context.Context) (whole bool, err error) {
	r.first, r.left = r.left, 0
	c := r.named(r.of(0))
	switch {
	case !c.elsewhere && r.database != r.interest.Database:
	case c.tell != nil:
		c.tell(r, c)
	default:
		if err := r.tellByPlaces(ctx, c); err != nil {
			return false, err
		}
	}
	if r.left > 0 {
		return false, nil
	}
	if !c.stays && !r.transaction {
		r.safe = Point{Offset: r.end, Database: r.database}
	}
	return true, nil
}

// named is what is known of a name.
func (r *reading) named(spelling []byte) *command {
	if c, known := r.commands[string(spelling)]; known {
		return c
	}
	if len(spelling) > longestName {
		return &command{name: "a command without a name", keys: &places{unknown: true}}
	}
	name := strings.ToUpper(string(spelling))
	c := commands[name]
	c.name = name
	if len(r.commands) >= mostNames {
		clear(r.commands)
	}
	r.commands[string(spelling)] = &c
	return &c
}

// key adds an effect on a key, if it is one of those that are asked for.
func (r *reading) key(c *command, key []byte, word Word) *Effect {
	if key == nil {
		return r.none(c, Unknown)
	}
	for i, prefix := range r.interest.Prefixes {
		if len(key) >= len(prefix) && string(key[:len(prefix)]) == prefix {
			e := r.add(c, word)
			e.Prefix, e.Key = i, key
			return e
		}
	}
	return nil
}

// none adds an effect that names no key, once for a command.
func (r *reading) none(c *command, word Word) *Effect {
	if n := len(r.effects); n > 0 && r.effects[n-1].Offset == r.end && r.effects[n-1].Word == word {
		return &r.effects[n-1]
	}
	return r.add(c, word)
}

func (r *reading) add(c *command, word Word) *Effect {
	if n := len(r.effects); n < cap(r.effects) {
		// It was cleared.
		r.effects = r.effects[:n+1]
	} else {
		r.effects = append(r.effects, Effect{})
	}
	e := &r.effects[len(r.effects)-1]
	e.Prefix, e.Word, e.Command, e.Before, e.Offset = -1, word, c.name, r.safe, r.end
	return e
}

// some returns every step-th argument from the first one to the one before end, or nil
// where there is none, or one was not kept.
func (r *reading) some(first, end, step int) [][]byte {
	from := len(r.parts)
	for i := first; i < end; i += step {
		part := r.of(i)
		if part == nil {
			r.parts = r.parts[:from]
			return nil
		}
		r.parts = append(r.parts, part)
	}
	if from == len(r.parts) {
		return nil
	}
	return r.parts[from:len(r.parts):len(r.parts)]
}

// number reads an argument that is a number, such as that of a database. Another one is
// -1, which is no number of any.
func (r *reading) number(i int) int {
	n, err := strconv.Atoi(string(r.of(i)))
	if err != nil {
		return -1
	}
	return n
}

// is tells whether an argument is the word, which is in capitals.
func (r *reading) is(i int, word string) bool {
	return len(r.of(i)) == len(word) && bytes.EqualFold(r.of(i), []byte(word))
}
