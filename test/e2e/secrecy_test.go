// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
)

var (
	// secrets are the passwords that the specs have used so far. Nothing but a
	// Secret may hold one.
	secrets []string
	// searched are the places in which there was something to search.
	searched = map[string]bool{}
)

// newPassword makes a password that is found nowhere by chance.
func newPassword() string {
	password := rand.Text()
	secrets = append(secrets, password)
	return password
}

// After every spec, since pods and their logs go with the specs.
var _ = AfterEach(func(ctx SpecContext) {
	var list corev1.NamespaceList
	Expect(cluster.Client.List(ctx, &list)).To(Succeed())
	for i := range list.Items {
		if name := list.Items[i].Name; strings.HasPrefix(name, namespacePrefix) || name == operator.Namespace {
			expectNoSecret(ctx, name)
		}
	}
})

var _ = AfterSuite(func() {
	if len(secrets) > 0 {
		Expect(searched).To(SatisfyAll(HaveKey("objects"), HaveKey("events"), HaveKey("logs of flushers and Redis"), HaveKey("logs of the operator")),
			"there was something to search everywhere")
	}
})

// expectNoSecret looks for the passwords in what a namespace shows to those who
// may not read Secrets: specs with their environment and arguments, ConfigMaps,
// status, annotations, events, and logs.
func expectNoSecret(ctx context.Context, namespace string) {
	GinkgoHelper()
	logs := "logs of flushers and Redis"
	if namespace == operator.Namespace {
		logs = "logs of the operator"
	}
	for what, args := range map[string][]string{
		"objects": {"get", "wbc,pods,configmaps,deployments,replicasets,statefulsets,services,endpointslices,networkpolicies,poddisruptionbudgets,leases", "-o", "yaml", "--show-managed-fields"},
		"events":  {"get", "events.events.k8s.io", "-o", "yaml"},
		logs:      {"logs", "-l", "app.kubernetes.io/name=writebehind", "--all-containers", "--tail=-1", "--max-log-requests=20", "--ignore-errors"},
	} {
		text, err := cluster.Kubectl(ctx, append(args, "-n", namespace)...)
		if what != logs { // a container that has no log yet is an error beside the logs of the others
			Expect(err).NotTo(HaveOccurred())
		}
		for _, secret := range secrets {
			for _, form := range []string{secret, base64.StdEncoding.EncodeToString([]byte(secret))} {
				Expect(strings.Contains(text, form)).To(BeFalse(), "a password is in the %s of namespace %s: kubectl %s", what, namespace, strings.Join(args, " "))
			}
		}
		if what == "events" {
			Expect(text).NotTo(ContainSubstring("%!"), "an event's note and its arguments do not fit together")
		}
		if what == logs && text != "" || strings.Contains(text, "\n  kind: ") {
			searched[what] = true
		}
	}
}
