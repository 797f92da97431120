// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/writebehind/operator/api/v1alpha1"
)

// rolloutTimeout is how long the operator's pod may take to be ready, with an
// image that may have to be pulled.
const rolloutTimeout = 3 * time.Minute

// DeployOperator applies config/default with the image given, each object edited,
// and waits until the operator is at work.
func (c *Cluster) DeployOperator(ctx context.Context, image string, edits ...func(*unstructured.Unstructured)) (deployment client.ObjectKey, err error) {
	manifest, err := c.Manifests(ctx, "default", image)
	if err != nil {
		return deployment, err
	}
	objects, err := Objects(manifest)
	if err != nil {
		return deployment, fmt.Errorf("config/default: %w", err)
	}
	edited := &unstructured.UnstructuredList{}
	edited.SetAPIVersion("v1")
	edited.SetKind("List")
	for _, object := range objects {
		if object.GetKind() == "Deployment" {
			deployment = client.ObjectKeyFromObject(object)
		}
		for _, edit := range edits {
			edit(object)
		}
		edited.Items = append(edited.Items, *object)
	}
	if deployment.Name == "" {
		return deployment, errors.New("config/default holds no Deployment")
	}
	if manifest, err = edited.MarshalJSON(); err != nil {
		return deployment, err
	}
	if _, err := c.Apply(ctx, manifest, "--force-conflicts"); err != nil {
		return deployment, err
	}
	_, err = c.Kubectl(ctx, "rollout", "status", "deployment", deployment.Name, "-n", deployment.Namespace,
		"--timeout", rolloutTimeout.String())
	return deployment, err
}

// Objects decodes a manifest of several documents.
func Objects(manifest []byte) ([]*unstructured.Unstructured, error) {
	var objects []*unstructured.Unstructured
	decoder := utilyaml.NewYAMLOrJSONDecoder(bytes.NewReader(manifest), 4096)
	for {
		object := &unstructured.Unstructured{}
		err := decoder.Decode(object)
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, err
		}
		if len(object.Object) > 0 {
			objects = append(objects, object)
		}
	}
}

// Cache reads a WriteBehindCache.
func (c *Cluster) Cache(ctx context.Context, key client.ObjectKey) (*v1alpha1.WriteBehindCache, error) {
	cache := &v1alpha1.WriteBehindCache{}
	return cache, c.Client.Get(ctx, key, cache)
}

// Pods lists the pods that a selector finds.
func (c *Cluster) Pods(ctx context.Context, namespace, selector string) ([]corev1.Pod, error) {
	list := &corev1.PodList{}
	parsed, err := parseSelector(selector)
	if err != nil {
		return nil, err
	}
	err = c.Client.List(ctx, list, client.InNamespace(namespace), parsed)
	return list.Items, err
}

// Redis says how to reach the managed Redis of a cache from this machine. On a
// local cluster its pod's address is reachable; on another one kubectl forwards
// a port until ctx ends.
func (c *Cluster) Redis(ctx context.Context, cache *v1alpha1.WriteBehindCache) (*redis.Options, error) {
	told := cache.Status.Redis
	if told == nil || told.Address == "" || told.SecretName == "" {
		return nil, errors.New("status.redis does not tell how to reach Redis")
	}
	secret := &corev1.Secret{}
	key := client.ObjectKey{Namespace: cache.Namespace, Name: told.SecretName}
	if err := c.Client.Get(ctx, key, secret); err != nil {
		return nil, fmt.Errorf("read the Secret of the managed Redis: %w", err)
	}
	options := &redis.Options{Username: string(secret.Data["username"]), Password: string(secret.Data["password"])}
	host, port, err := net.SplitHostPort(told.Address)
	if err != nil {
		return nil, fmt.Errorf("status.redis.address: %w", err)
	}
	service, _, _ := strings.Cut(host, ".")
	if c.Local {
		address, err := c.endpoint(ctx, cache.Namespace, service)
		options.Addr = net.JoinHostPort(address, port)
		return options, err
	}
	options.Addr, err = c.Forward(ctx, cache.Namespace, "service/"+service, port)
	return options, err
}

// endpoint is the address of the first ready pod behind a Service.
func (c *Cluster) endpoint(ctx context.Context, namespace, service string) (string, error) {
	slices := &discoveryv1.EndpointSliceList{}
	if err := c.Client.List(ctx, slices, client.InNamespace(namespace),
		client.MatchingLabels{discoveryv1.LabelServiceName: service}); err != nil {
		return "", err
	}
	for _, slice := range slices.Items {
		for _, endpoint := range slice.Endpoints {
			ready := endpoint.Conditions.Ready == nil || *endpoint.Conditions.Ready
			if ready && len(endpoint.Addresses) > 0 {
				return endpoint.Addresses[0], nil
			}
		}
	}
	return "", fmt.Errorf("no pod is ready behind Service %s", service)
}

// Forward lets kubectl forward a free port of this machine until ctx ends, and
// returns its address.
func (c *Cluster) Forward(ctx context.Context, namespace, target, port string) (string, error) {
	cmd := c.KubectlCommand(ctx, "port-forward", "-n", namespace, target, ":"+port)
	output, err := cmd.StdoutPipe()
	if err != nil {
		return "", err
	}
	var problem bytes.Buffer
	cmd.Stderr = &problem
	if err := cmd.Start(); err != nil {
		return "", fmt.Errorf("kubectl port-forward: %w", err)
	}
	reader := bufio.NewReader(output)
	line, _ := reader.ReadString('\n')
	var address string
	if _, rest, ok := strings.Cut(line, "Forwarding from "); ok {
		address, _, _ = strings.Cut(rest, " ")
	}
	go func() {
		_, _ = io.Copy(io.Discard, reader)
		_ = cmd.Wait()
	}()
	if address == "" {
		return "", fmt.Errorf("kubectl port-forward %s: %s", target, strings.TrimSpace(problem.String()))
	}
	return address, nil
}

// DeploymentOf finds the one Deployment that a cache's objects include.
func (c *Cluster) DeploymentOf(ctx context.Context, cache *v1alpha1.WriteBehindCache) (*appsv1.Deployment, error) {
	list := &appsv1.DeploymentList{}
	if err := c.Client.List(ctx, list, client.InNamespace(cache.Namespace),
		client.MatchingLabels{v1alpha1.LabelOwnerUID: string(cache.UID)}); err != nil {
		return nil, err
	}
	if len(list.Items) != 1 {
		return nil, fmt.Errorf("%d Deployments carry the label of %s, want 1", len(list.Items), cache.Name)
	}
	return &list.Items[0], nil
}
