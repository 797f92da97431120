// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/failure"
	"github.com/writebehind/operator/internal/controller/observe"
	"github.com/writebehind/operator/internal/controller/plan"
	"github.com/writebehind/operator/internal/controller/resources"
)

const (
	// mostCauses is how many of the mistakes in one object a message has.
	mostCauses = 3
	// longestCause leaves room for each of them in a message, in bytes: the API
	// server repeats the value.
	longestCause = 280
)

// origin is the field of the spec that a part of an object comes from. In a list
// whose first items are the operator's own, skip is the number of those.
type origin struct {
	part, field string
	skip        int
}

// podOrigins are those of what the spec says of flushers and of a managed Redis alike, under a field.
func podOrigins(under string) (all []origin) {
	for _, part := range []string{"containers[0].resources", "containers[0].image", "affinity", "tolerations", "topologySpreadConstraints", "nodeSelector", "priorityClassName"} {
		all = append(all, origin{part: "spec.template.spec." + part, field: under + "." + strings.TrimPrefix(part, "containers[0].")})
	}
	return all
}

// originsOf lists the origins of an object's parts, the most specific first. The last
// one is the field that makes the object as large as it is.
func originsOf(cache *v1alpha1.WriteBehindCache, o *plan.Object) []origin {
	isRedis := o.Name == resources.RedisName(cache)
	switch {
	case o.Kind == "Deployment":
		return append(podOrigins("spec.flusher"), origin{field: "spec.flusher"})
	case o.Kind == "StatefulSet":
		return append(podOrigins("spec.redis.managed"),
			origin{part: "spec.template.spec.imagePullSecrets", field: "spec.redis.managed.imagePullSecrets"},
			origin{part: "spec.volumeClaimTemplates[0].spec", field: "spec.redis.managed.storage"},
			origin{field: "spec.redis.managed"})
	case o.Kind == "NetworkPolicy" && isRedis:
		return []origin{{part: "spec.ingress[0].from", field: "spec.networkPolicy.clients", skip: 1}, {field: "spec.networkPolicy.clients"}}
	case o.Kind == "NetworkPolicy":
		own := 1 // DNS
		if cache.Spec.Redis.Managed != nil {
			own++
		}
		return []origin{
			{part: "spec.egress", field: "spec.networkPolicy.egress", skip: own},
			{part: "spec.ingress[0].from", field: "spec.networkPolicy.scrapers", skip: 1}, // the operator
			{field: "spec.networkPolicy.egress"},
		}
	case o.Kind == resources.KindServiceMonitor, o.Kind == resources.KindPrometheusRule:
		return []origin{{part: "metadata.labels", field: "spec.monitoring.labels"}, {field: "spec.monitoring"}}
	default:
		return []origin{{field: "spec.mappings"}}
	}
}

var firstIndex = regexp.MustCompile(`^\[(\d+)\]`)

// inSpec is the field of the spec that a field of the object comes from, and the
// object's own where it comes from none.
func inSpec(field string, origins []origin) (string, bool) {
	for _, from := range origins {
		rest, ok := strings.CutPrefix(field, from.part)
		if from.part == "" || !ok || rest != "" && !strings.ContainsAny(rest[:1], ".[") {
			continue
		}
		if index := firstIndex.FindStringSubmatch(rest); index != nil && from.skip > 0 {
			n, err := strconv.Atoi(index[1])
			if err != nil || n < from.skip {
				return field, false
			}
			rest = fmt.Sprintf("[%d]%s", n-from.skip, rest[len(index[0]):])
		}
		return from.field + rest, true
	}
	return field, false
}

// invalidSpec turns the error that an object is invalid, or too large, into one that only
// a person can resolve: the same request would be refused again until the spec
// changes. Its message names fields of the spec instead of the object's.
func invalidSpec(cache *v1alpha1.WriteBehindCache, o *plan.Object, err error) error {
	origins := originsOf(cache, o)
	what := fmt.Sprintf("%s %s", o.Kind, o.Name)
	switch {
	case tooLarge(err):
		return &failure.Stalled{Reason: v1alpha1.ReasonInvalidSpec, Retry: rejectedRetry, Message: fmt.Sprintf(
			"%s: %s would be larger than the API server stores (about a megabyte): make that field smaller", origins[len(origins)-1].field, what)}
	case !apierrors.IsInvalid(err):
		return err
	}
	var status apierrors.APIStatus
	var reasons []string
	elsewhere := false
	if errors.As(err, &status) && status.Status().Details != nil {
		causes := status.Status().Details.Causes
		for _, cause := range causes[:min(len(causes), mostCauses)] {
			field, ours := inSpec(cause.Field, origins)
			elsewhere = elsewhere || !ours
			reasons = append(reasons, observe.Cut(field+": "+cause.Message, longestCause))
		}
		if more := len(causes) - mostCauses; more > 0 {
			reasons = append(reasons, fmt.Sprintf("and %d more", more))
		}
	}
	message := fmt.Sprintf("%s. Correct the spec: with these values the API server rejects %s", strings.Join(reasons, "; "), what)
	if len(reasons) == 0 || elsewhere {
		message = err.Error()
	}
	return &failure.Stalled{Reason: v1alpha1.ReasonInvalidSpec, Message: message, Retry: rejectedRetry}
}

// tooLarge reports whether an object was not stored for its size. The API server has
// a code for that, but passes errors of its storage on without one.
func tooLarge(err error) bool {
	return err != nil && (apierrors.IsRequestEntityTooLargeError(err) ||
		strings.Contains(err.Error(), "etcdserver: request is too large") ||
		strings.Contains(err.Error(), "trying to send message larger than max"))
}
