// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/writebehind/operator/test/programs"
)

// noCatalogue is a server that knows no command.
type noCatalogue struct{}

func (noCatalogue) places(context.Context, string) (*places, error) {
	return &places{unknown: true}, nil
}

func (noCatalogue) written(context.Context, []string) ([]string, bool, error) { return nil, false, nil }

// says is an effect as a test writes it down.
func says(e Effect) string {
	said := []string{e.Command, e.Word.String()}
	if e.Prefix >= 0 {
		said = append(said, string(e.Key))
	}
	if e.HasValue {
		said = append(said, "= "+string(e.Value))
	}
	mark := "/"
	if e.OfHash {
		mark = "."
	}
	for _, member := range e.Members {
		said = append(said, mark+string(member))
	}
	if e.Word == Appended {
		said = append(said, "@"+string(e.ID))
		for _, field := range e.Fields {
			said = append(said, ":"+string(field))
		}
	}
	return strings.Join(said, " ")
}

// told are the effects of a stream that arrives at once, for the prefix k and database 0.
func told(t *testing.T, keys catalogue, text []byte) []string {
	t.Helper()
	p, r := newParser(0, usualBuffer), newReading(keys, Point{})
	r.interest = &Interest{Prefixes: []string{"k"}}
	p.buffer = append(p.buffer, text...)
	for {
		command, whole, err := p.next()
		if err != nil {
			t.Fatal(err)
		}
		if !whole {
			break
		}
		if _, err := r.take(t.Context(), command, p.offset); err != nil {
			t.Fatal(err)
		}
	}
	var all []string
	for _, e := range r.effects {
		all = append(all, says(e))
	}
	return all
}

// sayings are commands, separated by |, and what they say.
var sayings = map[string][]string{
	"SET k1 v":                                    {"SET Written k1 = v"},
	"set k1 v PXAT 1700000000000":                 {"SET Written k1 = v"},
	"SET other v":                                 nil,
	"SETNX k1 v":                                  {"SETNX Written k1 = v"},
	"MSET k1 a other b k2 c":                      {"MSET Written k1 = a", "MSET Written k2 = c"},
	"MSETNX k1 a":                                 {"MSETNX Written k1 = a"},
	"DEL k1 other k2":                             {"DEL Deleted k1", "DEL Deleted k2"},
	"UNLINK k1":                                   {"UNLINK Unlinked k1"},
	"HSET k1 f v g w":                             {"HSET Written k1 .f .g"},
	"HMSET k1 f v":                                {"HMSET Written k1 .f"},
	"HSETNX k1 f v":                               {"HSETNX Written k1 .f"},
	"HINCRBY k1 f 1":                              {"HINCRBY Written k1 .f"},
	"HINCRBYFLOAT k1 f 1.5":                       {"HINCRBYFLOAT Written k1 .f"},
	"HDEL k1 f g":                                 {"HDEL Written k1 .f .g"},
	"HSETEX k1 PX 100 FIELDS 2 f v g w":           {"HSETEX Written k1 .f .g"},
	"HSETEX k1 FIELDS 1 f v FXX EX 100":           {"HSETEX Written k1 .f"},
	"HSETEX k1 f v":                               {"HSETEX Written k1"},
	"ZADD k1 1 m 2 n":                             {"ZADD Written k1 /m /n"},
	"ZADD k1 GT CH 1 m":                           {"ZADD Written k1 /m"},
	"ZADD k1 nx INCR 1 XX":                        {"ZADD Written k1 /XX"},
	"ZINCRBY k1 1 m":                              {"ZINCRBY Written k1 /m"},
	"ZREM k1 m n":                                 {"ZREM Written k1 /m /n"},
	"XADD k1 1-1 f v":                             {"XADD Appended k1 @1-1 :f :v"},
	"XADD k1 MAXLEN = 10 1-1 f v":                 {"XADD Appended k1 @1-1 :f :v"},
	"XADD k1 maxlen 10 LIMIT 5 1-1 f v":           {"XADD Appended k1 @1-1 :f :v"},
	"XADD k1 NOMKSTREAM MINID ~ 5-1 7-0 f v g w":  {"XADD Appended k1 @7-0 :f :v :g :w"},
	"XADD k1 KEEPREF IDMP p i MAXLEN ~ 1 1-1 f v": {"XADD Appended k1 @1-1 :f :v"},
	"XADD k1 IDMPAUTO p ACKED MAXLEN ~ 1 1-1 f v": {"XADD Appended k1 @1-1 :f :v"},
	"XADD k1 NEWER 1-1 f v":                       {"XADD Written k1"},
	"XADD k1 * f v":                               {"XADD Written k1"},
	"XADD k1 1-1 f":                               {"XADD Written k1"},
	"EXPIRE k1 10":                                nil,
	"PEXPIREAT k1 10":                             nil,
	"PERSIST k1":                                  nil,
	"HPEXPIREAT k1 10 FIELDS 1 f":                 nil,
	"XACK k1 g 1-1":                               nil,
	"XDEL k1 1-1":                                 nil,
	"XTRIM k1 MAXLEN = 1":                         nil,
	"FLUSHALL ASYNC":                              {"FLUSHALL Flushed"},
	"FLUSHDB":                                     {"FLUSHDB Flushed"},
	"SWAPDB 1 0":                                  {"SWAPDB Unknown"},
	"SWAPDB 1 2":                                  nil,
	"MOVE k1 3":                                   {"MOVE Written k1"},
	"COPY k1 k2":                                  {"COPY Written k2"},
	"COPY k1 k2 DB 1 REPLACE":                     nil,
	"COPY other k2 REPLACE DB 0":                  {"COPY Written k2"},
	"UNHEARD k1":                                  {"UNHEARD Unknown"},
	"PING":                                        nil,
	"REPLCONF GETACK *":                           nil,
	"SELECT 1|SET k1 v|DEL k1|FLUSHDB":            nil,
	"SELECT 1|UNHEARD k1":                         nil,
	"SELECT 1|FLUSHALL":                           {"FLUSHALL Flushed"},
	"SELECT 1|SWAPDB 0 1":                         {"SWAPDB Unknown"},
	"SELECT 1|MOVE k1 0":                          {"MOVE Written k1"},
	"SELECT 1|MOVE k1 2":                          nil,
	"SELECT 1|COPY k1 k2 DB 0":                    {"COPY Written k2"},
	"SELECT 1|COPY k1 k2":                         nil,
	"SELECT 1|SELECT 0|SET k1 v":                  {"SET Written k1 = v"},
}

// commandsOf are the commands of a saying.
func commandsOf(saying string) (commands [][]string) {
	for one := range strings.SplitSeq(saying, "|") {
		commands = append(commands, strings.Fields(one))
	}
	return commands
}

func TestEachCommandSaysWhatItDid(t *testing.T) {
	for saying, want := range sayings {
		if diff := cmp.Diff(want, told(t, noCatalogue{}, stream(commandsOf(saying)...))); diff != "" {
			t.Errorf("%s: %s", saying, diff)
		}
	}
}

// TestAnEffectSaysWhereItIsMetAgain: never inside of a transaction, and with the database
// that is selected there; pings and questions move nothing.
func TestAnEffectSaysWhereItIsMetAgain(t *testing.T) {
	begin := Point{Offset: 1000, Database: 2}
	p, r := newParser(begin.Offset, usualBuffer), newReading(noCatalogue{}, begin)
	r.interest = &Interest{Prefixes: []string{"k"}}
	at, safe := begin.Offset, begin
	for _, s := range []struct {
		command string
		told    bool
		// moves means that the safe point is behind the command then, with the database.
		moves    bool
		database int
	}{
		{command: "SELECT 0"},
		{command: "SET k1 v", told: true, moves: true},
		{command: "PING"},
		{command: "SET k1 v", told: true, moves: true},
		{command: "REPLCONF GETACK *"},
		{command: "SELECT 1"},
		{command: "MULTI"},
		{command: "SELECT 0"},
		{command: "SET k1 v", told: true},
		{command: "DEL k2", told: true},
		{command: "SELECT 3"},
		{command: "EXEC", moves: true, database: 3},
		{command: "PUBLISH c m", moves: true, database: 3},
	} {
		text := stream(strings.Fields(s.command))
		at += int64(len(text))
		if err := p.fill(bytes.NewReader(text)); err != nil {
			t.Fatal(err)
		}
		command, whole, err := p.next()
		if err != nil || !whole {
			t.Fatalf("%s: whole %v, %v", s.command, whole, err)
		}
		r.reset()
		if _, err := r.take(t.Context(), command, p.offset); err != nil {
			t.Fatal(err)
		}
		if len(r.effects) > 0 != s.told {
			t.Errorf("%s has effects %v", s.command, r.effects)
		}
		for _, e := range r.effects {
			if e.Before != safe || e.Offset != at {
				t.Errorf("%s is met again from %v on, want %v, and ends at %d, want %d", s.command, e.Before, safe, e.Offset, at)
			}
		}
		if s.moves {
			safe = Point{Offset: at, Database: s.database}
		}
		if r.safe != safe {
			t.Errorf("behind %s the safe point is %v, want %v", s.command, r.safe, safe)
		}
	}
	if !r.asked {
		t.Error("the question for an acknowledgement was not noticed")
	}
}

// TestWhatIsTooLongIsStillTold: a command is never overlooked because parts of it were not
// kept.
func TestWhatIsTooLongIsStillTold(t *testing.T) {
	long := strings.Repeat("x", mostKept+1)
	for name, c := range map[string]struct {
		command []string
		want    []string
	}{
		"a value":              {[]string{"SET", "k1", long}, []string{"SET Written k1"}},
		"a value among others": {[]string{"MSET", "k1", "a", "k2", long, "k3", "c"}, []string{"MSET Written k1 = a", "MSET Written k2", "MSET Written k3 = c"}},
		"a field":              {[]string{"HSET", "k1", "f", "v", long, "w"}, []string{"HSET Written k1"}},
		"a field's value":      {[]string{"HSET", "k1", "f", long}, []string{"HSET Written k1 .f"}},
		"a member":             {[]string{"ZREM", "k1", long}, []string{"ZREM Written k1"}},
		"an entry":             {[]string{"XADD", "k1", "1-1", "f", long}, []string{"XADD Written k1"}},
		"a key":                {[]string{"SET", long, "v"}, []string{"SET Unknown"}},
		"two keys":             {[]string{"DEL", long, "k1", long + long}, []string{"DEL Unknown", "DEL Deleted k1", "DEL Unknown"}},
	} {
		if diff := cmp.Diff(c.want, told(t, noCatalogue{}, stream(c.command))); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// oneCatalogue answers for one command, and counts the questions.
type oneCatalogue struct {
	keys      *places
	answer    []string
	unsure    bool
	err       error
	questions []string
}

func (c *oneCatalogue) places(_ context.Context, name string) (*places, error) {
	c.questions = append(c.questions, name)
	if c.keys.container && strings.Contains(name, "|") {
		return &places{stretches: []stretch{{index: 2, step: 1}}}, c.err
	}
	return c.keys, c.err
}

func (c *oneCatalogue) written(_ context.Context, command []string) ([]string, bool, error) {
	c.questions = append(c.questions, fmt.Sprint(command))
	return c.answer, !c.unsure, c.err
}

func TestKeysAreWhereTheServerSays(t *testing.T) {
	for name, c := range map[string]struct {
		keys    places
		command string
		want    string
	}{
		"one":                          {places{stretches: []stretch{{index: 1, step: 1}}}, "C k1 k2", "k1"},
		"none":                         {places{}, "C k1", ""},
		"two runs":                     {places{stretches: []stretch{{index: 1, step: 1}, {index: 3, step: 1}}}, "C k1 k2 k3", "k1 k3"},
		"all":                          {places{stretches: []stretch{{index: 1, last: -1, step: 1}}}, "C k1 k2 k3", "k1 k2 k3"},
		"all but the last":             {places{stretches: []stretch{{index: 1, last: -2, step: 1}}}, "C k1 k2 k3", "k1 k2"},
		"every second":                 {places{stretches: []stretch{{index: 1, last: -1, step: 2}}}, "C k1 k2 k3 k4", "k1 k3"},
		"half":                         {places{stretches: []stretch{{index: 1, last: -1, limit: 2, step: 1}}}, "C k1 k2 k3 k4", "k1 k2"},
		"counted":                      {places{stretches: []stretch{{index: 1, counted: true, firstAt: 1, step: 1}}}, "C 2 k1 k2 k3", "k1 k2"},
		"counted, but more than there": {places{stretches: []stretch{{index: 1, counted: true, firstAt: 1, step: 1}}}, "C 9 k1 k2", "k1 k2"},
		"counted by no number":         {places{stretches: []stretch{{index: 1, counted: true, firstAt: 1, step: 1}}}, "C x k1 k2", ""},
		"behind a word":                {places{stretches: []stretch{{index: 1, keyword: "STORE", step: 1}}}, "C k1 x store k2 k3", "k2"},
		"behind a word from the end":   {places{stretches: []stretch{{index: -2, keyword: "KEYS", last: -1, step: 1}}}, "C KEYS k1 KEYS k2 k3", "k2 k3"},
		"without the word":             {places{stretches: []stretch{{index: 1, keyword: "STORE", step: 1}}}, "C k1 x k2", ""},
		"behind the end":               {places{stretches: []stretch{{index: 5, step: 1}}}, "C k1", ""},
	} {
		var want []string
		for key := range strings.FieldsSeq(c.want) {
			want = append(want, "C Written "+key)
		}
		server := &oneCatalogue{keys: &c.keys}
		got := told(t, server, stream(strings.Fields(c.command), strings.Fields(c.command)))
		if diff := cmp.Diff(append(want, want...), got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		if len(server.questions) != 1 {
			t.Errorf("%s: the server was asked %q", name, server.questions)
		}
	}
}

func TestTheServerIsAskedWhereItDoesNotSayInGeneral(t *testing.T) {
	command := stream([]string{"C", "k1", "k2"}, []string{"c", "k3"})
	server := &oneCatalogue{keys: &places{asks: true}, answer: []string{"k9", "other"}}
	if diff := cmp.Diff([]string{"C Written k9", "C Written k9"}, told(t, server, command)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"C", "[C k1 k2]", "C", "[c k3]"}, server.questions); diff != "" {
		t.Error(diff)
	}
	server = &oneCatalogue{keys: &places{asks: true}, unsure: true}
	if diff := cmp.Diff([]string{"C Unknown", "C Unknown"}, told(t, server, command)); diff != "" {
		t.Error(diff)
	}
	server = &oneCatalogue{keys: &places{container: true}}
	if diff := cmp.Diff([]string{"C|PART Written k1"}, told(t, server, stream([]string{"c", "part", "k1"}))); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"C Unknown"}, told(t, server, stream([]string{"c"}))); diff != "" {
		t.Error(diff)
	}
}

// TestACommandThatCannotBeAskedAboutIsNotPassed: what was read before it is told, and whoever
// attaches again meets it.
func TestACommandThatCannotBeAskedAboutIsNotPassed(t *testing.T) {
	server := &oneCatalogue{err: errors.New("gone"), keys: &places{}}
	p, r := newParser(0, usualBuffer), newReading(server, Point{})
	r.interest = &Interest{Prefixes: []string{"k"}}
	first := stream([]string{"SET", "k1", "v"})
	p.buffer = append(append(p.buffer, first...), stream([]string{"C", "k1"})...)
	s := &Stream{parser: p, reading: r, life: t.Context()}
	if err := s.takeAll(); !errors.Is(err, server.err) {
		t.Fatal(err)
	}
	if end := int64(len(first)); s.read != end || r.safe.Offset != end || len(r.effects) != 1 {
		t.Errorf("read to %d, safe %v, effects %v", s.read, r.safe, r.effects)
	}
}

// TestACommandOfManyKeysIsToldInParts: each of them once, and the stream is read to its end
// only when all of them were told.
func TestACommandOfManyKeysIsToldInParts(t *testing.T) {
	const many = 2*mostEffects + 3
	for name, step := range map[string]int{"DEL": 1, "MSET": 2} {
		words := []string{name}
		for i := range many * step {
			words = append(words, fmt.Sprintf("k%d", i))
		}
		first, second := stream([]string{"SET", "k0", "v"}), stream(words)
		p, r := newParser(0, usualBuffer), newReading(noCatalogue{}, Point{})
		p.buffer = append(p.buffer, append(append(first, second...), first...)...)
		s := &Stream{parser: p, reading: r, life: t.Context()}
		s.Watch(Interest{Prefixes: []string{"k"}})
		var got []string
		var ends []int64
		for s.read < int64(len(p.buffer)) {
			batch, err := s.Next()
			programs.Must(t, err)
			if len(batch.Effects) > mostEffects || batch.Safe.Offset != batch.Read {
				t.Errorf("%s: %d effects, safe at %v, read to %d", name, len(batch.Effects), batch.Safe, batch.Read)
			}
			for _, e := range batch.Effects {
				if e.Command == name {
					got = append(got, string(e.Key))
					if e.Before.Offset != int64(len(first)) {
						t.Errorf("%s %s is met again from %v on", name, e.Key, e.Before)
					}
				}
			}
			ends = append(ends, batch.Read)
		}
		var want []string
		for i := range many {
			want = append(want, fmt.Sprintf("k%d", i*step))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		before, behind := int64(len(first)), int64(2*len(first)+len(second))
		if diff := cmp.Diff([]int64{before, before, behind}, ends); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// TestANewInterestDoesNotHoldACommandUp of which a part was told.
func TestANewInterestDoesNotHoldACommandUp(t *testing.T) {
	words := []string{"DEL"}
	for range 2 * mostEffects {
		words = append(words, "k")
	}
	p, r := newParser(0, usualBuffer), newReading(noCatalogue{}, Point{})
	p.buffer = append(p.buffer, stream(words)...)
	s := &Stream{parser: p, reading: r, life: t.Context()}
	s.Watch(Interest{Prefixes: []string{"k"}})
	if batch, err := s.Next(); err != nil || len(batch.Effects) != mostEffects || batch.Read != 0 {
		t.Errorf("%d effects, read to %d, %v", len(batch.Effects), batch.Read, err)
	}
	s.Watch(Interest{Database: 1})
	if batch, err := s.Next(); err != nil || len(batch.Effects) != 0 || batch.Read != int64(len(p.buffer)) {
		t.Errorf("%d effects, read to %d, %v", len(batch.Effects), batch.Read, err)
	}
}

// TestSpellingsAreBounded: an application may write a name in many ways.
func TestSpellingsAreBounded(t *testing.T) {
	r := newReading(noCatalogue{}, Point{})
	for i := range 3 * mostNames {
		r.named(fmt.Appendf(nil, "name%d", i))
	}
	r.named(bytes.Repeat([]byte("n"), longestName+1))
	if len(r.commands) > mostNames {
		t.Errorf("%d spellings are kept", len(r.commands))
	}
}
