// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"github.com/writebehind/operator/internal/flusher/postgres/postgrestest"
	"github.com/writebehind/operator/test/kube"
)

// startDatabaseTimeout covers making a new PostgreSQL instance or pulling the
// image of one.
const startDatabaseTimeout = 2 * time.Minute

// database is the demo's PostgreSQL, as it is reached from this machine and
// from inside the cluster.
type database struct {
	here, inside string
	// where says in words where it is, psql how a person looks into it.
	where, psql string
}

// givenDatabase is the user's own.
func givenDatabase(url string) database {
	return database{here: url, inside: url, where: "your own", psql: psqlByURL(url)}
}

func psqlByURL(url string) string { return "psql '" + url + "'" }

// server is what a running PostgreSQL of the demo leaves behind for the next
// command, in stateFile.
type server struct {
	PID int    `json:"pid"`
	URL string `json:"url"`
}

// stateDir is where a PostgreSQL on this machine keeps what it needs. A demo whose
// local cluster has a folder of its own has it beside that: two demos are two databases.
func stateDir() string {
	if dir := os.Getenv("WRITEBEHIND_CLUSTER_DIR"); dir != "" {
		return filepath.Clean(dir) + "-demo"
	}
	return filepath.Join(os.TempDir(), "writebehind-demo")
}

func stateFile() string { return filepath.Join(stateDir(), "postgres.json") }

// startOnHost starts a PostgreSQL on this machine that pods of the local
// cluster can reach and that outlives the demo, or finds the one that is
// running.
func startOnHost(ctx context.Context, cluster *kube.Cluster) (database, error) {
	gateway, err := cluster.Gateway(ctx)
	if err != nil {
		return database{}, err
	}
	running, err := runningServer()
	if err != nil {
		return database{}, err
	}
	if running == nil {
		if running, err = detach(ctx, gateway); err != nil {
			return database{}, fmt.Errorf("start PostgreSQL: %w", err)
		}
	}
	return database{
		here: running.URL, inside: running.URL,
		where: fmt.Sprintf("a process of this machine, listening on %s, where pods reach it", gateway),
		psql:  psqlByURL(running.URL),
	}, nil
}

// runningServer reads the state of an earlier start; nil means that there is
// none any more.
func runningServer() (*server, error) {
	content, err := os.ReadFile(stateFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	s := &server{}
	if err := json.Unmarshal(content, s); err != nil {
		return nil, fmt.Errorf("read %s: %w", stateFile(), err)
	}
	if !s.alive() {
		return nil, os.RemoveAll(stateDir())
	}
	return s, nil
}

// alive reports whether the process is still this program: a process id may have
// gone to another one.
func (s *server) alive() bool {
	self, err := os.Executable()
	if err != nil {
		return false
	}
	command, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", s.PID))
	return err == nil && strings.HasPrefix(string(command), filepath.Clean(self)+"\x00serve-postgres\x00")
}

// detach starts this program once more as PostgreSQL's guardian, in a session
// of its own, and waits until it has written its state.
func detach(ctx context.Context, host string) (*server, error) {
	if err := os.MkdirAll(stateDir(), 0o755); err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(stateDir(), "postgres.log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	// Without a context: it goes on when the demo has ended.
	cmd := exec.Command(self, "serve-postgres", "--host", host)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	exited := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(exited)
	}()
	var s *server
	err = poll(ctx, startDatabaseTimeout, func() (bool, error) {
		select {
		case <-exited:
			text, _ := os.ReadFile(log.Name())
			return false, errors.New(strings.TrimSpace(string(text)))
		default:
		}
		s, err = runningServer()
		return s != nil, err
	})
	return s, err
}

// stopOnHost ends the PostgreSQL that startOnHost started, with its data.
func stopOnHost(ctx context.Context) error {
	running, err := runningServer()
	if err != nil || running == nil {
		return err
	}
	if err := syscall.Kill(running.PID, syscall.SIGTERM); err != nil {
		return fmt.Errorf("end PostgreSQL: %w", err)
	}
	return poll(ctx, startDatabaseTimeout, func() (bool, error) { return !running.alive(), nil })
}

// servePostgresCommand is PostgreSQL's guardian: it runs until it is ended, and
// takes the instance and its data away with it.
func servePostgresCommand() *cobra.Command {
	var host string
	cmd := &cobra.Command{
		Use: "serve-postgres", Hidden: true, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return servePostgres(cmd.Context(), host)
		},
	}
	cmd.Flags().StringVar(&host, "host", "127.0.0.1", "address to listen on")
	return cmd
}

func servePostgres(ctx context.Context, host string) (err error) {
	instance, err := postgrestest.Start(ctx, postgrestest.Options{ListenAddresses: host, Durable: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, instance.Stop(), os.RemoveAll(stateDir())) }()
	if err := makeShop(ctx, instance.SocketURL("postgres")); err != nil {
		return err
	}
	address := net.JoinHostPort(host, strconv.Itoa(instance.Port()))
	content, err := json.Marshal(server{PID: os.Getpid(), URL: shopURL(address)})
	if err != nil {
		return err
	}
	// By rename, so that a reader sees all of it or nothing.
	temporary := stateFile() + ".new"
	if err := os.WriteFile(temporary, content, 0o600); err != nil {
		return err
	}
	if err := os.Rename(temporary, stateFile()); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// shopPassword is that of a throwaway database; a pod in postgres.yaml has it
// too.
const shopPassword = "demo"

// shopURL is the URL that a database's owner would give to the flushers.
func shopURL(address string) string {
	return fmt.Sprintf("postgresql://shop:%s@%s/shop?sslmode=disable", shopPassword, address)
}

// makeShop makes the database shop and its owner, who is nobody special
// otherwise.
func makeShop(ctx context.Context, url string) error {
	db, err := pgx.Connect(ctx, url)
	if err != nil {
		return fmt.Errorf("connect to PostgreSQL: %w", err)
	}
	defer db.Close(ctx)
	for _, statement := range []string{
		"CREATE ROLE shop LOGIN PASSWORD '" + shopPassword + "'",
		"CREATE DATABASE shop OWNER shop",
	} {
		if _, err := db.Exec(ctx, statement); err != nil {
			return fmt.Errorf("make the database shop: %w", err)
		}
	}
	return nil
}

//go:embed postgres.yaml
var inClusterManifest []byte

// startInCluster runs a PostgreSQL as a pod: the database of this machine may
// not be reachable from a cluster somewhere else.
func startInCluster(ctx context.Context, cluster *kube.Cluster, namespace string) (database, error) {
	if _, err := cluster.Apply(ctx, inClusterManifest, "-n", namespace); err != nil {
		return database{}, err
	}
	if _, err := cluster.Kubectl(ctx, "rollout", "status", "deployment", "shop-postgres", "-n", namespace,
		"--timeout", startDatabaseTimeout.String()); err != nil {
		return database{}, err
	}
	address, err := cluster.Forward(ctx, namespace, "deployment/shop-postgres", "5432")
	if err != nil {
		return database{}, err
	}
	return database{
		here:   shopURL(address),
		inside: shopURL("shop-postgres." + namespace + ".svc:5432"),
		where:  "Deployment shop-postgres in namespace " + namespace,
		psql:   "kubectl exec -n " + namespace + " deploy/shop-postgres -- psql -U shop shop",
	}, nil
}
