// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/remotecommand"
	clientexec "k8s.io/client-go/util/exec"
	"k8s.io/streaming/pkg/httpstream"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/command"
)

// target is which cluster and namespace are meant, as kubectl itself is told.
type target struct{ kubeconfig, context, namespace string }

func (t *target) bind(flags *pflag.FlagSet) {
	flags.StringVar(&t.kubeconfig, "kubeconfig", "", "the kubeconfig file; without it that of kubectl")
	flags.StringVar(&t.context, "context", "", "the context of the kubeconfig; without it the current one")
	flags.StringVarP(&t.namespace, "namespace", "n", "", "the namespace; without it that of the context")
}

// cluster is what the commands ask.
type cluster struct {
	client    client.Client
	namespace string
	exec      executor
}

// executor runs a command in a pod, and returns its exit code.
type executor func(ctx context.Context, namespace, pod, container string, words []string, out, problems io.Writer) (int, error)

// dialer reaches the cluster of a target.
type dialer func(t *target) (*cluster, error)

// connect reaches the cluster that kubectl would.
func connect(t *target) (*cluster, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = t.kubeconfig
	overrides := &clientcmd.ConfigOverrides{CurrentContext: t.context}
	overrides.Context.Namespace = t.namespace
	loaded := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, overrides)
	namespace, _, err := loaded.Namespace()
	if err != nil {
		return nil, command.Failed("%w", err)
	}
	config, err := loaded.ClientConfig()
	if err != nil {
		return nil, command.Failed("%w", err)
	}
	return reach(config, namespace)
}

// reach is a cluster by its config.
func reach(config *rest.Config, namespace string) (*cluster, error) {
	all := runtime.NewScheme()
	if err := errors.Join(scheme.AddToScheme(all), v1alpha1.AddToScheme(all)); err != nil {
		return nil, err
	}
	c, err := client.New(config, client.Options{Scheme: all})
	if err != nil {
		return nil, command.Failed("%w", err)
	}
	return &cluster{client: c, namespace: namespace, exec: inPod(config)}, nil
}

// farewell is how long a command in a pod may take to end once somebody has interrupted it: it
// prints what it has done so far.
const farewell = 5 * time.Second

// inPod runs commands by the API server, over a WebSocket or, where the server or a proxy takes
// none, SPDY. A command that has run is never run again, whatever its exit code is.
func inPod(config *rest.Config) executor {
	return func(ctx context.Context, namespace, pod, container string, words []string, out, problems io.Writer) (int, error) {
		clients, err := kubernetes.NewForConfig(config)
		if err != nil {
			return 0, err
		}
		options := &corev1.PodExecOptions{Container: container, Command: words, Stdin: true, Stdout: true, Stderr: true}
		url := clients.CoreV1().RESTClient().Post().Resource("pods").Namespace(namespace).Name(pod).SubResource("exec").
			VersionedParams(options, scheme.ParameterCodec).URL()
		modern, err := remotecommand.NewWebSocketExecutor(config, http.MethodGet, url.String())
		if err != nil {
			return 0, err
		}
		older, err := remotecommand.NewSPDYExecutor(config, http.MethodPost, url)
		if err != nil {
			return 0, err
		}
		stream, err := remotecommand.NewFallbackExecutor(modern, older, func(err error) bool {
			return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)
		})
		if err != nil {
			return 0, err
		}
		// Nobody ends a command in a pod for a connection that has ended. So its standard input lasts
		// as long as somebody waits for it, and it ends with that: see --until-stdin-ends.
		in, end := io.Pipe()
		defer func() { _ = end.Close() }()
		waits, leave := context.WithCancel(context.WithoutCancel(ctx))
		defer leave()
		defer context.AfterFunc(ctx, func() {
			_ = end.Close()
			time.AfterFunc(farewell, leave)
		})()
		err = stream.StreamWithContext(waits, remotecommand.StreamOptions{Stdin: in, Stdout: out, Stderr: problems})
		if code, ok := errors.AsType[clientexec.CodeExitError](err); ok {
			return code.Code, nil
		}
		return 0, err
	}
}

// resource reads one.
func (c *cluster) resource(ctx context.Context, name string) (*v1alpha1.WriteBehindCache, error) {
	cache := &v1alpha1.WriteBehindCache{}
	if err := c.client.Get(ctx, client.ObjectKey{Namespace: c.namespace, Name: name}, cache); err != nil {
		return nil, command.Failed("read WriteBehindCache %s of namespace %s: %w", name, c.namespace, err)
	}
	return cache, nil
}
