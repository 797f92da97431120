// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Command demo shows the whole system at work: a Kubernetes cluster with the
// operator, a PostgreSQL as the user's existing database, a managed Redis, and
// an application's load; and proves at the end that every row is what was last
// acknowledged.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := rootCommand().ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "\ndemo: %v\n", err)
		os.Exit(1)
	}
}

// Values of --cluster.
const (
	clusterLocal   = "local"
	clusterCurrent = "current"
)

type options struct {
	cluster     string
	image       string
	namespace   string
	databaseURL string
	keys        int
	writes      int
	rate        int
	seed        uint64
}

func (o *options) validate() error {
	if o.cluster != clusterLocal && o.cluster != clusterCurrent {
		return fmt.Errorf("--cluster=%s is not allowed: give %s or %s", o.cluster, clusterLocal, clusterCurrent)
	}
	if o.keys < 1 || o.writes < o.keys {
		return fmt.Errorf("--keys=%d --writes=%d is not allowed: each key is written at least once", o.keys, o.writes)
	}
	return nil
}

func rootCommand() *cobra.Command {
	o := &options{}
	root := &cobra.Command{
		Use:               "demo",
		Short:             "The write-behind operator at work",
		SilenceErrors:     true,
		SilenceUsage:      true,
		PersistentPreRunE: func(*cobra.Command, []string) error { return o.validate() },
	}
	flags := root.PersistentFlags()
	flags.StringVar(&o.cluster, "cluster", clusterLocal, "local: the cluster of hack/cluster; current: your kubectl context")
	flags.StringVar(&o.image, "image", "writebehind/operator:dev", "the operator's image; a local cluster gets it built from bin/")
	flags.StringVar(&o.namespace, "namespace", "shop", "namespace of the WriteBehindCache")
	flags.StringVar(&o.databaseURL, "database-url", "",
		"your own PostgreSQL, reachable from here and from the cluster, instead of one that the demo starts; "+
			"the table products and the schema native with five tables are made in it, and must not be there with rows of yours")
	flags.IntVar(&o.keys, "keys", 10_000, "number of keys")
	flags.IntVar(&o.writes, "writes", 240_000, "number of writes")
	flags.IntVar(&o.rate, "rate", 12_000, "writes in one second at most; 0 as fast as it goes")
	flags.Uint64Var(&o.seed, "seed", 0, "seed of the load; 0 takes one by chance")
	root.AddCommand(
		&cobra.Command{
			Use: "up", Short: "Start everything, run the load and compare", Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error { return up(cmd.Context(), o) },
		},
		&cobra.Command{
			Use: "down", Short: "Remove everything", Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error { return down(cmd.Context(), o) },
		},
		servePostgresCommand(),
	)
	return root
}
