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

	"github.com/writebehind/operator/internal/flusher/entry"
)

// place are the arguments that name the letter for its discard.
func place(l *entry.DeadLetter, queue string) []any {
	if l.Partition == "" {
		return []any{queue, l.Raw}
	}
	return []any{queue, l.Raw, l.Partition}
}

// marshal completes the letter from the entry and writes what is known in one
// line. The payload is added by Redis, where it is.
func marshal(l *entry.DeadLetter, e *entry.Entry) (string, error) {
	if l == nil {
		return "", errors.New("the dead letter has no content")
	}
	l.Key, l.Version, l.Operation = e.Key, e.Version, e.Operation.Name
	l.FirstFailure = l.LastFailure
	if e.FirstRefused > 0 {
		l.FirstFailure = time.UnixMicro(e.FirstRefused).UTC()
	}
	line, err := json.Marshal(l)
	return string(line), err
}

// DeadLetters goes through the dead letters of a queue, in no order and without their
// payloads. The walk ends after the first error.
func (j *Journal) DeadLetters(ctx context.Context, queue string) iter.Seq2[*entry.DeadLetter, error] {
	return func(yield func(*entry.DeadLetter, error) bool) {
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

func (j *Journal) deadLettersOf(ctx context.Context, queue string, partition int, yield func(*entry.DeadLetter, error) bool) bool {
	// A walk with a cursor may meet an element twice.
	seen := make(map[string]bool)
	for cursor := "0"; ; {
		action := fmt.Sprintf("read dead letters of partition %d", partition)
		reply, err := j.callRO(ctx, "wb_engine_known", letterSettings(queue, partition, cursor, &j.pieces).argument()).Slice()
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
			letter.Partition = strconv.Itoa(partition)
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

// DeadLetter returns the key's dead letter whole, or entry.ErrNoLetter.
func (j *Journal) DeadLetter(ctx context.Context, queue, key string) (*entry.DeadLetter, error) {
	parts, err := j.rdb.FCallRO(ctx, "wb_engine_letter", []string{key}, queue).StringSlice()
	switch {
	case errors.Is(err, redis.Nil):
		return nil, fmt.Errorf("read dead letter of %s: %w", key, entry.ErrNoLetter)
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

func parseLetter(key, known string) *entry.DeadLetter {
	letter := &entry.DeadLetter{Raw: known}
	if err := json.Unmarshal([]byte(known), letter); err != nil || entry.OperationNamed(letter.Operation) == nil {
		letter = &entry.DeadLetter{Raw: known, Cause: entry.CauseForged, Message: "this is no dead letter of the journal: it can only be discarded"}
	}
	// JSON holds text only; a key may be any bytes.
	letter.Key = key
	return letter
}

// Replay writes the letter's payload anew, with a new version, if nothing newer was
// written to its key. It returns the version.
func (j *Journal) Replay(ctx context.Context, queue string, letter *entry.DeadLetter) (int64, error) {
	version, err := j.rdb.FCall(ctx, "wb_engine_replay", []string{letter.Key}, queue, letter.Raw).Int64()
	if err != nil {
		err = interpret(err)
		if j.isPlanted(ctx, queue, letter, err) {
			err = fmt.Errorf("%w: %w", entry.ErrForged, err)
		}
		return 0, fmt.Errorf("replay %s: %w", letter.Key, err)
	}
	return version, nil
}

// isPlanted tells of a letter that could not be replayed whether it is not in the format
// of the journal, or still stands where a walk has found it, which is no place of its key.
func (j *Journal) isPlanted(ctx context.Context, queue string, letter *entry.DeadLetter, err error) bool {
	if strings.Contains(err.Error(), "not in the format of the journal") {
		return true
	}
	if letter.Partition == "" || !errors.Is(err, entry.ErrNoLetter) && !strings.Contains(err.Error(), "KEY must begin with ") {
		return false
	}
	stands, failed := j.rdb.HGet(ctx, "wb:{"+queue+":"+letter.Partition+"}:dlq", letter.Key).Result()
	known, _, _ := strings.Cut(stands, "\n")
	return failed == nil && known == letter.Raw
}

// Discard gives the letter up.
func (j *Journal) Discard(ctx context.Context, queue string, letter *entry.DeadLetter) error {
	if err := j.rdb.FCall(ctx, "wb_engine_discard", []string{letter.Key}, place(letter, queue)...).Err(); err != nil {
		return fmt.Errorf("discard %s: %w", letter.Key, interpret(err))
	}
	return nil
}
