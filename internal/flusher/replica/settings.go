// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	cachev1alpha1 "github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/journal"
)

// settingsAsked are the patterns of CONFIG GET.
var settingsAsked = []string{"lazyfree-lazy-*", "repl-backlog-*", "client-output-buffer-limit"}

// Fits tells whether the settings of the server are those that a reader needs: stream is not
// OK where what the stream says would be taken for something else, so that nothing may be
// flushed; backlog is not OK where the server may drop what a reader that is away or slow has
// yet to read.
func (c *Client) Fits(ctx context.Context) (stream, backlog config.Check) {
	settings, err := c.settingsOf(ctx)
	if err != nil {
		return c.explainSettings(err), config.Check{}
	}
	info, err := c.rdb.Info(ctx, "server").Result()
	if err != nil {
		return c.Explain(err), config.Check{}
	}
	return c.ofEveryServer(fitsStream(settings, strings.Contains(info, "valkey_version:"))), c.ofEveryServer(fitsBacklog(settings))
}

// ofEveryServer adds to a fault that was found at the primary that a replica may have it too.
func (c *Client) ofEveryServer(check config.Check) config.Check {
	if !check.OK && c.settings.MasterName != "" {
		check.Message += journal.OfEveryServer
	}
	return check
}

func (c *Client) settingsOf(ctx context.Context) (map[string]string, error) {
	pipe := c.rdb.Pipeline()
	answers := make([]*redis.MapStringStringCmd, len(settingsAsked))
	for i, pattern := range settingsAsked {
		answers[i] = pipe.ConfigGet(ctx, pattern)
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, fmt.Errorf("read settings: %w", err)
	}
	all := make(map[string]string)
	for _, some := range answers {
		maps.Copy(all, some.Val())
	}
	return all, nil
}

// explainSettings explains why the settings cannot be read. What is not known is never taken
// for right: a key that expires would delete its row.
func (c *Client) explainSettings(err error) config.Check {
	var answer redis.Error
	switch {
	case errors.As(err, &answer) && strings.HasPrefix(answer.Error(), "NOPERM"):
		return c.ofEveryServer(config.Check{
			Reason: cachev1alpha1.ReasonPrivilegeMissing,
			Message: fmt.Sprintf("whether the settings of Redis fit capture Replication is not known, since its user may not read them: "+
				"run as an administrator: ACL SETUSER %s +config|get", userOf(c.settings)),
		})
	case errors.As(err, &answer) && strings.HasPrefix(answer.Error(), "ERR unknown"):
		return config.Check{
			Reason: cachev1alpha1.ReasonCommandFailed,
			Message: "whether the settings of Redis fit capture Replication is not known, since it refuses the command CONFIG GET, " +
				"as managed services do: " + instead,
		}
	}
	return c.Explain(err)
}

// fitsStream looks at what makes a deletion of the application look different from one that
// the server makes for itself.
func fitsStream(settings map[string]string, valkey bool) config.Check {
	var remedies []string
	for _, wanted := range []struct{ name, value string }{
		{"lazyfree-lazy-expire", "yes"}, {"lazyfree-lazy-eviction", "yes"}, {"lazyfree-lazy-user-del", "no"},
	} {
		// Valkey tells of GETDEL as DEL in either case.
		if settings[wanted.name] == wanted.value || valkey && wanted.value == "no" {
			continue
		}
		remedies = append(remedies, "CONFIG SET "+wanted.name+" "+wanted.value)
	}
	if len(remedies) == 0 {
		return config.Check{OK: true}
	}
	return config.Check{
		Reason: cachev1alpha1.ReasonSettingsUnfit,
		Message: "Redis does not tell keys that expire or are evicted apart from keys that the application deletes, so nothing is flushed: " +
			"set it in its configuration, and at once with " + strings.Join(remedies, " and "),
	}
}

// fitsBacklog looks at what ends a history although the backlog would hold it.
func fitsBacklog(settings map[string]string) config.Check {
	var faults, remedies []string
	if ttl := settings["repl-backlog-ttl"]; ttl != "0" {
		faults = append(faults, fmt.Sprintf("drops its backlog %s s after the last flusher has gone", ttl))
		remedies = append(remedies, "CONFIG SET repl-backlog-ttl 0")
	}
	backlog, _ := strconv.ParseInt(settings["repl-backlog-size"], 10, 64)
	if soft, seconds := softLimit(settings["client-output-buffer-limit"]); soft != 0 && soft < backlog {
		faults = append(faults, fmt.Sprintf("ends the connection of a flusher for which %d bytes wait for %s s, of a backlog of %d", soft, seconds, backlog))
		remedies = append(remedies, fmt.Sprintf(`CONFIG SET client-output-buffer-limit "replica %d 0 0"`, backlog))
	}
	if len(faults) == 0 {
		return config.Check{OK: true}
	}
	return config.Check{
		Reason: cachev1alpha1.ReasonBacklogExpires,
		Message: "Redis " + strings.Join(faults, "; and it ") + ": then every key is read again, and what was deleted meanwhile is a data-loss event; " +
			"set it in its configuration, and at once with " + strings.Join(remedies, " and "),
	}
}

// softLimit is how many bytes may wait for a replica, and for how many seconds; 0 is no limit.
// Servers take a hard limit below the size of the backlog for that size. Some releases call
// replicas slaves.
func softLimit(limits string) (bytes int64, seconds string) {
	fields := strings.Fields(limits)
	for i := 0; i+3 < len(fields); i += 4 {
		if fields[i] == "replica" || fields[i] == "slave" {
			bytes, _ = strconv.ParseInt(fields[i+2], 10, 64)
			return bytes, fields[i+3]
		}
	}
	return 0, ""
}
