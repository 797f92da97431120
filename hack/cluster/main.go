// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Command cluster runs a real Kubernetes on this machine, without Docker and without downloads from
// release pages: it builds Kubernetes from its Go modules and takes the container runtime from Debian.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"
)

// exitCode ends the program with a code but without a message: the command has said all there is.
type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

func main() {
	// Debian keeps ip, iptables and runc in folders that a user's PATH often lacks.
	os.Setenv("PATH", os.Getenv("PATH")+string(filepath.ListSeparator)+systemPath)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := rootCommand().ExecuteContext(ctx)
	stop()
	if err == nil {
		return
	}
	if code, ok := errors.AsType[exitCode](err); ok {
		os.Exit(int(code))
	}
	fmt.Fprintf(os.Stderr, "cluster: %v\n", err)
	os.Exit(1)
}

// options are the flags that every command shares.
type options struct {
	dir   string
	cache string
}

func rootCommand() *cobra.Command {
	o := &options{}
	root := &cobra.Command{
		Use:   "cluster",
		Short: "A real Kubernetes on this machine, for development and end-to-end tests",
		Long: `A real Kubernetes on this machine, for development and end-to-end tests.

The control plane and one node run in namespaces of their own, so they take no port of the machine
and leave nothing behind. Running pods needs Linux and root; building the assets for envtest does not
need root.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRunE: func(*cobra.Command, []string) error {
			return o.resolve()
		},
	}
	root.PersistentFlags().StringVar(&o.dir, "dir", defaultDir(),
		"folder of the running cluster (WRITEBEHIND_CLUSTER_DIR)")
	root.PersistentFlags().StringVar(&o.cache, "cache", os.Getenv("WRITEBEHIND_CACHE"),
		"folder of the built binaries (WRITEBEHIND_CACHE; default: the user's cache folder)")
	root.AddCommand(
		assetsCommand(o),
		upCommand(o),
		downCommand(o),
		statusCommand(o),
		kubeconfigCommand(o),
		gatewayCommand(o),
		loadImageCommand(o),
		loadRedisCommand(o),
		provisionerCommand(o),
	)
	return root
}

func defaultDir() string {
	if dir := os.Getenv("WRITEBEHIND_CLUSTER_DIR"); dir != "" {
		return dir
	}
	return filepath.Join(os.TempDir(), "writebehind-cluster")
}

// resolve makes the folders absolute, because the components start in a working directory of their own.
func (o *options) resolve() error {
	dir, err := filepath.Abs(o.dir)
	if err != nil {
		return err
	}
	o.dir = dir
	if o.cache == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return fmt.Errorf("find the cache folder: %w; name one with --cache or WRITEBEHIND_CACHE", err)
		}
		o.cache = filepath.Join(user, "writebehind-operator")
	}
	o.cache, err = filepath.Abs(o.cache)
	return err
}
