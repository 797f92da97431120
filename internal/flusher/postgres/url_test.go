// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/postgres/postgrestest"
)

// Whatever a password looks like, no piece of it is told, be the URL whole or not.
func TestNoPartOfAPasswordIsTold(t *testing.T) {
	t.Parallel()
	server := postgrestest.New(t)
	u, err := url.Parse(server.URL())
	if err != nil {
		t.Fatal(err)
	}
	host := u.Host
	for name, text := range map[string]string{
		"an at sign and a slash":        "postgres://u:p@S3cret/word@HOST/db",
		"an at sign":                    "postgres://u:p@S3cret@HOST/db",
		"a slash":                       "postgres://u:pa/S3cret@HOST/db",
		"a slash behind a number":       "postgres://S3cret:12/word@HOST/db",
		"a hash":                        "postgres://u:p#S3cret@HOST/db",
		"a question mark":               "postgres://u:p?S3cret@HOST/db",
		"a question mark and a pair":    "postgres://u:p?S3cret=1@HOST/db",
		"a colon":                       "postgres://u:p:S3cret@HOST/db",
		"a percent sign":                "postgres://u:p%S3cret@HOST/db",
		"a space":                       "postgres://u:p S3cret@HOST/db",
		"brackets":                      "postgres://u:p[S3cret]@HOST/db",
		"a comma":                       "postgres://u:p@S3cret,word@HOST/db",
		"an at sign, a socket":          "postgres://u:p@S3cret@%2Fvar%2Frun/db",
		"an at sign, several hosts":     "postgres://u:p@S3cret@HOST,HOST/db",
		"an at sign, IPv6":              "postgres://u:p@S3cret@[::1]:1/db",
		"an at sign and a question":     "postgres://u:p@S3cret?x@HOST/db",
		"an at sign at the host's port": "postgres://u:p@S3cret:1/x@HOST/db",
		"no user":                       "postgres://S3cret",
		"no host":                       "postgres://u:S3cret@/db",
		"in quotation marks":            `"postgres://u:S3cret@HOST/db"`,
		"with a name before":            "DATABASE_URL=postgres://u:S3cret@HOST/db",
		"keywords":                      "host=127.0.0.1 port=1 user=u password=S3cret",
		"keywords with a space":         "host=127.0.0.1 port=1 user=u password=p S3cret",
		"keywords with a pair":          "host=127.0.0.1 port=1 user=u password=p S3cret=1",
		"keywords with an open quote":   "host=127.0.0.1 port=1 user=u password='S3cret",
		"keywords with a quote":         `host=127.0.0.1 port=1 user=u password='S3c\'ret' connect_timeout=1`,
		"a percent-encoded password":    "postgres://u:p%40S3cret@HOST/db",
		"a question mark and a word":    "postgres://u:p?S3cret",
		"two URLs":                      "postgres://u:S3cret@HOST/db\npostgres://u:S3cret@HOST/db",
		"keywords, the host twice":      "host=127.0.0.1 port=1 user=u password=p host=S3cret dbname=db",
		"a value that is refused":       "URL&work_mem=S3cret",
		"a parameter without a value":   "URL&sslmode=S3cret=1",
		"a parameter":                   "postgres://u@HOST/db?password=S3cret",
		"JDBC":                          "jdbc:postgresql://HOST/db?user=u&password=S3cret",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := openURL(t, strings.ReplaceAll(strings.ReplaceAll(text, "HOST", host), "URL", server.URL()), func(s *Settings) { s.URLSecret = "Secret shop-db, key uri" })
			check := d.Check(t.Context())
			_, err := d.Acquire(t.Context(), "j", "q", 0)
			if check.OK || err == nil {
				t.Fatal("the URL is taken")
			}
			if name == "no user" {
				return // It is the host's place.
			}
			for _, said := range []string{check.Message, err.Error()} {
				for _, piece := range []string{"S3c", "s3c"} {
					if strings.Contains(said, piece) {
						t.Errorf("%s: %q is told in %q", check.Reason, piece, said)
					}
				}
			}
			if !strings.Contains(text, "\n") && strings.Count(text, "@") > 1 && !strings.Contains(check.Message, "percent-encode") {
				t.Errorf("Check = %s: %s; want what to do", check.Reason, check.Message)
			}
		})
	}
}

func TestWhatIsWrongWithAURLIsNamed(t *testing.T) {
	t.Parallel()
	server := postgrestest.New(t)
	dir := t.TempDir()
	write := func(name string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte("S3cret"), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	plain := write("plain", 0o600)
	base := strings.TrimSuffix(server.URL(), "?sslmode=disable")
	for name, test := range map[string]struct {
		url  string
		says string
	}{
		"a mode that there is not":         {base + "?sslmode=verify_full", "its sslmode must be one of disable, allow, prefer, require, verify-ca, verify-full"},
		"a root certificate that is gone":  {base + "?sslmode=verify-full&sslrootcert=" + dir + "/gone", "the file that its sslrootcert names does not exist where the flusher runs; in Kubernetes let database.postgres.tls"},
		"a root certificate that is none":  {base + "?sslmode=verify-full&sslrootcert=" + plain, "the file that its sslrootcert names holds no certificate"},
		"a directory":                      {base + "?sslmode=verify-full&sslrootcert=" + dir, "the file that its sslrootcert names cannot be read"},
		"a key that is gone":               {base + "?sslmode=require&sslcert=" + plain + "&sslkey=" + dir + "/gone", "the file that its sslkey names does not exist"},
		"a key that is none":               {base + "?sslmode=require&sslcert=" + plain + "&sslkey=" + plain, "the file that its sslkey names holds no key"},
		"a certificate alone":              {base + "?sslmode=require&sslcert=" + plain, "its sslcert and sslkey go together"},
		"a host's state that there is not": {base + "?target_session_attrs=master", "its target_session_attrs must be one of any, read-write"},
		"a time that is no number":         {base + "?connect_timeout=5s", "its connect_timeout must be a number of seconds"},
		"Prisma's pooler":                  {base + "?pgbouncer=true", "its parameter pgbouncer is one of Prisma, which PostgreSQL does not know: leave it out; a flusher prepares no statements"},
		"Prisma's schema":                  {base + "?schema=public", "its parameter schema is one of Prisma"},
		"Prisma's limit":                   {base + "?connection_limit=1", "its parameter connection_limit is one of Prisma, which PostgreSQL does not know: leave it out; postgres.maxConnections"},
		"Rails' pool":                      {base + "?pool=5", "its parameter pool is one of Rails"},
		"JDBC's schema":                    {base + "?currentSchema=x", "its parameter currentSchema is one of JDBC"},
		"GSSAPI":                           {base + "?gssencmode=require", "its parameter gssencmode cannot be used here"},
		"revoked certificates":             {base + "?sslcrl=/x", "its parameter sslcrl cannot be used here"},
		"JDBC":                             {"jdbc:postgresql://h/db", "it is one of JDBC"},
		"SQLAlchemy":                       {"postgresql+asyncpg://u:S3cret@h/db", "as SQLAlchemy does"},
		"another database":                 {"mysql://u:S3cret@h/db", "it does not begin with postgres://"},
		"quotation marks":                  {`'postgres://u:S3cret@h/db'`, "quotation marks"},
		"a setting that there is not":      {server.URL() + "&nonsense=1", "refuses a parameter that the URL sets: nonsense"},
		"a setting in another case":        {server.URL() + "&timezone=Nope", "refuses a parameter that the URL sets: timezone"},
		"a setting of two words":           {server.URL() + "&datestyle=S3cret", "refuses a parameter that the URL sets: datestyle"},
		"a value named as another setting": {server.URL() + "&search_path=public&datestyle=search_path", "refuses a parameter that the URL sets: datestyle"},
		"a setting in options":             {server.URL() + "&options=-c%20nope%3DS3cret", "refuses a parameter that the URL sets: nope in options"},
		"a long setting in options":        {server.URL() + "&options=--Work-Mem%3DS3cret%20-c%20search_path%3Dx", "refuses a parameter that the URL sets: Work_Mem in options"},
		"options that are none":            {server.URL() + "&options=S3cret", "refuses a parameter that the URL sets: options"},
		"a cache that is no number":        {server.URL() + "&description_cache_capacity=S3cret", "its description_cache_capacity must be a whole number"},
		"another cache":                    {server.URL() + "&statement_cache_capacity=S3cret", "its statement_cache_capacity must be a whole number"},
		"a mode of the driver":             {server.URL() + "&default_query_exec_mode=S3cret", "its default_query_exec_mode is not a known mode"},
		"no value":                         {server.URL() + "&x", "its parameter x has no value: give x=value"},
		"no value, the first":              {base + "?sslmode", "its parameter sslmode has no value"},
		"no value, no user":                {"postgres://127.0.0.1:5432/db?sslmode", "its parameter sslmode has no value"},
		"two values":                       {server.URL() + "&application_name=S3cret=2", "its parameter application_name has a second =: write %3D"},
		"no parameter":                     {server.URL() + "&&x=1", "leave out the & that is too many"},
		"two URLs":                         {server.URL() + "\n" + server.URL(), "it has several lines: give one URL alone"},
		"keywords that cannot be read":     {"host=127.0.0.1 password='S3cret", "stands in single quotation marks"},
		"a setting's value":                {server.URL() + "&work_mem=much", "refuses a parameter that the URL sets: work_mem"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := openURL(t, test.url, func(s *Settings) { s.URLSecret = "Secret shop-db, key uri" })
			check := d.Check(t.Context())
			failing(t, check, v1alpha1.ReasonInvalidURL, test.says, "Secret shop-db, key uri")
			if strings.Contains(check.Message, "S3cret") || strings.Contains(check.Message, dir) {
				t.Errorf("the message %q has a part of the URL", check.Message)
			}
		})
	}
}

// What may be none of what it looks like is told in whole sentences, with what helps
// its form.
func TestDoubtIsToldInWholeSentences(t *testing.T) {
	t.Parallel()
	server := postgrestest.NewServer(t, postgrestest.Options{AccessRules: []string{"host all all all trust"}}).NewDatabase(t)
	u, err := url.Parse(server.URL())
	if err != nil {
		t.Fatal(err)
	}
	at, space := "an @ or a / of the user or the password seems to stand for itself", "put the value in single quotation marks"
	keywords := "host=" + u.Hostname() + " port=" + u.Port() + " dbname=" + server.Name() + " user=nouser sslmode=disable"
	for text, says := range map[string]string{
		"postgres://nouser:pw@" + u.Host + "/" + server.Name() + "@x?sslmode=disable": at,
		keywords + " password=a b=c":         space,
		keywords + " password=a user=nobody": space,
		keywords:                             "; where it exists: run as an administrator: ALTER ROLE",
	} {
		check := openURL(t, text).Check(t.Context())
		failing(t, check, v1alpha1.ReasonAuthenticationFailed, says)
		if says != at && strings.Contains(check.Message, at) || strings.Contains(check.Message, "exists;") {
			t.Errorf("%s gives %s", text, check.Message)
		}
	}
}

// What libpq reads and a flusher has no need of is no fault.
func TestParametersOfLibpqAreTaken(t *testing.T) {
	t.Parallel()
	server := postgrestest.New(t)
	for _, more := range []string{
		"keepalives=1&keepalives_idle=30&keepalives_interval=5&keepalives_count=3&tcp_user_timeout=1000", "gssencmode=disable", "gssencmode=prefer", "channel_binding=prefer",
		"target_session_attrs=any", "target_session_attrs=primary", "connect_timeout=3", "options=-c%20work_mem%3D8MB", "passfile=/nowhere", "fallback_application_name=x",
		"application_name=shop", "client_encoding=auto", "load_balance_hosts=disable", "sslcompression=0", "ssl_min_protocol_version=TLSv1.2", "replication=false", "krbsrvname=postgres",
		"sslsni=1", "require_auth=scram-sha-256", "pool_max_conns=3",
	} {
		t.Run(more, func(t *testing.T) {
			t.Parallel()
			ready(t, openURL(t, server.URL()+"&"+more))
		})
	}
}
