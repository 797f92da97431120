// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"fmt"
	"regexp"
)

// planted is what the library says of a key of the journal that is of another type than
// it should be: the key, its end, the queue, and the two types.
var planted = regexp.MustCompile(`^WRONGTYPE (wb:(?:\{[a-z0-9:-]+\}:)?([a-z]+)), a key of the journal of queue ([a-z0-9-]+), holds a ([a-z]+) where a ([a-z]+) belongs`)

// deletePlanted says what to do about such a key. What was there before is gone already,
// so nothing more is lost when the key is deleted; the message says what that was.
func deletePlanted(found []string) string {
	key, end, queue, has, wants := found[1], found[2], found[3], found[4], found[5]
	return fmt.Sprintf("queue %s has stopped, because its key %s holds a %s written by hand in place of the journal's %s: run DEL %s, and the queue goes on: %s",
		queue, key, has, wants, key, afterDeletion[end])
}

// afterDeletion is what was lost at each key of the journal, by the end of its name.
var afterDeletion = map[string]string{
	"q":        "the order of the partition is rebuilt, and nothing is lost",
	"late":     "nothing is lost",
	"retry":    "the order of the partition is rebuilt, and nothing is lost",
	"mend":     "the order of the partition is rebuilt, and nothing is lost",
	"gone":     "the order of the partition is rebuilt, and nothing more is lost",
	"reads":    "nothing is lost",
	"lease":    "a flusher takes the partition again, and nothing is lost",
	"members":  "the flushers enrol again, and nothing is lost",
	"queues":   "the queues are listed again, and nothing is lost",
	"ops":      "the partition's entries were overwritten, which is counted as one data-loss event, so write these keys again",
	"dlq":      "the partition's dead letters were overwritten and are lost",
	"payloads": "the payloads of the partition's dead letters were overwritten and are lost, and such letters can only be discarded",
	"meta":     "the partition's counters start again, and a data-loss event may be counted although no entry is lost",
	"queue":    "the queue is created again, which is counted as a data-loss event, and no entry is lost",
}
