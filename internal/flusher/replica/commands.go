// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replica

import "bytes"

// commands are those that say more than which keys they wrote, or less, and those of the
// stream itself. A server hands on what a command did: SETEX, GETSET and GETEX, for
// instance, arrive as SET and PEXPIREAT, and a script as what it ran.
var commands = map[string]command{
	"PING":     {tell: nothing, stays: true},
	"REPLCONF": {tell: control, elsewhere: true, stays: true},
	"SELECT":   {tell: selects, elsewhere: true, stays: true},
	"MULTI":    {tell: begins, elsewhere: true},
	"EXEC":     {tell: ends, elsewhere: true},

	"FLUSHDB":  {tell: empties},
	"FLUSHALL": {tell: empties, elsewhere: true},
	"SWAPDB":   {tell: swaps, elsewhere: true},
	"MOVE":     {tell: moves, elsewhere: true},
	"COPY":     {tell: copies, elsewhere: true},

	"SET":    {tell: sets},
	"SETNX":  {tell: sets},
	"MSET":   {tell: setsMany},
	"MSETNX": {tell: setsMany},
	"DEL":    {tell: deletes},
	"UNLINK": {tell: unlinks},

	"HSET":         {tell: writesPairs},
	"HMSET":        {tell: writesPairs},
	"HSETNX":       {tell: writesPairs},
	"HINCRBY":      {tell: writesPairs},
	"HINCRBYFLOAT": {tell: writesPairs},
	"HDEL":         {tell: writesFields},
	"HSETEX":       {tell: writesBehindCount},

	"ZADD":    {tell: scores},
	"ZINCRBY": {tell: addsToScore},
	"ZREM":    {tell: writesMembers},

	"XADD": {tell: appends},

	// They change when a value goes, or who has read an entry, but no value and no entry.
	// What has gone by then is told by DEL, UNLINK or HDEL.
	"EXPIRE":     {tell: nothing},
	"PEXPIRE":    {tell: nothing},
	"EXPIREAT":   {tell: nothing},
	"PEXPIREAT":  {tell: nothing},
	"PERSIST":    {tell: nothing},
	"HEXPIRE":    {tell: nothing},
	"HPEXPIRE":   {tell: nothing},
	"HEXPIREAT":  {tell: nothing},
	"HPEXPIREAT": {tell: nothing},
	"HPERSIST":   {tell: nothing},
	"XGROUP":     {tell: nothing},
	"XREADGROUP": {tell: nothing},
	"XCLAIM":     {tell: nothing},
	"XAUTOCLAIM": {tell: nothing},
	"XACK":       {tell: nothing},
	"XSETID":     {tell: nothing},
	// A row stays when its entry is taken out of the stream.
	"XDEL":    {tell: nothing},
	"XDELEX":  {tell: nothing},
	"XACKDEL": {tell: nothing},
	"XTRIM":   {tell: nothing},
}

func nothing(*reading, *command) {}

func control(r *reading, _ *command) {
	r.asked = r.asked || r.is(1, "GETACK")
}

func selects(r *reading, _ *command) { r.database = r.number(1) }

func begins(r *reading, _ *command) { r.transaction = true }

func ends(r *reading, _ *command) { r.transaction = false }

func empties(r *reading, c *command) { r.none(c, Flushed) }

func swaps(r *reading, c *command) {
	if r.concerns(1) || r.concerns(2) {
		r.none(c, Unknown)
	}
}

// concerns tells whether an argument is the number of the database that is asked for.
func (r *reading) concerns(i int) bool { return r.number(i) == r.interest.Database }

// moves is a key's way from one database to another.
func moves(r *reading, c *command) {
	if r.database == r.interest.Database || r.concerns(2) {
		r.key(c, r.of(1), Written)
	}
}

// copies is a copy in the same database, or in another one.
func copies(r *reading, c *command) {
	here := r.database == r.interest.Database
	for i := 3; i < r.count; i++ {
		if r.is(i, "DB") {
			here = r.concerns(i + 1)
		}
	}
	if here {
		r.key(c, r.of(2), Written)
	}
}

func sets(r *reading, c *command) { r.value(c, 1) }

func setsMany(r *reading, c *command) {
	for i := r.first; i < r.count; i += 2 {
		if r.full() {
			r.left = i
			return
		}
		r.value(c, i)
	}
}

// value tells of a key and the value behind it.
func (r *reading) value(c *command, i int) {
	if e := r.key(c, r.of(i), Written); e != nil && e.Word == Written {
		e.Value = r.of(i + 1)
		e.HasValue = e.Value != nil
	}
}

func deletes(r *reading, c *command) { r.each(c, Deleted) }

func unlinks(r *reading, c *command) { r.each(c, Unlinked) }

func (r *reading) each(c *command, word Word) {
	for i := r.first; i < r.count; i++ {
		if r.full() {
			r.left = i
			return
		}
		r.key(c, r.of(i), word)
	}
}

// members tells of a key with every step-th argument from the first one to the one before
// end.
func (r *reading) members(c *command, first, end, step int) {
	if e := r.key(c, r.of(1), Written); e != nil && e.Word == Written {
		e.Members = r.some(first, end, step)
	}
}

// fields is members of a hash.
func (r *reading) fields(c *command, first, end, step int) {
	if e := r.key(c, r.of(1), Written); e != nil && e.Word == Written {
		e.Members, e.OfHash = r.some(first, end, step), true
	}
}

func writesMembers(r *reading, c *command) { r.members(c, 2, r.count, 1) }

func writesFields(r *reading, c *command) { r.fields(c, 2, r.count, 1) }

// writesPairs names a field in front of what it becomes, or is raised by.
func writesPairs(r *reading, c *command) { r.fields(c, 2, r.count, 2) }

// writesBehindCount has FIELDS, their number and the pairs among words of its own.
func writesBehindCount(r *reading, c *command) {
	for i := 2; i < r.count; i++ {
		if r.is(i, "FIELDS") {
			r.fields(c, i+2, i+2+2*r.number(i+1), 2)
			return
		}
	}
	r.key(c, r.of(1), Written)
}

// scores has words of its own before pairs of a score and a member.
func scores(r *reading, c *command) {
	i := 2
	for i < r.count && (r.is(i, "NX") || r.is(i, "XX") || r.is(i, "GT") || r.is(i, "LT") || r.is(i, "CH") || r.is(i, "INCR")) {
		i++
	}
	r.members(c, i+1, r.count, 2)
}

// addsToScore names the member behind what its score is raised by.
func addsToScore(r *reading, c *command) { r.members(c, 3, r.count, 1) }

// appends tells of an entry of a stream. Where its id cannot be found it tells of the key.
func appends(r *reading, c *command) {
	e := r.key(c, r.of(1), Written)
	if e == nil || e.Word != Written {
		return
	}
	i := r.behindOptions()
	id, fields := r.of(i), r.some(i+1, r.count, 1)
	if isID(id) && len(fields) > 0 && len(fields)%2 == 0 {
		e.Word, e.ID, e.Fields = Appended, id, fields
	}
}

// behindOptions is the place of the id in XADD.
func (r *reading) behindOptions() int {
	i := 2
	for {
		switch {
		case r.is(i, "NOMKSTREAM"), r.is(i, "KEEPREF"), r.is(i, "DELREF"), r.is(i, "ACKED"):
			i++
		case r.is(i, "MAXLEN"), r.is(i, "MINID"):
			if i++; r.is(i, "=") || r.is(i, "~") {
				i++
			}
			i++
		case r.is(i, "LIMIT"), r.is(i, "IDMPAUTO"):
			i += 2
		case r.is(i, "IDMP"):
			i += 3
		default:
			return i
		}
	}
}

// isID tells whether an id is a whole one: two numbers.
func isID(id []byte) bool {
	time, sequence, ok := bytes.Cut(id, []byte("-"))
	return ok && isNumber(time) && isNumber(sequence)
}

func isNumber(text []byte) bool {
	for _, b := range text {
		if b < '0' || b > '9' {
			return false
		}
	}
	return len(text) > 0
}
