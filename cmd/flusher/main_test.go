// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/spf13/pflag"

	"github.com/writebehind/operator/internal/command"
	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/journal"
	"github.com/writebehind/operator/internal/flusher/journal/journaltest"
)

// place is a Redis with two opened queues, products and items/, one partition each,
// and the config that names them.
type place struct {
	t    *testing.T
	rdb  *redis.Client
	file string
}

const mappings = `
database: {postgres: {urlFile: /nowhere}}
mappings:
- {name: products, keyPrefix: "product:", table: products, keyColumn: id, partitions: 1}
- {name: items, keyPrefix: "item/", table: items, keyColumn: id, partitions: 1}
`

func newPlace(t *testing.T) *place {
	t.Helper()
	server := journaltest.New(t)
	p := &place{t: t, rdb: server.Client(t), file: writeConfig(t, server.Addr(), mappings)}
	j := journal.New(p.rdb)
	_, err := j.EnsureLibrary(t.Context())
	p.must(err)
	c, err := config.Read(p.file)
	p.must(err)
	for _, m := range c.Mappings {
		_, err := j.Open(t.Context(), config.QueueSettings{
			Owner: "file", Revision: 1, Mapping: m, MaxDepth: 1000, WhenFull: config.WhenFullReject, State: config.StateOpen,
		}, "journal-of-"+m.Name, false)
		p.must(err)
	}
	return p
}

func writeConfig(t *testing.T, address, rest string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, "redis: {external: {addresses: [%q]}}\n%s", address, rest), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func (p *place) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

// letter puts a dead letter into the journal as the library does: one line of JSON, and
// apart from it the payload. Those of items are of the release before: there the payload
// follows the line behind a line feed.
func (p *place) letter(queue, key, known, payload string) {
	p.t.Helper()
	name, err := json.Marshal(key)
	p.must(err)
	line := fmt.Sprintf(`{"key":%s,"operation":"set","version":1795414652584039,"attempts":4,"message":"row (secret)\nDETAIL: more",`+
		`"firstFailure":"2026-11-23T10:00:00.5Z","lastFailure":"2026-11-23T10:01:00Z",%s}`, name, known)
	base := "wb:{" + queue + ":0}:"
	switch {
	case queue == "items":
		line += "\n" + payload
	case payload != "":
		p.must(p.rdb.HSet(p.t.Context(), base+"payloads", key, payload).Err())
	}
	p.must(p.rdb.HSet(p.t.Context(), base+"dlq", key, line).Err())
	p.must(p.rdb.HIncrBy(p.t.Context(), "wb:{"+queue+"}:queue", "depth", 1).Err())
}

const checked = `"cause":"Refused","sqlstate":"23514","constraint":"stock_check"`

// fill is the stock of letters that most tests work with.
func (p *place) fill() {
	p.t.Helper()
	p.letter("products", "product:1", checked, `{"stock":-1}`)
	p.letter("products", "product:2", checked, `{"stock":-2}`)
	p.letter("products", "product:3", `"cause":"NotADocument"`, "no document")
	p.letter("items", "item/a/b", `"cause":"Refused","sqlstate":"23502","column":"name"`, `{"name":null}`)
}

// ask runs the program in this process.
func ask(t *testing.T, args ...string) (code int, out, problems string) {
	t.Helper()
	var o, e bytes.Buffer
	code = run(t.Context(), args, command.Streams{Out: &o, Problems: &e})
	return code, o.String(), e.String()
}

// dlq runs a subcommand that must end with the code.
func (p *place) dlq(code int, args ...string) (out, problems string) {
	p.t.Helper()
	got, out, problems := ask(p.t, append([]string{"dlq", "--config", p.file}, args...)...)
	if got != code {
		p.t.Fatalf("%q: exit code %d, want %d\n%s%s", args, got, code, out, problems)
	}
	return out, problems
}

func (p *place) letters(queue string) int64 {
	p.t.Helper()
	return p.rdb.HLen(p.t.Context(), "wb:{"+queue+":0}:dlq").Val()
}

// TestWhatCannotBeUsedIsOneLine covers the whole command line.
func TestWhatCannotBeUsedIsOneLine(t *testing.T) {
	file := writeConfig(t, "127.0.0.1:1", mappings)
	bad := writeConfig(t, "127.0.0.1:1", mappings+"flush: {batchSize: many}")
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"root, no config":       {nil, "--config"},
		"root, argument":        {[]string{"now"}, `"now" is not allowed: give dlq`},
		"root, unknown flag":    {[]string{"--fast"}, "--fast"},
		"root, grace":           {[]string{"--config", file, "--grace-period", "1ms"}, "1s or more"},
		"root, log format":      {[]string{"--config", file, "--log-format", "xml"}, "json or text"},
		"root, type error":      {[]string{"--config", bad}, `flush.batchSize: "many" is not allowed: give a whole number`},
		"dlq alone":             {[]string{"dlq"}, "list, show, replay or discard"},
		"dlq, unknown":          {[]string{"dlq", "purge"}, `"purge" is not allowed: give list, show, replay or discard`},
		"dlq, flag of the root": {[]string{"dlq", "list", "--debug"}, "--debug"},
		"no config":             {[]string{"dlq", "list"}, "--config"},
		"config is not there":   {[]string{"dlq", "list", "--config", file + ".none"}, "no such file"},
		"config is bad":         {[]string{"dlq", "list", "--config", bad}, "flush.batchSize"},
		"list, argument":        {[]string{"dlq", "list", "product:1", "--config", file}, "takes no arguments"},
		"unknown queue":         {[]string{"dlq", "list", "--config", file, "--queue", "carts"}, `--queue: "carts" is not allowed: give a mapping of the config: products, items`},
		"bad glob":              {[]string{"dlq", "list", "--config", file, "--key", "product:[1"}, `--key: "product:[1" is not allowed`},
		"bad glob, escape":      {[]string{"dlq", "list", "--config", file, "--key", `product:*\`}, "is not allowed"},
		"key of no queue":       {[]string{"dlq", "list", "--config", file, "--key", "cart:1"}, `"cart:1" is not allowed: give one that begins with product:, item/`},
		"key of another queue":  {[]string{"dlq", "list", "--config", file, "--queue", "items", "--key", "product:1"}, "begins with item/"},
		"unknown reason":        {[]string{"dlq", "list", "--config", file, "--reason", "refused"}, `--reason: "refused" is not allowed: give Refused`},
		"unknown output":        {[]string{"dlq", "list", "--config", file, "-o", "xml"}, `--output: "xml" is not allowed: give table or json`},
		"member of functions":   {[]string{"dlq", "list", "--member", "a", "--config", file}, `--member: "a" is not allowed: capture Functions has one row for a key`},
		"empty member":          {[]string{"dlq", "show", "product:1", "--member", "", "--config", file}, `--member: "" is not allowed`},
		"show, no key":          {[]string{"dlq", "show", "--config", file}, "give one key"},
		"show, two keys":        {[]string{"dlq", "show", "product:1", "product:2", "--config", file}, "give one key"},
		"replay, no filter":     {[]string{"dlq", "replay", "--config", file}, "--all to replay every dead letter"},
		"discard, no filter":    {[]string{"dlq", "discard", "--dry-run", "--config", file}, "--all to discard every dead letter"},
		"discard, both":         {[]string{"dlq", "discard", "--all", "--key", "product:*", "--config", file}, "give one of the two"},
		"discard, empty key":    {[]string{"dlq", "discard", "--key", "", "--config", file}, `--key: "" is not allowed`},
		"discard, empty queue":  {[]string{"dlq", "discard", "--key", "product:*", "--queue=", "--config", file}, `--queue: "" is not allowed`},
	} {
		t.Run(name, func(t *testing.T) {
			code, out, problems := ask(t, c.args...)
			if code != config.ExitUnusable || out != "" || strings.Count(problems, "\n") != 1 || !strings.Contains(problems, c.want) {
				t.Errorf("exit code %d, output %q, problems %q; want code 2 and one line with %q", code, out, problems, c.want)
			}
		})
	}
}

func TestHelpIsNoError(t *testing.T) {
	for _, args := range [][]string{{"--help"}, {"dlq", "--help"}, {"dlq", "replay", "-h"}} {
		if code, out, problems := ask(t, args...); code != 0 || !strings.Contains(out, "--config") || problems != "" {
			t.Errorf("%q: exit code %d, output %q, problems %q", args, code, out, problems)
		}
	}
}

func TestTheConfigOfAPodIsFoundWithoutBeingNamed(t *testing.T) {
	p := newPlace(t)
	p.letter("products", "product:1", checked, "{}")
	was := mountedConfig
	t.Cleanup(func() { mountedConfig = was })
	mountedConfig = p.file
	if code, out, problems := ask(t, "dlq", "list"); code != 0 || !strings.Contains(out, "product:1") {
		t.Errorf("exit code %d, output %q, problems %q", code, out, problems)
	}
	// The one that is given is the one that is meant.
	if code, _, problems := ask(t, "dlq", "list", "--config", p.file+".none"); code != config.ExitUnusable || !strings.Contains(problems, "no such file") {
		t.Errorf("exit code %d, problems %q", code, problems)
	}
	mountedConfig = writeConfig(t, "127.0.0.1:1", mappings+"flush: {batchSize: many}")
	if code, _, problems := ask(t); code != config.ExitUnusable || !strings.Contains(problems, "flush.batchSize") {
		t.Errorf("exit code %d, problems %q", code, problems)
	}
}

func TestTheVersionIsTold(t *testing.T) {
	if code, out, _ := ask(t, "--version"); code != 0 || out != "flusher version "+version+"\n" {
		t.Errorf("exit code %d, output %q", code, out)
	}
}

// Whoever looks for a flag of the flusher finds it in the documents, with its default.
func TestEveryFlagIsDocumented(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "\n## Without Kubernetes\n")
	section, _, _ = strings.Cut(section, "\n## ")
	told := map[string]string{}
	for line := range strings.Lines(section) {
		cells := strings.Split(line, " | ")
		if name, isFlag := strings.CutPrefix(cells[0], "| `--"); isFlag {
			told[strings.TrimSuffix(name, "`")] = cells[1]
		}
	}
	root := rootCommand()
	flags := root.Flags()
	flags.AddFlagSet(root.PersistentFlags())
	flags.VisitAll(func(f *pflag.Flag) {
		value, there := told[f.Name]
		if !there || f.DefValue != "" && f.DefValue != value {
			t.Errorf("docs/operations.md says of --%s that it is by default %q, and it is %q", f.Name, value, f.DefValue)
		}
		delete(told, f.Name)
	})
	for name := range told {
		t.Errorf("there is no flag --%s", name)
	}
}

// A Pod has the time to flush for the whole grace period and to end after it: one of the
// operator, which sets the flag, and any of Kubernetes' default of 30 s, which does not.
func TestAPodOutlastsTheGracePeriod(t *testing.T) {
	pod, err := os.ReadFile(filepath.Join("..", "..", "internal", "controller", "resources", "testdata", "flusher_deployment.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?s)- --grace-period\n\s+- (\S+)\n.*terminationGracePeriodSeconds: (\d+)\n`).FindSubmatch(pod)
	if found == nil {
		t.Fatal("the Pod is given no grace period, or no --grace-period")
	}
	seconds, _ := strconv.Atoi(string(found[2]))
	told, err := time.ParseDuration(string(found[1]))
	if err != nil || time.Duration(seconds)*time.Second < told+10*time.Second {
		t.Errorf("a Pod is killed after %d s, and flushes for %v: %v", seconds, told, err)
	}
	unset, err := rootCommand().Flags().GetDuration("grace-period")
	if err != nil || unset > 20*time.Second {
		t.Errorf("without the flag a Pod flushes for %v, and may be killed after 30 s: %v", unset, err)
	}
}

func TestARevisionThatIsNoneIsRefused(t *testing.T) {
	for _, text := range []string{"seven", "-1", "1.5", "9223372036854775808", " 7"} {
		t.Setenv(config.URLRevisionVariable, text)
		code, _, problems := ask(t, "--config", writeConfig(t, "127.0.0.1:1", mappings))
		if want := fmt.Sprintf("flusher: %s: %q is not allowed", config.URLRevisionVariable, text); code != config.ExitUnusable || !strings.HasPrefix(problems, want) {
			t.Errorf("%q: exit code %d, %q", text, code, problems)
		}
	}
}
