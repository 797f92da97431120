// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/tls"
	"flag"
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/metrics/filters"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/writebehind/operator/internal/controller"
	"github.com/writebehind/operator/internal/controller/plan"
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
	watchNamespaces []string
	// prometheusNamespaces is a label selector.
	prometheusNamespaces string
	site                 plan.Site
	maxRollouts          int
}

func defaultOptions() options {
	return options{
		metricsAddress:  "0",
		metricsSecure:   true,
		metricsCertName: "tls.crt",
		metricsCertKey:  "tls.key",
		probeAddress:    ":8081",
		// As config/network-policy has it for the operator's own metrics.
		prometheusNamespaces: "metrics=enabled",
		maxRollouts:          controller.DefaultRollouts,
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
	flags.Var(list[[]string]{&o.watchNamespaces}, "watch-namespaces",
		"The namespaces whose resources the operator looks after, with commas between; if unset, every namespace.")
	flags.StringVar(&o.site.FlusherImage, "flusher-image", o.site.FlusherImage,
		"The image of the flusher pods when a resource names none; if unset, the operator's own image.")
	flags.StringVar(&o.prometheusNamespaces, "prometheus-namespace-selector", o.prometheusNamespaces,
		"The labels of the namespaces that may scrape the flushers where a resource names no scrapers, as kubectl takes a selector; if empty, none may.")
	flags.Var(list[plan.Images]{&o.site.AllowedFlusherImages}, "allowed-flusher-images",
		"The images that a resource may name for its flushers, with commas between, * for any characters but a slash; if unset, every image.")
	flags.Var(list[plan.Images]{&o.site.AllowedRedisImages}, "allowed-redis-images",
		"The images that a resource may name for a managed Redis, with commas between, * for any characters but a slash; if unset, every image.")
	flags.IntVar(&o.maxRollouts, "max-concurrent-rollouts", o.maxRollouts,
		"How many resources an upgrade of the operator rolls at a time; 0 for all at once. What a user changes waits for nobody.")
}

// complete reads what the options say, and names the first that cannot be used.
func (o *options) complete() error {
	for _, namespace := range o.watchNamespaces {
		if problems := validation.IsDNS1123Label(namespace); len(problems) > 0 {
			return fmt.Errorf("--watch-namespaces: %q is not the name of a namespace: %s", namespace, strings.Join(problems, "; "))
		}
	}
	if o.prometheusNamespaces == "" {
		return nil
	}
	var err error
	if o.site.Admitted.Scrapers, err = metav1.ParseToLabelSelector(o.prometheusNamespaces); err != nil {
		return fmt.Errorf("--prometheus-namespace-selector: %q is not a selector such as metrics=enabled: %w", o.prometheusNamespaces, err)
	}
	return nil
}

// manager are the options of the manager.
func (o *options) manager(scheme *runtime.Scheme) ctrl.Options {
	return ctrl.Options{
		Scheme:                  scheme,
		Cache:                   controller.CacheOptions(o.watchNamespaces...),
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
