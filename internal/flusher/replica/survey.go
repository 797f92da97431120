// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/entry"
)

// Survey is what one key holds, for whoever only looks: a person, or a comparison with the table.
type Survey struct {
	Found Found
	// Type is the key's type where that is another one than the encoding's.
	Type string
	// Entries are the rows that the value is, at most MostSurveyed of them, and Members is how many
	// members were seen: more than entries where these are not all.
	Entries []entry.Entry
	Members int
	// ID names the history, and Offset is how far the stream had come when the key was read.
	ID     string
	Offset int64
}

const (
	// surveyPage is how many members are read at once.
	surveyPage = 500
	// MostSurveyed is how many members of a key are read, each of which takes some 300 bytes beside
	// its texts: whoever looks has the memory of a flusher.
	MostSurveyed = 100_000
)

// Survey reads keys of a mapping as the source of that reads them. A key of many members is read
// page by page; what was written meanwhile is behind the offset that is told.
func (c *Client) Survey(ctx context.Context, m *config.Mapping, keys []string) ([]Survey, error) {
	e := encodings[m.Encoding]
	asks := make([]Ask, len(keys))
	for i, key := range keys {
		asks[i] = Ask{Question: e.whole(), Key: key}
	}
	reading, err := c.Read(ctx, asks)
	if err != nil {
		return nil, err
	}
	all := make([]Survey, len(keys))
	for i, key := range keys {
		a := &reading.Answers[i]
		s := &all[i]
		*s = Survey{Found: a.Found, Type: a.Type, ID: reading.ID, Offset: reading.Offset}
		switch {
		case a.Found != There:
		case e.members:
			if err := c.surveyMembers(ctx, s, &e, key, a); err != nil {
				return nil, err
			}
		default:
			s.Entries = []entry.Entry{e.entryOf(key, "", a)}
		}
	}
	return all, nil
}

// whole is the question for all that a key holds.
func (e *encoding) whole() Question {
	switch {
	case e.members:
		return e.ofKey
	case e.named:
		return Hash
	}
	return SureText
}

// entryOf is the row of an answer that is there.
func (e *encoding) entryOf(key, member string, a *Answer) entry.Entry {
	of := entry.Entry{Key: key, Member: member, Operation: e.operation, Value: a.Value}
	switch {
	case e.named:
		// The server tells the fields in no order, and two looks are to be compared.
		of.Value, of.Whole = hashOf(sortedFields(a.Pairs), nil), true
	case e.kept:
		of.Value = documentOf(a.Pairs)
	}
	return of
}

// sortedFields are fields with their values, by the names of the fields.
func sortedFields(pairs []string) []string {
	fields := make([][2]string, 0, len(pairs)/2)
	for i := 0; i+1 < len(pairs); i += 2 {
		fields = append(fields, [2]string{pairs[i], pairs[i+1]})
	}
	slices.SortFunc(fields, func(a, b [2]string) int { return strings.Compare(a[0], b[0]) })
	sorted := make([]string, 0, len(pairs))
	for _, field := range fields {
		sorted = append(sorted, field[:]...)
	}
	return sorted
}

// surveyMembers reads the rows of a key whose members are rows. A member that has gone since
// they were listed is no row.
func (c *Client) surveyMembers(ctx context.Context, s *Survey, e *encoding, key string, a *Answer) error {
	for {
		s.Members += len(a.Pairs)
		a.Pairs = a.Pairs[:min(len(a.Pairs), c.most-len(s.Entries))]
		for from := 0; from < len(a.Pairs); from += surveyPage {
			members := a.Pairs[from:min(from+surveyPage, len(a.Pairs))]
			asks := make([]Ask, len(members))
			for i, member := range members {
				asks[i] = Ask{Question: e.question, Key: key, Members: []string{member}}
			}
			reading, err := c.Read(ctx, asks)
			if err != nil {
				return err
			}
			if reading.ID != s.ID {
				return fmt.Errorf("%w: the key was read of %s and of %s", ErrOtherServer, s.ID, reading.ID)
			}
			s.Offset = reading.Offset
			for i := range members {
				if one := &reading.Answers[i]; one.Found == There {
					s.Entries = append(s.Entries, e.entryOf(key, members[i], one))
				} else {
					s.Members--
				}
			}
		}
		if !a.More || s.Members > c.most {
			return nil
		}
		next, err := c.Read(ctx, []Ask{{Question: e.ofKey, Key: key, Members: []string{"(" + a.Pairs[len(a.Pairs)-1]}}})
		if err != nil {
			return err
		}
		if a = &next.Answers[0]; a.Found != There {
			return nil
		}
	}
}

// WitnessOf is the key of a source's witness.
func WitnessOf(source string) string { return "wb:witness:" + source }

// Partition is where a key of the mapping falls.
func Partition(m *config.Mapping, key string) int {
	q := queue{partitions: make([]*partition, m.Partitions)}
	return q.numberOf([]byte(key))
}
