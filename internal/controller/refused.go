// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/observe"
	"github.com/writebehind/operator/internal/controller/resources"
)

// refusedRetry is how long the API server's verdict that an object cannot be valid
// stands. It is about the object alone, so it changes only with the cluster: with
// another version of it, or another policy.
const refusedRetry = time.Minute

const (
	// mostCauses is how many of the mistakes in one object are told.
	mostCauses = 3
	// longestCause leaves room for each of them in a message, in bytes: the API
	// server repeats the value.
	longestCause = 280
)

// origin says which field of the spec a part of an object comes from. Where the
// part is in a list of which the first items are the operator's own, skip is their
// number.
type origin struct {
	part, field string
	skip        int
}

// origins are those of an object, the most special first. The last is the field
// that makes the object as large as it is.
func (s *scope) origins(o object) []origin {
	isRedis := o.name == resources.RedisName(s.cache)
	switch {
	case o.kind == "Deployment":
		return []origin{
			{part: "spec.template.spec.containers[0].resources", field: "spec.flusher.resources"},
			{part: "spec.template.spec.containers[0].image", field: "spec.flusher.image"},
			{part: "spec.template.spec.affinity", field: "spec.flusher.affinity"},
			{part: "spec.template.spec.tolerations", field: "spec.flusher.tolerations"},
			{part: "spec.template.spec.topologySpreadConstraints", field: "spec.flusher.topologySpreadConstraints"},
			{part: "spec.template.spec.nodeSelector", field: "spec.flusher.nodeSelector"},
			{part: "spec.template.spec.priorityClassName", field: "spec.flusher.priorityClassName"},
			{field: "spec.flusher"},
		}
	case o.kind == "StatefulSet":
		return []origin{
			{part: "spec.template.spec.containers[0].resources", field: "spec.redis.managed.resources"},
			{part: "spec.template.spec.containers[0].image", field: "spec.redis.managed.image"},
			{part: "spec.volumeClaimTemplates[0].spec", field: "spec.redis.managed.storage"},
			{field: "spec.redis.managed"},
		}
	case o.kind == "NetworkPolicy" && isRedis:
		return []origin{{part: "spec.ingress[0].from", field: "spec.networkPolicy.clients", skip: 1}, {field: "spec.networkPolicy.clients"}}
	case o.kind == "NetworkPolicy":
		own := 1 // DNS
		if s.managed() {
			own++
		}
		return []origin{{part: "spec.egress", field: "spec.networkPolicy.egress", skip: own}, {field: "spec.networkPolicy.egress"}}
	case o.kind == resources.KindServiceMonitor, o.kind == resources.KindPrometheusRule:
		return []origin{{part: "metadata.labels", field: "spec.monitoring.labels"}, {field: "spec.monitoring"}}
	default:
		return []origin{{field: "spec.mappings"}}
	}
}

var firstIndex = regexp.MustCompile(`^\[(\d+)\]`)

// inSpec is the field of the spec that a field of the object comes from; the
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

// refused turns an API server's verdict that an object cannot be valid, or is too
// large, into a stalledError: the same request would be refused again until the
// spec changes. What it says of the object it says of the spec.
func (s *scope) refused(o object, err error) error {
	origins := s.origins(o)
	what := fmt.Sprintf("%s %s", o.kind, o.name)
	switch {
	case tooLarge(err):
		return &stalledError{reason: v1alpha1.ReasonInvalidSpec, retry: refusedRetry, message: fmt.Sprintf(
			"%s: %s would be larger than the API server stores, about a megabyte: put less into that field", origins[len(origins)-1].field, what)}
	case !apierrors.IsInvalid(err):
		return err
	}
	var status apierrors.APIStatus
	var told []string
	elsewhere := false
	if errors.As(err, &status) && status.Status().Details != nil {
		causes := status.Status().Details.Causes
		for _, cause := range causes[:min(len(causes), mostCauses)] {
			field, ours := inSpec(cause.Field, origins)
			elsewhere = elsewhere || !ours
			told = append(told, observe.Cut(field+": "+cause.Message, longestCause))
		}
		if more := len(causes) - mostCauses; more > 0 {
			told = append(told, fmt.Sprintf("and %d more", more))
		}
	}
	message := fmt.Sprintf("%s. Correct that in the spec: the API server refuses %s with it", strings.Join(told, "; "), what)
	if len(told) == 0 || elsewhere {
		message = err.Error()
	}
	return &stalledError{reason: v1alpha1.ReasonInvalidSpec, message: message, retry: refusedRetry}
}

// tooLarge says whether an object was not stored for its size. The API server has
// a code for it, but passes on what its storage says without one.
func tooLarge(err error) bool {
	return err != nil && (apierrors.IsRequestEntityTooLargeError(err) ||
		strings.Contains(err.Error(), "etcdserver: request is too large") ||
		strings.Contains(err.Error(), "trying to send message larger than max"))
}

// refusals remember what was refused, by resource and object, so that passes for
// other causes, as new numbers are every few seconds, do not ask again.
type refusals struct {
	mu    sync.Mutex
	known map[string]refusal
}

type refusal struct {
	intent  string
	verdict stalledError
	at      time.Time
}

func refusalKey(s *scope, o object) string { return string(s.cache.UID) + " " + o.kind + " " + o.name }

// stands is the verdict on this very intent while it is younger than refusedRetry.
func (r *refusals) stands(key, intent string, now time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if last, ok := r.known[key]; ok && last.intent == intent && now.Sub(last.at) < refusedRetry {
		return &last.verdict // a copy: a pass may give it another time
	}
	return nil
}

// note remembers a verdict; nil forgets it.
func (r *refusals) note(key, intent string, verdict *stalledError, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	maps.DeleteFunc(r.known, func(_ string, last refusal) bool { return now.Sub(last.at) >= refusedRetry })
	if verdict == nil {
		delete(r.known, key)
		return
	}
	if r.known == nil {
		r.known = map[string]refusal{}
	}
	r.known[key] = refusal{intent, *verdict, now}
}
