// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Program judge says which ways NetworkPolicies leave open. It is a module of its own:
// what it is built from, an old client of Kubernetes among it, is none of the product's.
package main

import (
	"encoding/json"
	"log"
	"os"

	"github.com/mattfenwick/cyclonus/pkg/matcher"
	networkingv1 "k8s.io/api/networking/v1"
)

// Policies and ways come by standard input; whether each way is open goes to standard
// output, in the same order.
func main() {
	var question struct {
		Policies []*networkingv1.NetworkPolicy
		Ways     []*matcher.Traffic
	}
	input := json.NewDecoder(os.Stdin)
	input.DisallowUnknownFields()
	if err := input.Decode(&question); err != nil {
		log.Fatal("read policies and ways: ", err)
	}
	policies := matcher.BuildNetworkPolicies(false, question.Policies)
	open := make([]bool, len(question.Ways))
	for i, way := range question.Ways {
		open[i] = policies.IsTrafficAllowed(way).IsAllowed()
	}
	if err := json.NewEncoder(os.Stdout).Encode(open); err != nil {
		log.Fatal("tell which ways are open: ", err)
	}
}
