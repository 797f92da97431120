// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/writebehind/operator/internal/flusher/postgres/postgrestest"
	"github.com/writebehind/operator/test/kube"
)

const (
	// startTimeout is how long pods of a new cache may take until data flows.
	startTimeout = 2 * time.Minute
	// reportTimeout is the promise: what is wrong shows up in the conditions
	// within 15 s, and disappears as soon when it is mended.
	reportTimeout = 15 * time.Second
	// secretTimeout is the kubelet's time to sync a changed Secret, about a
	// minute and a half at worst, and then reportTimeout.
	secretTimeout = 2*time.Minute + reportTimeout
	// flushTimeout is how long a small queue may take until it is empty.
	flushTimeout = 30 * time.Second
	// settingsTimeout is the promise for a live setting, 2 s, and the time until
	// the status tells of it.
	settingsTimeout = 15 * time.Second
	// drainTimeout covers draining, and the end of the pods.
	drainTimeout = 2 * time.Minute
)

var (
	cluster  *kube.Cluster
	operator client.ObjectKey
	// image is the operator's, made of the programs in bin/.
	image    string
	postgres *postgrestest.Server
	gateway  string
)

func TestE2E(t *testing.T) {
	RegisterFailHandler(Fail)
	suiteConfig, reporterConfig := GinkgoConfiguration()
	RunSpecs(t, "End to end", suiteConfig, reporterConfig)
}

var _ = BeforeSuite(func(ctx SpecContext) {
	SetDefaultEventuallyTimeout(reportTimeout)
	// Without this an Eventually that is given the spec's context waits for as long
	// as the spec may take, and a promise of seconds would be kept by minutes.
	EnforceDefaultTimeoutsWhenUsingContexts()
	SetDefaultEventuallyPollingInterval(250 * time.Millisecond)
	var err error

	By("starting the local cluster, if it is not up")
	cluster, err = kube.Local(ctx, GinkgoWriter)
	Expect(err).NotTo(HaveOccurred())
	gateway, err = cluster.Gateway(ctx)
	Expect(err).NotTo(HaveOccurred())

	By("loading the images")
	name := os.Getenv("IMG")
	Expect(name).NotTo(BeEmpty(), "IMG is not set: run make test-e2e")
	image, err = cluster.LocalImage(name)
	Expect(err).NotTo(HaveOccurred())
	Expect(cluster.LoadImages(ctx, image)).To(Succeed())

	By("starting PostgreSQL outside of the cluster")
	// The server outlives the context that only bounds this node.
	postgres, err = postgrestest.Start(context.WithoutCancel(ctx), postgrestest.Options{ListenAddresses: gateway})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() error { return postgres.Stop() })

	By("deploying the operator")
	operator, err = cluster.DeployOperator(ctx, image)
	if err != nil {
		dump(ctx, operator.Namespace)
	}
	Expect(err).NotTo(HaveOccurred())
}, NodeTimeout(25*time.Minute))

// database is a database of a user of its own, who is nobody special otherwise.
type database struct {
	name     string
	password string
	db       *pgx.Conn
}

// newDatabase makes one. It goes away with the server.
func newDatabase(ctx context.Context, name string) *database {
	GinkgoHelper()
	d := &database{name: name, password: newPassword()}
	admin, err := pgx.Connect(ctx, postgres.SocketURL("postgres"))
	Expect(err).NotTo(HaveOccurred())
	defer admin.Close(ctx)
	// A second run of a suite has a server of its own, so nothing is there yet.
	for _, statement := range []string{
		fmt.Sprintf("CREATE ROLE %s LOGIN PASSWORD '%s'", name, d.password),
		fmt.Sprintf("CREATE DATABASE %s OWNER %s", name, name),
	} {
		_, err := admin.Exec(ctx, statement)
		Expect(err).NotTo(HaveOccurred())
	}
	// The superuser's connection, which no change of the password ends, but as
	// the owner, so that what is made here belongs to the user.
	d.db, err = pgx.Connect(context.WithoutCancel(ctx), postgres.SocketURL(name))
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func(ctx SpecContext) error { return d.db.Close(ctx) })
	d.exec(ctx, "SET ROLE "+name)
	return d
}

func (d *database) exec(ctx context.Context, statement string, args ...any) {
	GinkgoHelper()
	_, err := d.db.Exec(ctx, statement, args...)
	Expect(err).NotTo(HaveOccurred(), statement)
}

// url is what the application's operator puts into the Secret.
func (d *database) url() string {
	u := url.URL{
		Scheme: "postgresql", User: url.UserPassword(d.name, d.password),
		Host: fmt.Sprintf("%s:%d", gateway, postgres.Port()), Path: "/" + d.name, RawQuery: "sslmode=disable",
	}
	return u.String()
}

// changePassword gives the user another password, which PostgreSQL asks for when
// a connection is made.
func (d *database) changePassword(ctx context.Context) {
	GinkgoHelper()
	d.password = newPassword()
	d.exec(ctx, "RESET ROLE")
	d.exec(ctx, fmt.Sprintf("ALTER ROLE %s PASSWORD '%s'", d.name, d.password))
	d.exec(ctx, "SET ROLE "+d.name)
}

// endSessions ends the user's connections.
func (d *database) endSessions(ctx context.Context) {
	GinkgoHelper()
	d.exec(ctx, "RESET ROLE")
	d.exec(ctx, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1 AND pid <> pg_backend_pid()", d.name)
	d.exec(ctx, "SET ROLE "+d.name)
}

// dump prints what a person would look at, for a spec that has failed.
func dump(ctx context.Context, namespaces ...string) {
	for _, namespace := range namespaces {
		if namespace == "" {
			continue
		}
		for _, args := range [][]string{
			{"get", "wbc,all,pvc,configmaps", "-o", "wide"},
			{"describe", "wbc,pods"},
			{"get", "events", "--sort-by=.lastTimestamp"},
			{"logs", "--all-containers", "--prefix", "--tail=200", "-l", "app.kubernetes.io/managed-by"},
			{"logs", "--all-containers", "--prefix", "--tail=200", "-l", "control-plane=controller-manager"},
		} {
			printed, err := cluster.Kubectl(ctx, append(args, "-n", namespace)...)
			if err != nil {
				printed += err.Error()
			}
			GinkgoWriter.Printf("\n--- kubectl %v -n %s\n%s\n", args, namespace, printed)
		}
	}
}
