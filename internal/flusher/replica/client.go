// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	cachev1alpha1 "github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/journal"
)

// Client reads keys of a server on ordinary connections.
type Client struct {
	settings config.RedisExternal
	rdb      *redis.Client
	proof    *journal.Proof
	// journal puts errors into words.
	journal *journal.Journal
	// most is MostSurveyed, but in tests.
	most int
}

var _ Server = (*Client)(nil)

// NewClient reads from the server of the settings by an open client, which it closes.
func NewClient(settings config.RedisExternal, rdb *redis.Client) *Client {
	return &Client{
		settings: settings, rdb: rdb, proof: journal.NewProof(settings), most: MostSurveyed,
		journal: journal.New(rdb).WithMaster(settings.MasterName).WithRights(rights),
	}
}

// Read answers all asks in one transaction, with what INFO says of the stream at that moment.
func (c *Client) Read(ctx context.Context, asks []Ask) (Reading, error) {
	var texts []string
	var together *redis.SliceCmd
	replies := make([]reply, len(asks))
	pipe := c.rdb.TxPipeline()
	for i := range asks {
		if asks[i].Question == Text {
			texts = append(texts, asks[i].Key)
		} else {
			replies[i] = askOf(ctx, pipe, &asks[i])
		}
	}
	if len(texts) > 0 {
		together = pipe.MGet(ctx, texts...)
	}
	info := pipe.Info(ctx, "replication")
	// Its error is that of the first command which has one. A key of another type is none.
	_, err := pipe.Exec(ctx)
	if info.Err() != nil {
		return Reading{}, fmt.Errorf("read keys: %w", errors.Join(info.Err(), err))
	}
	reading, err := readingOf(info.Val())
	if err != nil {
		return Reading{}, fmt.Errorf("read keys: %w", err)
	}
	var values []any
	if together != nil {
		if values, err = together.Result(); err != nil {
			return Reading{}, fmt.Errorf("read keys: %w", err)
		}
	}
	reading.Answers = make([]Answer, len(asks))
	for i := range asks {
		a := &reading.Answers[i]
		if replies[i] != nil {
			if *a, err = replies[i](); err != nil {
				return Reading{}, fmt.Errorf("read keys: %w", err)
			}
			continue
		}
		value, ok := values[0].(string)
		values = values[1:]
		if a.Found, a.Value = There, value; !ok {
			a.Found = Unsure
		}
	}
	c.nameTypes(ctx, asks, reading.Answers)
	return reading, nil
}

// nameTypes asks for the types of keys that hold something else. They are for a person to read:
// one that is not answered, or has changed since, is not named.
func (c *Client) nameTypes(ctx context.Context, asks []Ask, answers []Answer) {
	kinds := make(map[int]*redis.StatusCmd)
	pipe := c.rdb.Pipeline()
	for i := range answers {
		if answers[i].Found == OfAnotherType && answers[i].Type == "" {
			kinds[i] = pipe.Type(ctx, asks[i].Key)
		}
	}
	if len(kinds) == 0 {
		return
	}
	_, _ = pipe.Exec(ctx)
	for i, kind := range kinds {
		if kind.Err() == nil && kind.Val() != "none" {
			answers[i].Type = kind.Val()
		}
	}
}

// reply makes an answer of what the server said.
type reply func() (Answer, error)

// askOf puts a question into the transaction.
func askOf(ctx context.Context, pipe redis.Pipeliner, ask *Ask) reply {
	switch ask.Question {
	case SureText:
		kind, text := pipe.Type(ctx, ask.Key), pipe.Get(ctx, ask.Key)
		return func() (Answer, error) {
			switch kind.Val() {
			case "none":
				return Answer{Found: Gone}, kind.Err()
			case "string":
				return Answer{Found: There, Value: text.Val()}, text.Err()
			}
			return Answer{Found: OfAnotherType, Type: kind.Val()}, kind.Err()
		}
	case Hash:
		all := pipe.HGetAll(ctx, ask.Key)
		return func() (Answer, error) {
			a := Answer{Found: There, Whole: true}
			for field, value := range all.Val() {
				a.Pairs = append(a.Pairs, field, value)
			}
			if len(a.Pairs) == 0 {
				a.Found = Gone
			}
			return orOfAnotherType(a, all.Err())
		}
	case Fields:
		length, some := pipe.HLen(ctx, ask.Key), pipe.HMGet(ctx, ask.Key, ask.Members...)
		return func() (Answer, error) { return fieldsOf(ask.Members, length, some) }
	}
	return askOfMembers(ctx, pipe, ask)
}

// askOfMembers puts a question into the transaction about a set or a stream.
func askOfMembers(ctx context.Context, pipe redis.Pipeliner, ask *Ask) reply {
	switch ask.Question {
	case Nothing:
		return func() (Answer, error) { return Answer{Found: There}, nil }
	case Score:
		// As the server writes it, but for infinity, of which databases know no plus.
		score := pipe.Do(ctx, "ZSCORE", ask.Key, ask.Members[0])
		return func() (Answer, error) {
			if errors.Is(score.Err(), redis.Nil) {
				return Answer{Found: Gone}, nil
			}
			text, ok := score.Val().(string)
			if number, isNumber := score.Val().(float64); !ok && isNumber {
				text = strings.ToLower(strings.TrimPrefix(strconv.FormatFloat(number, 'g', -1, 64), "+"))
			}
			return orOfAnotherType(Answer{Found: There, Value: text}, score.Err())
		}
	case Board:
		all := pipe.ZRange(ctx, ask.Key, 0, -1)
		return func() (Answer, error) {
			a := Answer{Found: There, Pairs: all.Val()}
			if len(a.Pairs) == 0 {
				a.Found = Gone
			}
			return orOfAnotherType(a, all.Err())
		}
	case Entries:
		from, count := "-", int64(entriesAtOnce)
		if ask.Members != nil {
			from = ask.Members[0]
		}
		some := pipe.XRangeN(ctx, ask.Key, from, "+", count)
		return func() (Answer, error) {
			a := Answer{Found: There, More: int64(len(some.Val())) == count}
			for _, message := range some.Val() {
				a.Pairs = append(a.Pairs, message.ID)
			}
			if len(a.Pairs) == 0 {
				a.Found = Gone
			}
			return orOfAnotherType(a, some.Err())
		}
	case OneEntry:
		one := pipe.Do(ctx, "XRANGE", ask.Key, ask.Members[0], ask.Members[0])
		return func() (Answer, error) { return orOfAnotherType(streamEntryOf(one.Val()), one.Err()) }
	}
	return func() (Answer, error) { return Answer{}, fmt.Errorf("there is no question %d", ask.Question) }
}

// streamEntryOf reads the answer to XRANGE of one id, whose fields have an order, and may come
// twice.
func streamEntryOf(answer any) Answer {
	entries, _ := answer.([]any)
	if len(entries) == 0 {
		return Answer{Found: Gone}
	}
	a := Answer{Found: There, Whole: true}
	if one, _ := entries[0].([]any); len(one) > 1 {
		fields, _ := one[1].([]any)
		for _, field := range fields {
			text, _ := field.(string)
			a.Pairs = append(a.Pairs, text)
		}
	}
	return a
}

// fieldsOf tells from the number of all fields whether those that were asked for are all.
func fieldsOf(fields []string, length *redis.IntCmd, some *redis.SliceCmd) (Answer, error) {
	a := Answer{Found: There}
	for i, value := range some.Val() {
		if text, ok := value.(string); ok {
			a.Pairs = append(a.Pairs, fields[i], text)
		} else {
			a.Absent = append(a.Absent, fields[i])
		}
	}
	a.Whole = int64(len(a.Pairs)/2) == length.Val()
	if length.Val() == 0 {
		a.Found = Gone
	}
	return orOfAnotherType(a, errors.Join(length.Err(), some.Err()))
}

// orOfAnotherType is the answer, unless the key is of another type.
func orOfAnotherType(a Answer, err error) (Answer, error) {
	switch {
	case err == nil:
		return a, nil
	case strings.Contains(err.Error(), "WRONGTYPE"):
		return Answer{Found: OfAnotherType}, nil
	}
	return Answer{}, err
}

// Look is a Reading of nothing.
func (c *Client) Look(ctx context.Context) (Reading, error) {
	info, err := c.rdb.Info(ctx, "replication").Result()
	if err != nil {
		return Reading{}, fmt.Errorf("look at the replication: %w", err)
	}
	return readingOf(info)
}

// readingOf is what INFO says of the stream. Valkey names fields as Redis does.
func readingOf(info string) (Reading, error) {
	field := func(name string) string {
		for line := range strings.Lines(info) {
			if value, ok := strings.CutPrefix(line, name+":"); ok {
				return strings.TrimSpace(value)
			}
		}
		return ""
	}
	role := field("role")
	r := Reading{ID: field("master_replid"), Replica: role != "master" && role != "primary"}
	var err error
	r.Offset, err = strconv.ParseInt(field("master_repl_offset"), 10, 64)
	second, before := strconv.ParseInt(field("second_repl_offset"), 10, 64)
	if err != nil || before != nil || r.ID == "" {
		return Reading{}, errors.New("INFO replication does not say how far the stream has come")
	}
	// A server that does not tell is not hurried.
	r.Backlog, _ = strconv.ParseInt(field("repl_backlog_size"), 10, 64)
	if second >= 0 {
		// The offset is the first that the two do not share.
		r.Before, r.Branch = field("master_replid2"), second-1
	}
	return r, nil
}

// scanCount is about how many keys the server looks at in one step of a scan: 1,000 take it
// less than a millisecond.
const scanCount = 1000

// Scan lists keys that begin with the prefix.
func (c *Client) Scan(ctx context.Context, prefix string, cursor uint64) (keys []string, next uint64, err error) {
	keys, next, err = c.rdb.Scan(ctx, cursor, globOf(prefix)+"*", scanCount).Result()
	if err != nil {
		return nil, 0, fmt.Errorf("scan keys of prefix %q: %w", prefix, err)
	}
	return keys, next, nil
}

// globOf is a pattern that only the text itself matches.
func globOf(text string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`).Replace(text)
}

// Witness reads a count. One that nobody can have written counts as none.
func (c *Client) Witness(ctx context.Context, key string) (int64, error) {
	return witnessOf(c.rdb.Get(ctx, key))
}

func witnessOf(answer *redis.StringCmd) (int64, error) {
	count, err := answer.Int64()
	var number *strconv.NumError
	if errors.Is(err, redis.Nil) || errors.As(err, &number) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read the witness: %w", err)
	}
	return count, nil
}

// Testify raises a count on one connection, behind which there is one server: what it says of
// itself holds for the count, too.
func (c *Client) Testify(ctx context.Context, key, id string, least int64) (int64, error) {
	conn := c.rdb.Conn()
	defer func() { _ = conn.Close() }()
	info, err := conn.Info(ctx, "replication").Result()
	if err != nil {
		return 0, fmt.Errorf("write the witness: %w", err)
	}
	switch reading, err := readingOf(info); {
	case err != nil:
		return 0, err
	case reading.Replica || reading.ID != id:
		return 0, fmt.Errorf("%w: the witness is of %s, the server is of %s", ErrOtherServer, id, reading.ID)
	}
	// One that read the source before may be at work still.
	count, err := witnessOf(conn.Get(ctx, key))
	if err != nil {
		return 0, err
	}
	count = max(count+1, least)
	if err := conn.Set(ctx, key, count, 0).Err(); err != nil {
		return 0, fmt.Errorf("write the witness: %w", err)
	}
	return count, nil
}

// Check tells whether the server is a primary that can be read.
func (c *Client) Check(ctx context.Context) config.Check {
	info, err := c.rdb.Info(ctx, "server", "replication").Result()
	if err == nil {
		err = journal.Suits(info)
	}
	if err != nil {
		return c.Explain(err)
	}
	return config.Check{OK: true}
}

// Prove makes a connection with the credentials as they are now, if they have changed.
func (c *Client) Prove(ctx context.Context) error { return c.proof.Check(ctx) }

// Durability tells what endangers what the server confirmed.
func (c *Client) Durability(ctx context.Context) (persistence, eviction config.Check) {
	return c.journal.Durability(ctx)
}

// Explain puts an error into the words of a condition.
func (c *Client) Explain(err error) config.Check {
	if errors.Is(err, ErrOtherServer) {
		return config.Check{Reason: cachev1alpha1.ReasonConnectionFailed, Message: "the address leads to more than one Redis, or a fail-over is under way: " + err.Error()}
	}
	return c.journal.Explain(err)
}

// Close closes the connections.
func (c *Client) Close() error { return c.rdb.Close() }
