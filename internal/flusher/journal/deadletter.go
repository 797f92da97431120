// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// Causes of a dead letter.
const (
	// CauseNotAKey says that the rest of the key behind the prefix cannot be the key of
	// a row, whatever the payload.
	CauseNotAKey = "NotAKey"
	// CauseNotADocument says that the payload cannot be a row at all.
	CauseNotADocument = "NotADocument"
	// CauseRefused says that the database refused the row, and every retry of it, or
	// would: of a value that does not fit its column it is not asked.
	CauseRefused = "Refused"
	// CauseValueLost says that the value was gone from Redis.
	CauseValueLost = "ValueLost"
	// CauseStale says that the row in the table has a higher version than the write.
	CauseStale = "Stale"
	// CauseForged says that no function of the library has written the letter.
	CauseForged = "Forged"
)

// DeadLetter is an entry that could not be flushed, set aside with all that is
// known of it.
type DeadLetter struct {
	Key string `json:"key"`
	// Operation is set or delete.
	Operation string `json:"operation"`
	// Version is that of the write; Attempts is how often the database refused it.
	Version  int64 `json:"version"`
	Attempts int   `json:"attempts"`
	// Cause is one of the constants above.
	Cause string `json:"cause"`
	// SQLState, Constraint and Column are what PostgreSQL named, if anything.
	SQLState   string `json:"sqlstate,omitempty"`
	Constraint string `json:"constraint,omitempty"`
	Column     string `json:"column,omitempty"`
	// Message is PostgreSQL's full text, or the engine's. It may quote row values
	// and goes nowhere else.
	Message      string    `json:"message"`
	FirstFailure time.Time `json:"firstFailure"`
	LastFailure  time.Time `json:"lastFailure"`

	// Payload is the document as it was written; empty for a deletion and for a
	// value that is lost. It may be large: DeadLetters leaves it out.
	Payload string `json:"-"`

	// known is the line that the journal has of the letter: it names it.
	known string
	// partition is where the letter was found, if a walk has found it.
	partition string
}

// place are the arguments that name the letter for its discard.
func (l *DeadLetter) place(queue string) []any {
	if l.partition == "" {
		return []any{queue, l.known}
	}
	return []any{queue, l.known, l.partition}
}

// marshal completes the letter from the entry and writes what is known in one
// line. The payload is added by Redis, where it is.
func (l *DeadLetter) marshal(e *Entry) (string, error) {
	if l == nil {
		return "", errors.New("nothing is said of it")
	}
	l.Key, l.Version, l.Operation = e.Key, e.Version, "set"
	if e.Operation == OperationDelete {
		l.Operation = "delete"
	}
	l.FirstFailure = l.LastFailure
	if e.FirstRefused > 0 {
		l.FirstFailure = time.UnixMicro(e.FirstRefused).UTC()
	}
	line, err := json.Marshal(l)
	return string(line), err
}

// ErrNoLetter says that the key has no such dead letter any more: it was replayed,
// discarded or superseded.
var ErrNoLetter = errors.New("there is no such dead letter any more")

// ErrSuperseded says that the key was written again, so that the dead letter must
// not come back over the newer write.
var ErrSuperseded = errors.New("a newer write stands")

// ErrForged says that no function of the library has put the letter where it is: it can
// only be discarded.
var ErrForged = errors.New("it cannot be replayed, only discarded")

// DeadLetters goes through the dead letters of a queue, in no order and without their
// payloads. The walk ends after the first error.
func (j *Journal) DeadLetters(ctx context.Context, queue string) iter.Seq2[*DeadLetter, error] {
	return func(yield func(*DeadLetter, error) bool) {
		partitions, err := j.rdb.HGet(ctx, "wb:{"+queue+"}:queue", "partitions").Int()
		if err != nil {
			yield(nil, fmt.Errorf("read dead letters of queue %s: %w", queue, err))
			return
		}
		for p := range partitions {
			if !j.deadLettersOf(ctx, queue, p, yield) {
				return
			}
		}
	}
}

func (j *Journal) deadLettersOf(ctx context.Context, queue string, partition int, yield func(*DeadLetter, error) bool) bool {
	// A walk with a cursor may meet an element twice.
	seen := make(map[string]bool)
	for cursor := "0"; ; {
		action := fmt.Sprintf("read dead letters of partition %d", partition)
		reply, err := j.callRO(ctx, "wb_engine_known", queue, partition, cursor, j.pieces.letters, j.pieces.letterBytes).Slice()
		if err != nil {
			yield(nil, fmt.Errorf("%s: %w", action, err))
			return false
		}
		r := reader{values: reply}
		cursor = r.text()
		list := reader{values: r.list()}
		if err := r.done(action); err != nil {
			yield(nil, err)
			return false
		}
		for list.more() {
			key, known := list.text(), list.text()
			if seen[key] {
				continue
			}
			seen[key] = true
			letter := parseLetter(key, known)
			letter.partition = strconv.Itoa(partition)
			if !yield(letter, nil) {
				return false
			}
		}
		if cursor == "0" {
			return true
		}
	}
}

// letterParts are what is known of a letter, and its payload.
const letterParts = 2

// DeadLetter returns the key's dead letter whole, or ErrNoLetter.
func (j *Journal) DeadLetter(ctx context.Context, queue, key string) (*DeadLetter, error) {
	parts, err := j.rdb.FCallRO(ctx, "wb_engine_letter", []string{key}, queue).StringSlice()
	switch {
	case errors.Is(err, redis.Nil):
		return nil, fmt.Errorf("read dead letter of %s: %w", key, ErrNoLetter)
	case err != nil:
		return nil, fmt.Errorf("read dead letter of %s: %w", key, interpret(err))
	}
	if len(parts) != letterParts {
		return nil, fmt.Errorf("read dead letter of %s: %w", key, errOtherRelease)
	}
	letter := parseLetter(key, parts[0])
	letter.Payload = parts[1]
	return letter, nil
}

func parseLetter(key, known string) *DeadLetter {
	letter := &DeadLetter{known: known}
	if err := json.Unmarshal([]byte(known), letter); err != nil || letter.Operation != "set" && letter.Operation != "delete" {
		letter = &DeadLetter{known: known, Cause: CauseForged, Message: "this is no dead letter of the journal: it can only be discarded"}
	}
	// JSON holds text only; a key may be any bytes.
	letter.Key = key
	return letter
}

// Replay writes the letter's payload anew, with a new version, if nothing newer was
// written to its key. It returns the version.
func (j *Journal) Replay(ctx context.Context, queue string, letter *DeadLetter) (int64, error) {
	version, err := j.rdb.FCall(ctx, "wb_engine_replay", []string{letter.Key}, queue, letter.known).Int64()
	if err != nil {
		err = interpret(err)
		if j.isPlanted(ctx, queue, letter, err) {
			err = fmt.Errorf("%w: %w", ErrForged, err)
		}
		return 0, fmt.Errorf("replay %s: %w", letter.Key, err)
	}
	return version, nil
}

// isPlanted tells of a letter that could not be replayed whether it is not in the format
// of the journal, or still stands where a walk has found it, which is no place of its key.
func (j *Journal) isPlanted(ctx context.Context, queue string, letter *DeadLetter, err error) bool {
	if strings.Contains(err.Error(), "not in the format of the journal") {
		return true
	}
	if letter.partition == "" || !errors.Is(err, ErrNoLetter) && !strings.Contains(err.Error(), "KEY must begin with ") {
		return false
	}
	stands, failed := j.rdb.HGet(ctx, "wb:{"+queue+":"+letter.partition+"}:dlq", letter.Key).Result()
	known, _, _ := strings.Cut(stands, "\n")
	return failed == nil && known == letter.known
}

// Discard gives the letter up.
func (j *Journal) Discard(ctx context.Context, queue string, letter *DeadLetter) error {
	if err := j.rdb.FCall(ctx, "wb_engine_discard", []string{letter.Key}, letter.place(queue)...).Err(); err != nil {
		return fmt.Errorf("discard %s: %w", letter.Key, interpret(err))
	}
	return nil
}
