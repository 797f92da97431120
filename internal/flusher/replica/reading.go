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
	arguments
	end int64
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

// mostNames is how many spellings of commands are remembered: a server has some 400
// commands, and hands on what an application wrote, in capitals or not.
const mostNames = 4096

func newReading(keys catalogue, at Point) *reading {
	return &reading{interest: &Interest{}, catalogue: keys, commands: map[string]*command{}, safe: at, database: at.Database}
}

// reset forgets the effects, whose bytes are about to go.
func (r *reading) reset() {
	clear(r.effects)
	clear(r.parts)
	r.effects, r.parts = r.effects[:0], r.parts[:0]
}

// take reads one command, which ends at the offset.
func (r *reading) take(ctx context.Context, a arguments, end int64) error {
	r.arguments, r.end = a, end
	c := r.named(a.of(0))
	switch {
	case !c.elsewhere && r.database != r.interest.Database:
	case c.tell != nil:
		c.tell(r, c)
	default:
		if err := r.tellByPlaces(ctx, c); err != nil {
			return err
		}
	}
	if !c.stays && !r.transaction {
		r.safe = Point{Offset: end, Database: r.database}
	}
	return nil
}

// named is what is known of a name. A name that was not kept is no command's.
func (r *reading) named(spelling []byte) *command {
	if c, known := r.commands[string(spelling)]; known {
		return c
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
			return r.add(Effect{Prefix: i, Key: key, Word: word, Command: c.name, Before: r.safe, Offset: r.end})
		}
	}
	return nil
}

// none adds an effect that names no key, once for a command.
func (r *reading) none(c *command, word Word) *Effect {
	if n := len(r.effects); n > 0 && r.effects[n-1].Offset == r.end && r.effects[n-1].Word == word {
		return &r.effects[n-1]
	}
	return r.add(Effect{Prefix: -1, Word: word, Command: c.name, Before: r.safe, Offset: r.end})
}

func (r *reading) add(e Effect) *Effect {
	r.effects = append(r.effects, e)
	return &r.effects[len(r.effects)-1]
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
