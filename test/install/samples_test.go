// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package install

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/resources"
	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/journal/journaltest"
	"github.com/writebehind/operator/internal/flusher/postgres/postgrestest"
	"github.com/writebehind/operator/test/programs"
)

// mounted is where the flusher's container has its files.
const mounted = "/etc/writebehind"

// sample is a file of config/samples with the commands that its comment tells a
// reader to give.
type sample struct {
	file     string
	object   *unstructured.Unstructured
	tables   []string   // CREATE ...;
	users    []string   // the arguments of ACL SETUSER
	settings [][]string // the words of CONFIG SET
	commands [][]string // the words of FCALL ..., or of a command of Redis' own
}

// samples are all of them, in the order of their names.
func samples(t *testing.T) []sample {
	t.Helper()
	files, err := filepath.Glob(root("config", "samples", "cache_*.yaml"))
	programs.Must(t, err)
	if len(files) == 0 {
		t.Fatal("config/samples is empty")
	}
	all := make([]sample, 0, len(files))
	for _, file := range files {
		text, err := os.ReadFile(file)
		programs.Must(t, err)
		s := sample{file: filepath.Base(file)}
		// A field that is not there, or there twice, is refused here already.
		programs.Must(t, yaml.UnmarshalStrict(text, &v1alpha1.WriteBehindCache{}))
		objects := decode(t, text)
		if len(objects) != 1 {
			t.Fatalf("%s holds %d objects, want 1", s.file, len(objects))
		}
		s.object = objects[0]
		s.read(t, string(text))
		all = append(all, s)
	}
	return all
}

// nativeCommand is a write by Redis' own commands, as capture Replication takes it.
var nativeCommand = regexp.MustCompile(`^(SET|SETEX|DEL|HSET|HINCRBY|INCR|INCRBY|DECR|ZADD|ZINCRBY|ZREM|XADD) `)

var quotedOrWord = regexp.MustCompile(`'[^']*'|\S+`)

// read finds the commands: what is indented in the comment.
func (s *sample) read(t *testing.T, text string) {
	t.Helper()
	var statement string
	for line := range strings.Lines(text) {
		line, isCommand := strings.CutPrefix(strings.TrimRight(line, "\n"), "#   ")
		switch {
		case !isCommand:
		case statement != "" || strings.HasPrefix(line, "CREATE "):
			statement += " " + strings.TrimSpace(line)
			if strings.HasSuffix(statement, ";") {
				s.tables = append(s.tables, strings.TrimSpace(statement))
				statement = ""
			}
		case strings.HasPrefix(line, "ACL SETUSER "):
			s.users = append(s.users, strings.TrimPrefix(line, "ACL SETUSER "))
		case strings.HasPrefix(line, "CONFIG SET "):
			s.settings = append(s.settings, wordsOf(line))
		case strings.HasPrefix(line, "FCALL "), nativeCommand.MatchString(line):
			s.commands = append(s.commands, wordsOf(line))
		case strings.HasPrefix(line, "kubectl "):
		default:
			t.Errorf("%s: %q is nothing that this test knows how to try", s.file, line)
		}
	}
	if statement != "" {
		t.Errorf("%s: a statement does not end: %s", s.file, statement)
	}
	if len(s.tables) == 0 || len(s.commands) == 0 {
		t.Errorf("%s tells no table and no write", s.file)
	}
}

// wordsOf are those of a command, as redis-cli reads them.
func wordsOf(line string) []string {
	words := quotedOrWord.FindAllString(line, -1)
	for i := range words {
		words[i] = strings.Trim(words[i], "'")
	}
	return words
}

func TestEverySampleIsInTheKustomization(t *testing.T) {
	command := exec.CommandContext(t.Context(), tool(t, "KUSTOMIZE"), "build", root("config", "samples"))
	built := map[string]any{}
	for _, object := range decode(t, run(t, command)) {
		built[object.GetName()] = object.Object
	}
	found := map[string]any{}
	for _, s := range samples(t) {
		if found[s.object.GetName()] != nil {
			t.Errorf("%s has the name of another sample: applied together, one would replace the other", s.file)
		}
		found[s.object.GetName()] = s.object.Object
	}
	if difference := cmp.Diff(found, built); difference != "" {
		t.Errorf("the files (-) and what kubectl apply -k config/samples applies (+) differ:\n%s", difference)
	}
}

// TestEverySampleWorks applies each sample to a real API server, gives a flusher
// the config file that the operator would, runs the sample's own SQL and writes,
// and looks for the rows.
func TestEverySampleWorks(t *testing.T) {
	c := installedCluster(t)
	program := build(t, "flusher")
	authority := postgrestest.NewAuthority(t)
	database := postgrestest.NewTLSServer(t, authority, "127.0.0.1")
	for _, s := range samples(t) {
		t.Run(strings.TrimSuffix(s.file, ".yaml"), func(t *testing.T) {
			cache := applySample(t, c, &s)
			db := database.NewDatabase(t)
			for _, statement := range s.tables {
				db.Exec(t, statement)
			}
			server, addresses, rdb := sampleRedis(t, &s, cache)
			if tls := cache.Spec.Database.Postgres.TLS; tls == nil || tls.CASecretRef == nil {
				t.Error("it does not verify the database's certificate")
			}
			startFlusher(t, program, cache, server, addresses, db, authority.File)
			tryCommands(t, &s, cache, rdb, db)
		})
	}
}

// applySample applies a sample in a namespace of its own, strictly and twice, and
// returns it with the defaults that the API server gives.
func applySample(t *testing.T, c *cluster, s *sample) *v1alpha1.WriteBehindCache {
	t.Helper()
	object := s.object.DeepCopy()
	object.SetNamespace(c.namespace(t))
	first := c.applyResource(t, object)
	second := c.apply(t, []*unstructured.Unstructured{object})
	if difference := cmp.Diff(first[0].Object, second[0].Object); difference != "" {
		t.Errorf("applied again, it is another:\n%s", difference)
	}
	cache := &v1alpha1.WriteBehindCache{}
	programs.Must(t, c.client.Get(t.Context(), client.ObjectKeyFromObject(object), cache))
	return cache
}

// sampleRedis starts a Redis as the sample describes it, and connects to it as an
// application would that may do everything. addresses are those to give to a
// flusher: its own, or its Sentinels'.
func sampleRedis(t *testing.T, s *sample, cache *v1alpha1.WriteBehindCache) (server *journaltest.Server, addresses []string, rdb *redis.Client) {
	t.Helper()
	options := []journaltest.Option{journaltest.Password("application"), journaltest.AppendOnly("everysec")}
	for _, user := range s.users {
		options = append(options, journaltest.User(user))
	}
	if cache.Spec.Redis.Managed != nil {
		for line := range strings.Lines(resources.RedisUsers(cache, nil)) {
			if rights, ok := strings.CutPrefix(line, resources.RedisFlusher+" "); ok {
				options = append(options, journaltest.User(resources.RedisFlusher+" on >application "+strings.TrimSpace(rights)))
			}
		}
	}
	if cache.Spec.Capture == v1alpha1.CaptureReplication {
		options = append(options, journaltest.Config("repl-diskless-sync-delay 0"))
		if cache.Spec.Redis.Managed != nil {
			options = append(options, journaltest.Config("lazyfree-lazy-expire yes", "lazyfree-lazy-eviction yes"))
		}
	}
	if resources.RedisTLSSecret(cache) != "" {
		options = append(options, journaltest.TLS())
	}
	if external := cache.Spec.Redis.External; external != nil && external.TLS != nil {
		if external.TLS.ClientCertSecretRef != nil {
			options = append(options, journaltest.RequireClientCertificate())
		} else {
			options = append(options, journaltest.TLS())
		}
	}
	if external := cache.Spec.Redis.External; external != nil && external.Mode == v1alpha1.RedisModeSentinel {
		trio := journaltest.NewTrio(t, options...)
		s.configure(t, trio.Servers...)
		return trio.Servers[0], trio.Addresses(), trio.Client(t)
	}
	server = journaltest.New(t, options...)
	s.configure(t, server)
	return server, []string{server.Addr()}, server.Client(t)
}

// configure gives the settings that the sample tells of.
func (s *sample) configure(t *testing.T, servers ...*journaltest.Server) {
	t.Helper()
	for _, server := range servers {
		rdb := server.Client(t)
		for _, words := range s.settings {
			programs.Must(t, rdb.Do(t.Context(), arguments(words)...).Err())
		}
	}
}

func arguments(words []string) []any {
	args := make([]any, 0, len(words))
	for _, word := range words {
		args = append(args, word)
	}
	return args
}

// startFlusher runs a flusher with the config file and the files of Secrets that
// its Pod would have, until the test ends. The authority's file is that of the database.
func startFlusher(t *testing.T, program string, cache *v1alpha1.WriteBehindCache, server *journaltest.Server, addresses []string, db *postgrestest.Database, authority string) {
	t.Helper()
	settings := resources.FlusherConfig(cache)
	settings.ListenAddress = "127.0.0.1:0"
	settings.Redis.External.Addresses = addresses
	// The test is not about waiting.
	settings.Flush.IntervalMilliseconds = 100
	text, err := settings.Marshal()
	programs.Must(t, err)

	folder := t.TempDir()
	files := map[string]string{"database/uri": db.URL(), "redis/username": resources.RedisFlusher, "redis/password": "application", "sentinel/password": "application"}
	if external := cache.Spec.Redis.External; external != nil {
		files["redis/username"] = "writebehind"
		files["redis/password"] = "secret"
	}
	signer, err := os.ReadFile(authority)
	programs.Must(t, err)
	files["database-ca/ca.crt"] = string(signer)
	if pem := server.TLS(); pem != nil {
		for name, path := range map[string]string{"redis-ca/ca.crt": pem.CA, "redis-client/tls.crt": pem.ClientCert, "redis-client/tls.key": pem.ClientKey} {
			content, err := os.ReadFile(path)
			programs.Must(t, err)
			files[name] = string(content)
		}
	}
	files["config/"+resources.ConfigFile] = strings.ReplaceAll(string(text), mounted, folder)
	for name, content := range files {
		path := filepath.Join(folder, name)
		programs.Must(t, os.MkdirAll(filepath.Dir(path), 0o700))
		programs.Must(t, os.WriteFile(path, []byte(content), 0o600))
	}
	if _, err := config.Read(filepath.Join(folder, "config", resources.ConfigFile)); err != nil {
		t.Fatalf("The flusher would not take the config: %v\n%s", err, text)
	}
	programs.Run(t, exec.Command(program, "--config", filepath.Join(folder, "config", resources.ConfigFile)))
}

// tryCommands gives the sample's commands one after the other and looks each time
// for what it means to the table.
func tryCommands(t *testing.T, s *sample, cache *v1alpha1.WriteBehindCache, rdb *redis.Client, db *postgrestest.Database) {
	t.Helper()
	tried := map[string]bool{}
	for _, words := range s.commands {
		parse := parseCall
		if cache.Spec.Capture == v1alpha1.CaptureReplication {
			parse = func(words []string) (*call, error) { return parseNative(cache.Spec.Mappings, words) }
		}
		call, err := parse(words)
		if err != nil {
			t.Fatal(err)
		}
		tried[call.queue] = true
		i := slices.IndexFunc(cache.Spec.Mappings, func(m v1alpha1.Mapping) bool { return m.Name == call.queue })
		if i < 0 {
			t.Fatalf("%v: there is no mapping %s", words, call.queue)
		}
		var answer any
		// Until a flusher has loaded the functions, there is nothing to call.
		programs.Usual.Eventually(t, fmt.Sprint(words), func() (err error) {
			answer, err = rdb.Do(t.Context(), arguments(words)...).Result()
			return err
		})
		call.learn(answer)
		for key, document := range call.documents {
			row, there := strings.CutPrefix(key, cache.Spec.Mappings[i].KeyPrefix)
			if !there {
				t.Fatalf("%v: %s is not under the prefix", words, key)
			}
			programs.Usual.Eventually(t, fmt.Sprint(words, " is in the table"), func() error {
				if call.gone {
					return noRow(t.Context(), db, &cache.Spec.Mappings[i], row, document)
				}
				return compareRow(t.Context(), db, &cache.Spec.Mappings[i], row, document)
			})
		}
	}
	for i := range cache.Spec.Mappings {
		if name := cache.Spec.Mappings[i].Name; !tried[name] {
			t.Errorf("no command of the sample writes to %s", name)
		}
	}
}

// call is a write: the document of each key, or what is gone of it. answered is the field that
// the answer tells, if any.
type call struct {
	queue     string
	documents map[string]map[string]any
	gone      bool
	answered  string
}

// learn takes what the command's answer says of the document.
func (c *call) learn(answer any) {
	if c.answered == "" {
		return
	}
	for _, document := range c.documents {
		document[c.answered] = fmt.Sprint(answer)
	}
}

// parseCall reads FCALL function numkeys key... queue value...
func parseCall(words []string) (*call, error) {
	var keys int
	if len(words) < 5 {
		return nil, fmt.Errorf("%v is too short", words)
	}
	if _, err := fmt.Sscan(words[2], &keys); err != nil || len(words) < 4+keys {
		return nil, fmt.Errorf("%v has no number of keys that fits", words)
	}
	c := &call{queue: words[3+keys], documents: map[string]map[string]any{}, gone: words[1] == "wb_del"}
	values := words[4+keys:]
	for i, key := range words[3 : 3+keys] {
		c.documents[key] = nil
		if c.gone {
			continue
		}
		var document map[string]any
		if len(values) != keys {
			return nil, fmt.Errorf("%v has %d values for %d keys", words, len(values), keys)
		}
		if err := json.Unmarshal([]byte(values[i]), &document); err != nil {
			return nil, fmt.Errorf("%s is no document: %w", values[i], err)
		}
		c.documents[key] = document
	}
	return c, nil
}

// parseNative reads a command of Redis' own: what it makes of the fields that it names.
func parseNative(mappings []v1alpha1.Mapping, words []string) (*call, error) {
	i := slices.IndexFunc(mappings, func(m v1alpha1.Mapping) bool { return len(words) > 1 && strings.HasPrefix(words[1], m.KeyPrefix) })
	if i < 0 {
		return nil, fmt.Errorf("%v is of no mapping", words)
	}
	m, document := &mappings[i], map[string]any{}
	c := &call{queue: m.Name, documents: map[string]map[string]any{words[1]: document}}
	fields := func(words []string) {
		for i := 0; i+1 < len(words); i += 2 {
			document[words[i]] = words[i+1]
		}
	}
	switch command, last := words[0], words[len(words)-1]; command {
	case "SET", "SETEX":
		if m.Encoding == v1alpha1.EncodingNumber {
			document[m.ValueColumn] = last
		} else if err := json.Unmarshal([]byte(last), &document); err != nil {
			return nil, fmt.Errorf("%s is no document: %w", last, err)
		}
	case "DEL":
		c.gone = true
	case "HSET":
		fields(words[2:])
	case "HINCRBY":
		c.answered = words[2]
	case "INCR", "INCRBY", "DECR":
		c.answered = m.ValueColumn
	case "ZADD":
		document[m.ScoreColumn], document[m.MemberColumn] = words[2], last
	case "ZINCRBY":
		document[m.MemberColumn], c.answered = last, m.ScoreColumn
	case "ZREM":
		document[m.MemberColumn], c.gone = last, true
	case "XADD":
		fields(words[slices.Index(words, "*")+1:])
		c.answered = m.IDColumn
	}
	return c, nil
}

// rowsOf is FROM and WHERE of the rows of a key: of one member or entry, if the document
// names it.
func rowsOf(m *v1alpha1.Mapping, key string, document map[string]any) (sql string, args []any) {
	sql = fmt.Sprintf("FROM %s t WHERE t.%s::text = $1", tableOf(m), pgx.Identifier{m.KeyColumn}.Sanitize())
	args = []any{key}
	for _, column := range []string{m.MemberColumn, m.IDColumn} {
		if value, named := document[column]; named {
			args = append(args, value)
			sql += fmt.Sprintf(" AND t.%s::text = $%d", pgx.Identifier{column}.Sanitize(), len(args))
		}
	}
	return sql, args
}

func tableOf(m *v1alpha1.Mapping) string {
	return pgx.Identifier(strings.Split(m.Table, ".")).Sanitize()
}

// noRow fails while there is one.
func noRow(ctx context.Context, db *postgrestest.Database, m *v1alpha1.Mapping, key string, document map[string]any) error {
	var rows int
	sql, args := rowsOf(m, key, document)
	if err := db.Pool().QueryRow(ctx, "SELECT count(*) "+sql, args...).Scan(&rows); err != nil {
		return err
	}
	if rows != 0 {
		return fmt.Errorf("rows that are still there: %d", rows)
	}
	return nil
}

// compareRow compares a row with what PostgreSQL itself makes of the document. Of a hash it
// looks at the fields that were written alone.
func compareRow(ctx context.Context, db *postgrestest.Database, m *v1alpha1.Mapping, key string, document map[string]any) error {
	wanted := map[string]any{m.KeyColumn: key}
	if len(m.Columns) == 0 {
		maps.Copy(wanted, document)
	}
	for _, column := range m.Columns {
		value, named := document[column.Field]
		switch {
		case column.Field == "$":
			wanted[column.Column] = document
		case named || m.Encoding != v1alpha1.EncodingHash:
			wanted[column.Column] = value
		}
	}
	encoded, err := json.Marshal(wanted)
	if err != nil {
		return err
	}
	var got, want []byte
	sql, args := rowsOf(m, key, document)
	args = append(args, string(encoded))
	query := fmt.Sprintf("SELECT to_jsonb(t), to_jsonb(jsonb_populate_record(NULL::%s, $%d::jsonb)) %s", tableOf(m), len(args), sql)
	if err := db.Pool().QueryRow(ctx, query, args...).Scan(&got, &want); err != nil {
		return err
	}
	var gotRow, wantRow map[string]any
	if err := errors.Join(json.Unmarshal(got, &gotRow), json.Unmarshal(want, &wantRow)); err != nil {
		return err
	}
	for column := range wanted {
		value, there := gotRow[column]
		if !there {
			return fmt.Errorf("the table has no column %s, which the document names", column)
		}
		if difference := cmp.Diff(wantRow[column], value); value == nil || difference != "" {
			return fmt.Errorf("column %s is %v: %s", column, value, difference)
		}
	}
	return nil
}
