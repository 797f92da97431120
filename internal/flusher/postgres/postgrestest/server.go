// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package postgrestest runs real PostgreSQL servers: one for a test binary's
// tests, with a fresh database for each, and others that a test may stop, kill
// and start again. It also serves demonstrations and end-to-end runs.
package postgrestest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// Superuser is the name of every server's superuser.
const Superuser = "postgres"

// Options say how a server is to run. The zero value gives a throw-away server
// on a free port of the loopback address.
type Options struct {
	// Dir is where the server lives. It is kept when the server ends, and a
	// server that lived there before is started again. Without it a temporary
	// directory is made and removed.
	Dir string
	// Port is the TCP port; 0 takes a free one.
	Port int
	// ListenAddresses are as in postgresql.conf; without them 127.0.0.1.
	ListenAddresses string
	// AccessRules are lines for pg_hba.conf, put before its own, by which local
	// connections need no password and all others do.
	AccessRules []string
	// Settings are parameters for the server.
	Settings map[string]string
	// Password is the superuser's; without it "postgres". It counts when the
	// directory is made.
	Password string
	// Durable waits for the disk as a real server does. Without it a crash of
	// the machine loses data, though a crash of the server does not.
	Durable bool
	// Log takes what the server writes; without it a file in Dir does.
	Log io.Writer
}

// Server is a running PostgreSQL server.
type Server struct {
	options Options
	bin     string
	dir     string
	port    int
	uid     *syscall.Credential
	guard   io.Closer

	mu      sync.Mutex
	process *exec.Cmd
	ended   chan struct{}
}

const (
	// startTimeout bounds the wait for a server to accept connections, and for
	// its predecessor's processes to go.
	startTimeout = time.Minute
	// pollInterval is how often a server that starts is asked whether it has.
	pollInterval = 20 * time.Millisecond
)

// Start makes the server's directory if need be, starts the server and waits
// until it accepts connections. The server ends with Stop, and in any case with
// this process, however that ends.
func Start(ctx context.Context, o Options) (*Server, error) {
	if o.Password == "" {
		o.Password = "postgres"
	}
	if o.ListenAddresses == "" {
		o.ListenAddresses = "127.0.0.1"
	}
	bin, err := binaries(ctx)
	if err != nil {
		return nil, err
	}
	s := &Server{options: o, bin: bin, dir: o.Dir, port: o.Port}
	if s.uid, err = unprivileged(); err != nil {
		return nil, err
	}
	if err := s.prepare(ctx); err != nil {
		return nil, errors.Join(err, s.remove())
	}
	if err := s.startGuard(); err != nil {
		return nil, errors.Join(err, s.remove())
	}
	if err := s.start(ctx); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

// binaries finds the directory of the server's programs.
func binaries(ctx context.Context) (string, error) {
	var candidates []string
	if out, err := exec.CommandContext(ctx, "pg_config", "--bindir").Output(); err == nil {
		candidates = append(candidates, strings.TrimSpace(string(out)))
	}
	for _, pattern := range []string{"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql@*/bin"} {
		found, _ := filepath.Glob(pattern)
		slices.SortFunc(found, func(a, b string) int { return version(b) - version(a) })
		candidates = append(candidates, found...)
	}
	if path, err := exec.LookPath("initdb"); err == nil {
		candidates = append(candidates, filepath.Dir(path))
	}
	for _, dir := range candidates {
		if isProgram(filepath.Join(dir, "initdb")) && isProgram(filepath.Join(dir, "postgres")) {
			return dir, nil
		}
	}
	return "", errors.New("no PostgreSQL server found by pg_config, in /usr/lib/postgresql/*/bin or on the PATH: " +
		"install one, such as Debian's package postgresql or Fedora's postgresql-server")
}

// version is the number in a path such as /usr/lib/postgresql/15/bin.
func version(path string) int {
	digits := strings.TrimFunc(filepath.Dir(path), func(r rune) bool { return r < '0' || r > '9' })
	n, _ := strconv.Atoi(digits)
	return n
}

func isProgram(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

// unprivileged is the user that the server runs as: PostgreSQL refuses to run
// as root.
func unprivileged() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err1 == nil && err2 == nil {
			return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid), NoSetGroups: false}, nil
		}
	}
	return nil, errors.New("PostgreSQL refuses to run as root, and there is neither a user postgres nor nobody: run as another user")
}

// own gives a path to the user that the server runs as.
func (s *Server) own(path string) error {
	if s.uid == nil {
		return nil
	}
	return os.Chown(path, int(s.uid.Uid), int(s.uid.Gid))
}

func (s *Server) data() string {
	return filepath.Join(s.dir, "data")
}

// prepare makes the directory, the data and the configuration.
func (s *Server) prepare(ctx context.Context) error {
	if err := s.place(); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(s.data(), "PG_VERSION")); err != nil {
		if err := s.initdb(ctx); err != nil {
			return err
		}
	}
	return s.configure()
}

// place finds the server a directory and a port.
func (s *Server) place() error {
	var err error
	if s.dir == "" {
		s.dir, err = os.MkdirTemp("", "pg")
	} else {
		if s.dir, err = filepath.Abs(s.dir); err == nil {
			err = os.MkdirAll(s.dir, 0o700)
		}
	}
	if err != nil {
		return fmt.Errorf("make the server's directory: %w", err)
	}
	if err := s.own(s.dir); err != nil {
		return fmt.Errorf("make the server's directory: %w", err)
	}
	if s.port == 0 {
		if s.port, err = freePort(); err != nil {
			return fmt.Errorf("find a free port: %w", err)
		}
	}
	return nil
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	port := l.Addr().(*net.TCPAddr).Port
	return port, l.Close()
}

func (s *Server) initdb(ctx context.Context) error {
	passwords := filepath.Join(s.dir, "password")
	if err := os.WriteFile(passwords, []byte(s.options.Password+"\n"), 0o600); err != nil {
		return fmt.Errorf("write the superuser's password: %w", err)
	}
	defer os.Remove(passwords)
	if err := s.own(passwords); err != nil {
		return fmt.Errorf("write the superuser's password: %w", err)
	}
	args := []string{
		"-D", s.data(), "-U", Superuser, "--pwfile", passwords,
		"--auth-local=trust", "--auth-host=scram-sha-256", "--encoding=UTF8", "--locale=C",
	}
	if !s.options.Durable {
		args = append(args, "--no-sync")
	}
	cmd := s.command(ctx, "initdb", args...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, out)
	}
	return nil
}

// configure writes the settings anew at every start, so that a directory that
// is used again follows the options.
func (s *Server) configure() error {
	settings := map[string]string{
		"listen_addresses":        s.options.ListenAddresses,
		"port":                    strconv.Itoa(s.port),
		"unix_socket_directories": s.dir,
		"max_connections":         "200",
		"shared_buffers":          "128MB",
		"timezone":                "UTC",
		"log_timezone":            "UTC",
	}
	if !s.options.Durable {
		settings["fsync"] = "off"
	}
	maps.Copy(settings, s.options.Settings)
	var text strings.Builder
	for name, value := range settings {
		fmt.Fprintf(&text, "%s = '%s'\n", name, strings.ReplaceAll(value, "'", "''"))
	}
	// postgresql.auto.conf is read last, and never written by hand elsewhere.
	if err := s.write("postgresql.auto.conf", text.String()); err != nil {
		return err
	}
	rules := append(slices.Clone(s.options.AccessRules),
		"local all all trust",
		"host all all all scram-sha-256",
		"local replication all trust",
		"host replication all all scram-sha-256", "")
	return s.write("pg_hba.conf", strings.Join(rules, "\n"))
}

func (s *Server) write(name, text string) error {
	path := filepath.Join(s.data(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return fmt.Errorf("configure the server: %w", err)
	}
	return s.own(path)
}

// command prepares one of the server's programs, apart from this process's own
// group, so that an interrupt from the keyboard does not reach it.
func (s *Server) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(s.bin, name), args...)
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), "LC_ALL=C", "PGDATA=")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.uid, Setpgid: true}
	return cmd
}

// startGuard starts a process that waits for this one to end, in whatever way,
// and then ends the server and removes what must not stay. It waits by reading
// from a pipe that nobody else can write to.
func (s *Server) startGuard() error {
	const script = `cat >/dev/null
if [ -f "$1/data/postmaster.pid" ]; then
  pid=$(head -n 1 "$1/data/postmaster.pid")
  kill -QUIT "$pid" 2>/dev/null
  for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.1
  done
fi
if [ "$2" = remove ]; then rm -rf -- "$1"; fi`
	keep := "keep"
	if s.options.Dir == "" {
		keep = "remove"
	}
	guard := exec.Command("/bin/sh", "-c", script, "sh", s.dir, keep)
	guard.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	guard.Dir = "/"
	pipe, err := guard.StdinPipe()
	if err != nil {
		return fmt.Errorf("start the server's guard: %w", err)
	}
	if err := guard.Start(); err != nil {
		return fmt.Errorf("start the server's guard: %w", err)
	}
	s.guard = guardian{pipe, guard}
	return nil
}

// guardian lets the guard go and waits until it is done.
type guardian struct {
	pipe io.Closer
	cmd  *exec.Cmd
}

func (g guardian) Close() error {
	return errors.Join(g.pipe.Close(), g.cmd.Wait())
}

// start starts the server in the prepared directory and waits for it.
func (s *Server) start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		ended, err := s.launch()
		if err != nil {
			return err
		}
		err = s.awaitReady(ctx, ended)
		if err == nil {
			return nil
		}
		s.signal(syscall.SIGQUIT)
		<-ended
		// After a kill the old server's processes may still hold its shared
		// memory; then the new one ends at once and is started again.
		if !s.lingers() || ctx.Err() != nil {
			return fmt.Errorf("start PostgreSQL on port %d: %w: %s", s.port, err, s.logTail())
		}
		select {
		case <-ctx.Done():
		case <-time.After(pollInterval):
		}
	}
}

func (s *Server) logFile() string {
	return filepath.Join(s.dir, "log")
}

func (s *Server) launch() (chan struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	// The server must outlive the context that it is started with.
	cmd := s.command(context.Background(), "postgres", "-D", s.data())
	if s.options.Log != nil {
		cmd.Stdout, cmd.Stderr = s.options.Log, s.options.Log
	} else {
		log, err := os.OpenFile(s.logFile(), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
		if err != nil {
			return nil, fmt.Errorf("open the server's log: %w", err)
		}
		defer log.Close()
		cmd.Stdout, cmd.Stderr = log, log
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start PostgreSQL: %w", err)
	}
	ended := make(chan struct{})
	s.process, s.ended = cmd, ended
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	return ended, nil
}

func (s *Server) awaitReady(ctx context.Context, ended <-chan struct{}) error {
	for {
		conn, err := pgx.Connect(ctx, s.SocketURL("postgres"))
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-ended:
			return errors.New("the server ended")
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(pollInterval):
		}
	}
}

func (s *Server) lingers() bool {
	text := s.logTail()
	return strings.Contains(text, "shared memory block") || strings.Contains(text, "lock file")
}

func (s *Server) logTail() string {
	data, _ := os.ReadFile(s.logFile())
	return string(data[max(0, len(data)-2000):])
}

// signal sends a signal to the server's first process and gives the channel
// that is closed when it has ended; nil if it is not running.
func (s *Server) signal(sig syscall.Signal) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil {
		return nil
	}
	_ = s.process.Process.Signal(sig)
	return s.ended
}

// Shutdown ends the server as an administrator would, with open connections
// closed and everything written, and keeps its data; Restart starts it again.
func (s *Server) Shutdown() {
	if ended := s.signal(syscall.SIGINT); ended != nil {
		<-ended
	}
}

// Kill ends the server like a crash: with SIGKILL, or with SIGQUIT for what
// PostgreSQL calls an immediate shutdown. Restart starts it again, and it
// recovers.
func (s *Server) Kill(sig syscall.Signal) {
	backends := s.backends()
	ended := s.signal(sig)
	if ended == nil {
		return
	}
	<-ended
	// A backend outlives a postmaster that was killed until it next looks, and
	// would go on answering meanwhile.
	for _, pid := range backends {
		for syscall.Kill(pid, syscall.SIGKILL) == nil {
			time.Sleep(pollInterval)
		}
	}
}

// backends are the server's own processes; none where the system does not tell.
func (s *Server) backends() []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil {
		return nil
	}
	data, err := os.ReadFile(fmt.Sprintf("/proc/%[1]d/task/%[1]d/children", s.process.Process.Pid))
	if err != nil {
		return nil
	}
	var pids []int
	for field := range strings.FieldsSeq(string(data)) {
		if pid, err := strconv.Atoi(field); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// Restart ends the server, if it is running, and starts it on the same port.
func (s *Server) Restart(ctx context.Context) error {
	s.Shutdown()
	return s.start(ctx)
}

// Stop ends the server for good and removes its directory unless that was
// given.
func (s *Server) Stop() error {
	if ended := s.signal(syscall.SIGINT); ended != nil {
		select {
		case <-ended:
		case <-time.After(startTimeout):
			<-s.signal(syscall.SIGQUIT)
		}
	}
	if s.guard == nil {
		return s.remove()
	}
	return s.guard.Close()
}

func (s *Server) remove() error {
	if s.options.Dir != "" || s.dir == "" {
		return nil
	}
	return os.RemoveAll(s.dir)
}

// StartStandby starts a server that follows this one, read-only, on a port of
// its own.
func (s *Server) StartStandby(ctx context.Context) (*Server, error) {
	standby := &Server{options: s.options, bin: s.bin, uid: s.uid}
	standby.options.Dir, standby.options.Port = "", 0
	if err := standby.follow(ctx, s); err != nil {
		return nil, errors.Join(err, standby.remove())
	}
	if err := standby.startGuard(); err != nil {
		return nil, errors.Join(err, standby.remove())
	}
	if err := standby.start(ctx); err != nil {
		return nil, errors.Join(err, standby.Stop())
	}
	return standby, nil
}

func (s *Server) follow(ctx context.Context, primary *Server) error {
	if err := s.place(); err != nil {
		return err
	}
	source := fmt.Sprintf("host=%s port=%d user=%s", primary.dir, primary.port, Superuser)
	backup := s.command(ctx, "pg_basebackup", "-d", source, "-D", s.data(), "--checkpoint=fast", "--no-sync", "--wal-method=stream")
	if out, err := backup.CombinedOutput(); err != nil {
		return fmt.Errorf("pg_basebackup: %w: %s", err, out)
	}
	s.options.Settings = maps.Clone(s.options.Settings)
	if s.options.Settings == nil {
		s.options.Settings = map[string]string{}
	}
	s.options.Settings["primary_conninfo"] = source
	if err := s.write("standby.signal", ""); err != nil {
		return err
	}
	return s.configure()
}

// Port is the server's TCP port.
func (s *Server) Port() int {
	return s.port
}

// Dir is the server's directory; its socket lies there.
func (s *Server) Dir() string {
	return s.dir
}

// URL is the superuser's URL of a database over TCP.
func (s *Server) URL(database string) string {
	return s.UserURL(Superuser, s.options.Password, database)
}

// UserURL is a user's URL of a database over TCP.
func (s *Server) UserURL(name, password, database string) string {
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(name, password),
		Host: net.JoinHostPort(s.host(), strconv.Itoa(s.port)), Path: "/" + database, RawQuery: "sslmode=disable",
	}
	return u.String()
}

// host is an address that the server listens on.
func (s *Server) host() string {
	first, _, _ := strings.Cut(s.options.ListenAddresses, ",")
	switch first = strings.TrimSpace(first); first {
	case "*", "0.0.0.0", "localhost", "":
		return "127.0.0.1"
	case "::":
		return "::1"
	}
	return first
}

// SocketURL is the superuser's URL of a database over the Unix socket, which
// needs no password.
func (s *Server) SocketURL(database string) string {
	u := url.URL{
		Scheme: "postgres", User: url.User(Superuser), Path: "/" + database,
		RawQuery: url.Values{"host": {s.dir}, "port": {strconv.Itoa(s.port)}}.Encode(),
	}
	return u.String()
}
