// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// container is the operator's own in its Pod.
const container = "manager"

var errNoImage = errors.New("the flushers' image is not known: give --flusher-image, or POD_NAME and POD_NAMESPACE in the environment to take the operator's own")

// ownImage is the image of the container that this process runs in, as the Pod
// that the environment names tells it. One change of the operator's image then
// changes the flushers' too, however it was made.
func ownImage(ctx context.Context, reader client.Reader) (string, error) {
	key := client.ObjectKey{Namespace: os.Getenv("POD_NAMESPACE"), Name: os.Getenv("POD_NAME")}
	if key.Name == "" || key.Namespace == "" {
		return "", errNoImage
	}
	var pod corev1.Pod
	if err := reader.Get(ctx, key, &pod); err != nil {
		return "", fmt.Errorf("get own Pod: %w", err)
	}
	for i := range pod.Spec.Containers {
		if pod.Spec.Containers[i].Name == container {
			return pod.Spec.Containers[i].Image, nil
		}
	}
	return "", fmt.Errorf("%w (Pod %s has no container %s)", errNoImage, key.Name, container)
}
