// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"
)

// dlq runs the subcommand beside the flushers, as a person does.
func (s *stack) dlq(args ...string) (code int, out, problems string) {
	s.t.Helper()
	var o, e strings.Builder
	command := exec.CommandContext(s.t.Context(), program, append([]string{"dlq", "--config", s.file}, args...)...)
	command.Stdout, command.Stderr = &o, &e
	if err := command.Run(); err != nil && !errors.As(err, new(*exec.ExitError)) {
		s.t.Fatal(err)
	}
	return command.ProcessState.ExitCode(), o.String(), e.String()
}

// TestDeadLettersAreListedMendedAndReplayed goes the way of a person: a constraint
// refuses rows, the letters are looked at, the table is mended, the letters go in.
func TestDeadLettersAreListedMendedAndReplayed(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.config.Flush.MaxRetries = 0
	s.write()
	p := s.startReady()
	for id := range int64(20) {
		s.set(100+id, `{"name":"good","price":1,"stock":1}`)
	}
	s.set(1, `{"name":"secret one","price":1,"stock":-1}`)
	s.set(2, `{"name":"secret two","price":2,"stock":-2}`)
	s.set(3, `no document`)
	s.eventually("there are three dead letters", func() error {
		if n := s.stats().Dead; n != 3 {
			return fmt.Errorf("%d of them", n)
		}
		return nil
	})

	code, out, problems := s.dlq("list")
	if lines := strings.Split(strings.TrimSpace(out), "\n"); code != 0 || len(lines) != 4 || problems != "" ||
		strings.Join(strings.Fields(lines[0]), " ") != "KEY QUEUE CAUSE SQLSTATE CONSTRAINT COLUMN ATTEMPTS FIRST LAST" ||
		!strings.HasPrefix(strings.Join(strings.Fields(lines[1]), " "), "product:1 products Refused 23514 products_stock_check - 1 2") ||
		strings.Contains(out, "secret") {
		t.Errorf("exit code %d, %s, list prints\n%s", code, problems, out)
	}
	code, out, _ = s.dlq("show", "product:1", "-o", "json")
	var shown struct{ Message, Payload string }
	if err := json.Unmarshal([]byte(out), &shown); err != nil || code != 0 ||
		shown.Payload != `{"name":"secret one","price":1,"stock":-1}` || !strings.Contains(shown.Message, "violates check constraint") {
		t.Errorf("exit code %d, %v, show prints\n%s", code, err, out)
	}

	s.db.Exec(t, "ALTER TABLE products DROP CONSTRAINT products_stock_check")
	s.set(2, `{"name":"newer","price":2,"stock":2}`)
	s.eventuallyRow(2, "newer|2.00|2")
	code, out, problems = s.dlq("replay", "--reason", "23514")
	if code != 0 || !strings.HasSuffix(out, "1 written anew, 0 superseded, 0 gone, 0 failed: dlq list shows shortly which rows are refused again\n") {
		t.Errorf("exit code %d, %s, replay prints\n%s", code, problems, out)
	}
	s.eventuallyRow(1, "secret one|1.00|-1")
	s.eventuallyRow(2, "newer|2.00|2")
	if code, out, problems = s.dlq("discard", "--key", "product:*"); code != 0 || out != "discarded     product:3\n1 discarded, 0 superseded, 0 gone, 0 failed\n" {
		t.Errorf("exit code %d, %s, discard prints\n%s", code, problems, out)
	}
	if stats := s.stats(); stats.Dead != 0 {
		t.Errorf("stats are %+v", stats)
	}
	if strings.Contains(p.Said(), "secret") {
		t.Error("the flusher's log tells values")
	}
}
