// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package journaltest

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

// BinaryVariable names the environment variable that says which server program
// to start instead of the redis-server or valkey-server found in PATH.
const BinaryVariable = "REDIS_SERVER"

// Options say what kind of server to start. The zero value is a server without
// password, persistence and TLS, on a free port of 127.0.0.1.
type Options struct {
	// Binary is the server program; see BinaryVariable for the default.
	Binary string
	// Dir holds everything the server writes. It is not removed. Without one a
	// temporary directory is made, and removed by Stop and Close.
	Dir string
	// Host is the address to listen on; default 127.0.0.1.
	Host string
	// Config are further lines of redis.conf; they come last and so win.
	Config []string
	// Password is that of the default user.
	Password string
	// Users are ACL users as redis.conf writes them, without the word "user":
	// "app on >secret ~product:* +@all".
	Users []string
	// TLS makes the port a TLS port with certificates of a throwaway authority;
	// see Server.TLS.
	TLS bool
	// RequireClientCertificate refuses clients that show no certificate of that
	// authority. It needs TLS.
	RequireClientCertificate bool
	// Sentinel makes a Sentinel of it, which watches nothing but what Config says.
	Sentinel bool
	// Files are the certificates of another server of the same host, for servers that
	// trust each other. Without them TLS makes new ones.
	Files *TLSFiles
	// Log also receives everything that the server logs.
	Log io.Writer
}

func (s *Server) config() []byte {
	var b bytes.Buffer
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("bind %s", s.options.Host)
	line("dir %q", s.dir)
	line("daemonize no")
	line("protected-mode no")
	line("enable-debug-command local")
	line("appendonly no")
	line(`save ""`)
	if s.files == nil {
		line("port %d", s.port)
	} else {
		line("port 0")
		line("tls-port %d", s.port)
		line("tls-ca-cert-file %q", s.files.CA)
		line("tls-cert-file %q", s.files.serverCert)
		line("tls-key-file %q", s.files.serverKey)
		line("tls-replication yes")
		line("tls-auth-clients %s", map[bool]string{true: "yes", false: "no"}[s.options.RequireClientCertificate])
	}
	if s.options.Password != "" {
		line("requirepass %q", s.options.Password)
	}
	for _, user := range s.options.Users {
		line("user %s", user)
	}
	for _, text := range s.options.Config {
		line("%s", text)
	}
	return b.Bytes()
}

func findBinary(named string) (string, error) {
	if named == "" {
		named = os.Getenv(BinaryVariable)
	}
	candidates := []string{named}
	if named == "" {
		candidates = []string{"redis-server", "valkey-server"}
	}
	for _, name := range candidates {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s not found: install Redis 7 or later (Debian: apt-get install redis-server), "+
		"or name the program in %s", strings.Join(candidates, " or "), BinaryVariable)
}
