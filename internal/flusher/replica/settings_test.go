// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"maps"
	"strings"
	"testing"

	cachev1alpha1 "github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/journal/journaltest"
)

// asManaged are settings as they should be.
func asManaged(other ...string) map[string]string {
	all := map[string]string{
		"lazyfree-lazy-expire": "yes", "lazyfree-lazy-eviction": "yes", "lazyfree-lazy-user-del": "no",
		"repl-backlog-ttl": "0", "repl-backlog-size": "100", "client-output-buffer-limit": "normal 0 0 0 slave 100 0 0 pubsub 3 2 60",
	}
	for i := 0; i < len(other); i += 2 {
		all[other[i]] = other[i+1]
	}
	return all
}

func TestSettingsThatFit(t *testing.T) {
	for name, c := range map[string]struct {
		settings map[string]string
		valkey   bool
		// stream and backlog are what is said of each, nothing where it fits.
		stream, backlog string
	}{
		"as the operator sets them":     {settings: asManaged()},
		"keys that expire":              {settings: asManaged("lazyfree-lazy-expire", "no"), stream: "CONFIG SET lazyfree-lazy-expire yes"},
		"keys that are evicted":         {settings: asManaged("lazyfree-lazy-eviction", "no"), stream: "CONFIG SET lazyfree-lazy-eviction yes"},
		"GETDEL of Redis":               {settings: asManaged("lazyfree-lazy-user-del", "yes"), stream: "CONFIG SET lazyfree-lazy-user-del no"},
		"GETDEL of Valkey":              {settings: asManaged("lazyfree-lazy-user-del", "yes"), valkey: true},
		"as Redis has them":             {settings: asManaged("lazyfree-lazy-expire", "no", "lazyfree-lazy-eviction", "no"), stream: "CONFIG SET lazyfree-lazy-expire yes and CONFIG SET lazyfree-lazy-eviction yes"},
		"a server that tells nothing":   {settings: map[string]string{}, stream: "CONFIG SET lazyfree-lazy-expire yes", backlog: "CONFIG SET repl-backlog-ttl 0"},
		"a backlog that goes":           {settings: asManaged("repl-backlog-ttl", "3600"), backlog: "drops its backlog 3600 s after the last flusher has gone"},
		"a replica that is cut off":     {settings: asManaged("client-output-buffer-limit", "normal 0 0 0 slave 200 99 60"), backlog: `CONFIG SET client-output-buffer-limit "replica 100 0 0"`},
		"in the words of later servers": {settings: asManaged("client-output-buffer-limit", "normal 0 0 0 replica 200 99 60"), backlog: "99 bytes wait for 60 s, of a backlog of 100"},
		"a soft limit that is enough":   {settings: asManaged("client-output-buffer-limit", "slave 200 100 60")},
		"a hard limit that is ignored":  {settings: asManaged("client-output-buffer-limit", "slave 1 0 0")},
		"no limits":                     {settings: asManaged("client-output-buffer-limit", "")},
	} {
		before := maps.Clone(c.settings)
		for what, pair := range map[string]struct {
			check  config.Check
			want   string
			reason string
		}{
			"stream":  {fitsStream(c.settings, c.valkey), c.stream, cachev1alpha1.ReasonSettingsUnfit},
			"backlog": {fitsBacklog(c.settings), c.backlog, cachev1alpha1.ReasonBacklogExpires},
		} {
			if pair.check.OK != (pair.want == "") || !strings.Contains(pair.check.Message, pair.want) || !pair.check.OK && pair.check.Reason != pair.reason {
				t.Errorf("%s: %s is %+v, want %q", name, what, pair.check, pair.want)
			}
		}
		if !maps.Equal(before, c.settings) {
			t.Errorf("%s: the settings were changed", name)
		}
	}
}

// TestSettingsAreReadFromAServer types what is said, and is answered that all fits then.
func TestSettingsAreReadFromAServer(t *testing.T) {
	server := journaltest.New(t, journaltest.Config("repl-backlog-size 100mb"))
	admin := server.Client(t)
	client := NewClient(settingsOf(server), admin)
	stream, backlog := client.Fits(t.Context())
	if stream.OK || backlog.OK {
		t.Fatalf("a server as it comes fits: %+v, %+v", stream, backlog)
	}
	for _, check := range []config.Check{stream, backlog} {
		_, commands, _ := strings.Cut(check.Message, "at once with ")
		for command := range strings.SplitSeq(commands, " and ") {
			var arguments []any
			quoted := strings.Split(command, `"`)
			for word := range strings.FieldsSeq(quoted[0]) {
				arguments = append(arguments, word)
			}
			if len(quoted) > 1 {
				arguments = append(arguments, quoted[1])
			}
			if err := admin.Do(t.Context(), arguments...).Err(); err != nil {
				t.Fatalf("%s: %v", command, err)
			}
		}
	}
	if stream, backlog = client.Fits(t.Context()); !stream.OK || !backlog.OK {
		t.Errorf("after what was said: %+v, %+v", stream, backlog)
	}
	if err := admin.Do(t.Context(), "ACL", "SETUSER", "default", "-config").Err(); err != nil {
		t.Fatal(err)
	}
	if stream, _ = client.Fits(t.Context()); stream.Reason != cachev1alpha1.ReasonPrivilegeMissing || !strings.Contains(stream.Message, "ACL SETUSER default +config|get") {
		t.Errorf("without the right: %+v", stream)
	}
}
