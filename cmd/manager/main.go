// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

// The operator: it watches WriteBehindCaches and runs flushers for them.
package main

import (
	"flag"
	"fmt"
	"os"

	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	_ "k8s.io/client-go/plugin/pkg/client/auth" // every way to log in that kubectl has
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller"
)

// version is set by the linker.
var version = "dev"

func main() {
	o := defaultOptions()
	o.bind(flag.CommandLine)
	zapOptions := zap.Options{}
	zapOptions.BindFlags(flag.CommandLine)
	flag.Parse()
	ctrl.SetLogger(zap.New(zap.UseFlagOptions(&zapOptions)))

	if err := run(o); err != nil {
		ctrl.Log.WithName("setup").Error(err, "Failed to run manager")
		os.Exit(1)
	}
}

func run(o options) error {
	if err := o.complete(); err != nil {
		return err
	}
	o.site.Admitted.OperatorNamespace = os.Getenv("POD_NAMESPACE")
	ctx := ctrl.SetupSignalHandler()
	scheme, err := newScheme()
	if err != nil {
		return err
	}
	if o.maxRollouts < 0 {
		return fmt.Errorf("--max-concurrent-rollouts: %d is not allowed: give 0 or more", o.maxRollouts)
	}
	config, err := ctrl.GetConfig()
	if err != nil {
		return fmt.Errorf("load kubeconfig: %w", err)
	}
	mgr, err := ctrl.NewManager(config, o.manager(scheme))
	if err != nil {
		return fmt.Errorf("create manager: %w", err)
	}
	if o.site.FlusherImage == "" {
		if o.site.FlusherImage, err = ownImage(ctx, mgr.GetAPIReader()); err != nil {
			return err
		}
	}
	if err := controller.SetupWithManager(mgr, controller.Options{
		Site: o.site, Metrics: metrics.Registry, Release: version, MaxRollouts: o.maxRollouts,
	}); err != nil {
		return fmt.Errorf("create controller: %w", err)
	}
	if err := mgr.AddHealthzCheck("healthz", healthz.Ping); err != nil {
		return fmt.Errorf("add health check: %w", err)
	}
	if err := mgr.AddReadyzCheck("readyz", informed(mgr.GetCache())); err != nil {
		return fmt.Errorf("add ready check: %w", err)
	}
	ctrl.Log.WithName("setup").Info("Starting manager", "version", version, "flusherImage", o.site.FlusherImage,
		"watchNamespaces", o.watchNamespaces)
	return mgr.Start(ctx)
}

func newScheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		return nil, fmt.Errorf("add Kubernetes kinds: %w", err)
	}
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return nil, fmt.Errorf("add own kinds: %w", err)
	}
	return scheme, nil
}
