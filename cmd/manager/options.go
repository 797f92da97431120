// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/tls"
	"flag"

	"k8s.io/apimachinery/pkg/runtime"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/metrics/filters"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/writebehind/operator/internal/controller"
)

// leaderElectionID names the Lease that only one operator holds.
const leaderElectionID = "5a8e0c1f.writebehind.dev"

// options are the command line's.
type options struct {
	metricsAddress  string
	metricsSecure   bool
	metricsCertPath string
	metricsCertName string
	metricsCertKey  string
	probeAddress    string
	leaderElect     bool
	leaseNamespace  string
	enableHTTP2     bool
	flusherImage    string
	maxRollouts     int
}

func defaultOptions() options {
	return options{
		metricsAddress:  "0",
		metricsSecure:   true,
		metricsCertName: "tls.crt",
		metricsCertKey:  "tls.key",
		probeAddress:    ":8081",
		maxRollouts:     controller.DefaultRollouts,
	}
}

func (o *options) bind(flags *flag.FlagSet) {
	flags.StringVar(&o.metricsAddress, "metrics-bind-address", o.metricsAddress,
		"The address that serves the metrics: :8443 for HTTPS, :8080 for HTTP, 0 for none.")
	flags.BoolVar(&o.metricsSecure, "metrics-secure", o.metricsSecure,
		"Serve the metrics over HTTPS, only to clients that the cluster authenticates and authorizes.")
	flags.StringVar(&o.metricsCertPath, "metrics-cert-path", o.metricsCertPath,
		"The directory of the metrics server's certificate; if unset, the server signs its own.")
	flags.StringVar(&o.metricsCertName, "metrics-cert-name", o.metricsCertName,
		"The file name of the metrics server's certificate.")
	flags.StringVar(&o.metricsCertKey, "metrics-cert-key", o.metricsCertKey,
		"The file name of the metrics server's key.")
	flags.StringVar(&o.probeAddress, "health-probe-bind-address", o.probeAddress,
		"The address that serves /healthz and /readyz.")
	flags.BoolVar(&o.leaderElect, "leader-elect", o.leaderElect,
		"Let only one of several operators act; the others wait with warm caches.")
	flags.StringVar(&o.leaseNamespace, "leader-election-namespace", o.leaseNamespace,
		"The namespace of the leader election's Lease; if unset, the operator's own namespace.")
	flags.BoolVar(&o.enableHTTP2, "enable-http2", o.enableHTTP2,
		"Serve the metrics over HTTP/2 too. Off by default because of HTTP/2's stream-reset attacks.")
	flags.StringVar(&o.flusherImage, "flusher-image", o.flusherImage,
		"The image of the flusher pods when a resource names none; if unset, the operator's own image.")
	flags.IntVar(&o.maxRollouts, "max-concurrent-rollouts", o.maxRollouts,
		"How many resources an upgrade of the operator rolls at a time; 0 for all at once. What a user changes waits for nobody.")
}

// manager are the options of the manager.
func (o *options) manager(scheme *runtime.Scheme) ctrl.Options {
	return ctrl.Options{
		Scheme:                  scheme,
		Cache:                   controller.CacheOptions(),
		Metrics:                 o.metrics(),
		HealthProbeBindAddress:  o.probeAddress,
		LeaderElection:          o.leaderElect,
		LeaderElectionID:        leaderElectionID,
		LeaderElectionNamespace: o.leaseNamespace,
		Controller: config.Controller{
			// Who waits to lead reads everything meanwhile, and acts at once when its
			// turn comes.
			EnableWarmup: new(true),
			// A change goes before the resources that are only read again: after a
			// start, and when the cache lists everything again.
			UsePriorityQueue: new(true),
		},
		// The process ends right after the manager has stopped, so the next
		// leader need not wait for the lease to run out.
		LeaderElectionReleaseOnCancel: true,
	}
}

func (o *options) metrics() metricsserver.Options {
	m := metricsserver.Options{BindAddress: o.metricsAddress, SecureServing: o.metricsSecure}
	if o.metricsSecure {
		m.FilterProvider = filters.WithAuthenticationAndAuthorization
	}
	if o.metricsCertPath != "" {
		m.CertDir, m.CertName, m.KeyName = o.metricsCertPath, o.metricsCertName, o.metricsCertKey
	}
	if !o.enableHTTP2 {
		m.TLSOpts = append(m.TLSOpts, func(c *tls.Config) { c.NextProtos = []string{"http/1.1"} })
	}
	return m
}
