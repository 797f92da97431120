// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"encoding/binary"
	"io"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/postgres/postgrestest"
)

// plainServer has no TLS, and does with a client's start what then says.
func plainServer(t *testing.T, then func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				for {
					size := make([]byte, 4)
					if _, err := io.ReadFull(c, size); err != nil {
						return
					}
					body := make([]byte, binary.BigEndian.Uint32(size)-4)
					if _, err := io.ReadFull(c, body); err != nil {
						return
					}
					if len(body) != 4 {
						then(c)
						return
					}
					if _, err := c.Write([]byte("N")); err != nil {
						return
					}
				}
			}()
		}
	}()
	return "postgres://u:S3cret@" + l.Addr().String() + "/db"
}

// silent holds the connection until the client lets go of it.
func silent(c net.Conn) { _, _ = io.Copy(io.Discard, c) }

func closing(net.Conn) {}

// saying ends the connection with words of a pooler.
func saying(words string) func(net.Conn) {
	return func(c net.Conn) {
		body := "SFATAL\x00C08P01\x00M" + words + "\x00\x00"
		_, _ = c.Write(append(binary.BigEndian.AppendUint32([]byte("E"), uint32(len(body)+4)), body...))
	}
}

// letting takes the user without a password, in the protocol's version 3.0.
func letting(c net.Conn) {
	_, _ = c.Write([]byte("v\x00\x00\x00\x0c\x00\x00\x00\x00\x00\x00\x00\x00R\x00\x00\x00\x08\x00\x00\x00\x00"))
	silent(c)
}

const noTLS = "the server has no TLS, which sslmode in the URL demands"

// That a server has no TLS is told only of those who demand it; of the others the
// attempt without says what is wrong.
func TestTheAttemptThatCameFurthestIsTold(t *testing.T) {
	t.Parallel()
	modes := map[string]bool{"": false, "prefer": false, "allow": false, "disable": false, "require": true, "verify-ca": true, "verify-full": true}
	for name, test := range map[string]struct {
		then func(net.Conn)
		more string
		says string
	}{
		"silence":          {silent, "", "no answer in time, although the connection was accepted"},
		"an end":           {closing, "", "the server closed it"},
		"a pooler's words": {saying("pgbouncer cannot connect to server"), "", "pgbouncer cannot connect to server"},
		"no password":      {letting, "require_auth=scram-sha-256", "by a method that require_auth in the URL does not allow"},
		"no binding":       {letting, "channel_binding=require", "which channel_binding in the URL demands"},
		"an old protocol":  {letting, "min_protocol_version=3.2", "that min_protocol_version in the URL demands"},
	} {
		for mode, demanded := range modes {
			t.Run(name+", "+mode, func(t *testing.T) {
				t.Parallel()
				query := strings.Trim(test.more+"&sslmode="+mode, "&")
				d := openURL(t, plainServer(t, test.then)+"?"+strings.TrimSuffix(query, "sslmode="))
				d.probeTimeout = time.Second
				says := test.says
				if demanded {
					says = noTLS
				}
				check := d.Check(t.Context())
				failing(t, check, v1alpha1.ReasonConnectionFailed, says)
				if !demanded && strings.Contains(check.Message, noTLS) {
					t.Errorf("Check = %s; nothing demands TLS", check.Message)
				}
			})
		}
	}
}

// A server that takes no TLS from one and no password from all tells of the password.
func TestARefusalWithTLSDoesNotHideTheOneWithout(t *testing.T) {
	t.Parallel()
	authority := postgrestest.NewAuthority(t)
	server := postgrestest.NewTLSServer(t, authority, "127.0.0.1", "hostssl all all all reject", "hostnossl all all all scram-sha-256").NewDatabase(t)
	url := strings.TrimSuffix(server.URL(), "?sslmode=disable")
	for _, mode := range []string{"", "?sslmode=prefer", "?sslmode=allow", "?sslmode=disable"} {
		failing(t, openURL(t, strings.Replace(url, ":postgres@", ":wrong@", 1)+mode).Check(t.Context()),
			v1alpha1.ReasonAuthenticationFailed, "refuses the user or the password")
		failing(t, openURL(t, strings.Replace(url, "/"+server.Name(), "/nothing", 1)+mode).Check(t.Context()),
			v1alpha1.ReasonInvalidURL, "does not exist")
	}
	failing(t, openURL(t, url+"?sslmode=require").Check(t.Context()), v1alpha1.ReasonAuthenticationFailed, "pg_hba.conf")
}

// A host of several that is away does not hide what another one says, in any order.
func TestAHostThatIsAwayDoesNotHideAnother(t *testing.T) {
	t.Parallel()
	hung := strings.TrimSuffix(strings.TrimPrefix(plainServer(t, closing), "postgres://u:S3cret@"), "/db")
	for _, hosts := range []string{"127.0.0.1:1," + hung, hung + ",127.0.0.1:1", "nowhere.invalid:1," + hung} {
		d := openURL(t, "postgres://u:S3cret@"+hosts+"/db")
		failing(t, d.Check(t.Context()), v1alpha1.ReasonConnectionFailed, "the server closed it")
	}
}

// A pooler that cannot reach its server tells only some of its clients why.
func TestAPoolersSilenceHasItsLastWords(t *testing.T) {
	t.Parallel()
	const words = `database "x" does not exist`
	var spoken atomic.Int32
	url := plainServer(t, func(c net.Conn) {
		if spoken.Add(1) == 1 {
			saying(words)(c)
			return
		}
		silent(c)
	})
	d := openURL(t, url)
	d.probeTimeout = time.Second
	for range 3 {
		failing(t, d.Check(t.Context()), v1alpha1.ReasonConnectionFailed, `in its own words: "database \"x\" does not exist"`)
	}
	// Words of one URL say nothing of another one.
	if err := os.WriteFile(d.settings.URLFile, []byte(plainServer(t, silent)), 0o600); err != nil {
		t.Fatal(err)
	}
	failing(t, d.Check(t.Context()), v1alpha1.ReasonConnectionFailed, "no answer in time, although the connection was accepted")
}
