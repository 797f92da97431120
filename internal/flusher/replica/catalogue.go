// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"
)

// serverCatalogue is what the server itself says of its commands, those of modules among
// them.
type serverCatalogue struct{ client asked }

// asked is a client of the server.
type asked interface {
	Process(ctx context.Context, cmd redis.Cmder) error
}

func (s serverCatalogue) places(ctx context.Context, name string) (*places, error) {
	answer, err := s.ask(ctx, "COMMAND", "INFO", strings.ToLower(name))
	if err != nil {
		return nil, fmt.Errorf("ask for the keys of command %s: %w", name, err)
	}
	if len(answer) == 0 {
		return &places{unknown: true}, nil
	}
	return placesOf(answer[0]), nil
}

func (s serverCatalogue) written(ctx context.Context, command []string) (keys []string, ok bool, err error) {
	question := []any{"COMMAND", "GETKEYSANDFLAGS"}
	for _, argument := range command {
		question = append(question, argument)
	}
	answer, err := s.ask(ctx, question...)
	var refusal *Refusal
	switch {
	case errors.As(err, &refusal) && strings.Contains(refusal.Text, "no key arguments"):
		return nil, true, nil
	case errors.As(err, &refusal) && strings.HasPrefix(refusal.Text, "ERR Invalid"):
		return nil, false, nil
	case err != nil:
		return nil, false, fmt.Errorf("ask for the keys of a command %s: %w", strings.ToUpper(command[0]), err)
	}
	for _, element := range answer {
		pair := list(element)
		if len(pair) < 2 {
			return nil, false, nil
		}
		key, isText := pair[0].(string)
		if !isText {
			return nil, false, nil
		}
		if writes(list(pair[1])) {
			keys = append(keys, key)
		}
	}
	return keys, true, nil
}

func (s serverCatalogue) ask(ctx context.Context, question ...any) ([]any, error) {
	cmd := redis.NewSliceCmd(ctx, question...)
	err := s.client.Process(ctx, cmd)
	if refused, ok := errors.AsType[redis.Error](err); ok {
		return nil, &Refusal{Command: "COMMAND", Text: refused.Error()}
	}
	return cmd.Val(), err
}

// Places in an element of the answer to COMMAND INFO.
const (
	infoSpecifications = 8
	infoParts          = 9
)

// placesOf reads an element of the answer to COMMAND INFO. What it does not say for sure
// has to be asked for each command.
func placesOf(element any) *places {
	info := list(element)
	if len(info) == 0 {
		return &places{unknown: true}
	}
	if len(info) <= infoParts {
		return &places{asks: true}
	}
	if len(list(info[infoParts])) > 0 {
		return &places{container: true}
	}
	p := &places{}
	for _, specification := range list(info[infoSpecifications]) {
		of := table(specification)
		flags := list(of["flags"])
		if !writes(flags) && !contains(flags, "incomplete") {
			continue
		}
		keys, ok := runOf(table(of["begin_search"]), table(of["find_keys"]))
		if !ok || contains(flags, "incomplete") {
			return &places{asks: true}
		}
		p.stretches = append(p.stretches, keys)
	}
	return p
}

func runOf(begin, find map[string]any) (keys stretch, ok bool) {
	where, how := table(begin["spec"]), table(find["spec"])
	switch begin["type"] {
	case "index":
		keys.index = number(where["index"])
	case "keyword":
		keys.keyword = strings.ToUpper(text(where["keyword"]))
		keys.index = number(where["startfrom"])
	}
	switch find["type"] {
	case "range":
		keys.last, keys.limit, keys.step = number(how["lastkey"]), number(how["limit"]), number(how["keystep"])
	case "keynum":
		keys.counted = true
		keys.countAt, keys.firstAt, keys.step = number(how["keynumidx"]), number(how["firstkey"]), number(how["keystep"])
	default:
		return stretch{}, false
	}
	return keys, keys.index != 0 && keys.step > 0
}

// writes tells whether the flags of a key are those of one that is written.
func writes(flags []any) bool {
	return !contains(flags, "not_key") && (contains(flags, "RW") || contains(flags, "OW") || contains(flags, "RM"))
}

func contains(flags []any, flag string) bool { return slices.Contains(flags, any(flag)) }

// An answer holds maps and sets in the newer protocol, and lists in the older one.

func list(v any) []any {
	l, _ := v.([]any)
	return l
}

func table(v any) map[string]any {
	fields := map[string]any{}
	if m, ok := v.(map[any]any); ok {
		for name, value := range m {
			fields[text(name)] = value
		}
	}
	l := list(v)
	for i := 0; i+1 < len(l); i += 2 {
		fields[text(l[i])] = l[i+1]
	}
	return fields
}

func text(v any) string {
	t, _ := v.(string)
	return t
}

func number(v any) int {
	n, _ := v.(int64)
	return int(n)
}
