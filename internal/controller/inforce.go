// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/resources"
	"github.com/writebehind/operator/internal/flusher/config"
)

// inForce is what the spec does not tell any more once it has changed, and
// nothing else may tell either: a person may edit the flushers' ConfigMap. It is
// kept as one annotation in two places, the ConfigMap and the Service, so that
// either may be deleted. An annotation on the Deployment would be a new generation
// of it, and be copied to its ReplicaSets.
type inForce struct {
	// Revision is the generation that it was written for.
	Revision int64 `json:"revision"`
	// External is where the queues are, nil for a managed Redis.
	External *v1alpha1.ExternalRedis `json:"external,omitempty"`
	// Mappings are those of the config file, the retired ones included.
	Mappings []config.Mapping `json:"mappings"`
}

const (
	// maxInForce bounds the text in bytes. An object's annotations hold 256 KiB
	// together, and a config file whose mappings pack to more fits no ConfigMap.
	maxInForce = 200 << 10
	// maxUnpacked bounds what it unpacks to. Anybody who may edit the annotation may
	// write one of a few bytes that unpacks to gigabytes.
	maxUnpacked = 4 << 20
	// maxConfigMap is what the API server takes as the data of a ConfigMap.
	maxConfigMap = 1 << 20
)

// tooManyColumns says that the mappings, of which a resource may gather more than
// its schema lets it have at a time, take more room than there is.
func tooManyColumns(size, most int) error {
	return &stalledError{
		reason: v1alpha1.ReasonInvalidSpec,
		message: fmt.Sprintf("spec.mappings: the settings of the mappings, with those that were taken out and are not empty yet, take %d bytes, "+
			"and there is room for %d: name fewer columns, or wait until the queues of those that were taken out are empty", size, most),
	}
}

// text packs it: JSON, compressed, behind its hash.
func (m *inForce) text() (string, error) {
	plain, err := json.Marshal(m)
	if err != nil {
		return "", fmt.Errorf("encode settings in force: %w", err)
	}
	if len(plain) > maxUnpacked {
		return "", tooManyColumns(len(plain), maxUnpacked)
	}
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	_, err = w.Write(plain)
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return "", fmt.Errorf("pack settings in force: %w", err)
	}
	text := resources.Hash(string(plain)) + "." + base64.StdEncoding.EncodeToString(packed.Bytes())
	if len(text) > maxInForce {
		return "", tooManyColumns(len(text), maxInForce)
	}
	return text, nil
}

// parseInForce is nil for a text that this operator cannot have written.
func parseInForce(text string) *inForce {
	hash, encoded, ok := strings.Cut(text, ".")
	if !ok {
		return nil
	}
	packed, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return nil
	}
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil
	}
	plain, err := io.ReadAll(io.LimitReader(r, maxUnpacked)) // what is cut off has another hash
	if err != nil || resources.Hash(string(plain)) != hash {
		return nil
	}
	// Counted before they are decoded: an empty one is three bytes here, and a
	// hundred times as many in memory.
	var counted struct {
		Mappings []json.RawMessage `json:"mappings"`
	}
	m := &inForce{}
	if json.Unmarshal(plain, &counted) != nil || len(counted.Mappings) > maxQueues || json.Unmarshal(plain, m) != nil || !m.usable() {
		return nil
	}
	return m
}

// usable says whether flushers could run it. The hash is no secret, and a mapping
// without a name, say, would be one in the status that the API server refuses.
func (m *inForce) usable() bool {
	c := config.Default()
	c.Mappings = m.Mappings
	c.Database.Postgres.URLFile = "any"
	c.Redis.External.Addresses = []string{"any:1"}
	if m.External != nil {
		c.Redis.External.Addresses = m.External.Addresses
	}
	return c.Validate() == nil
}

// previousSettings are those in force; nil when none were written, or nothing
// tells them. The ConfigMap is written first, so it is right where both are of
// one revision.
func (s *scope) previousSettings() *inForce {
	var newest *inForce
	for _, object := range []client.Object{liveOrNil(s.flusherConfig), liveOrNil(s.flusherService)} {
		if object == nil {
			continue
		}
		m := parseInForce(object.GetAnnotations()[v1alpha1.AnnotationInForce])
		if m != nil && (newest == nil || m.Revision > newest.Revision) {
			newest = m
		}
	}
	return newest
}

// carries tells whether the flushers have the queue, be it retired.
func (m *inForce) carries(name string) bool {
	return slices.ContainsFunc(m.Mappings, func(c config.Mapping) bool { return c.Name == name })
}

// without leaves out the mappings whose queues others have.
func (m *inForce) without(rivals map[string]*rival) *inForce {
	left := *m
	left.Mappings = slices.DeleteFunc(slices.Clone(m.Mappings), func(c config.Mapping) bool { return rivals[c.Name] != nil })
	return &left
}

// nowInForce is what is to be remembered of the planned settings. It is of a new
// revision only when it differs, so that most live settings leave the
// Service alone.
func (s *scope) nowInForce() *inForce {
	now := &inForce{Revision: s.settings.Revision, External: s.carried.Spec.Redis.External, Mappings: s.settings.Mappings}
	if p := s.previous; p != nil && equality.Semantic.DeepEqual(p.External, now.External) && equality.Semantic.DeepEqual(p.Mappings, now.Mappings) {
		now.Revision = p.Revision
	}
	return now
}

// forgotten names the queues that were seen and that nothing tells how to flush:
// the spec has them no more, and no record of the settings in force is left.
func (s *scope) forgotten(previous *inForce) error {
	if previous != nil || s.forced() {
		return nil
	}
	inSpec := map[string]bool{}
	for i := range s.cache.Spec.Mappings {
		inSpec[s.cache.Spec.Mappings[i].Name] = true
	}
	var names []string
	for _, m := range s.cache.Status.Mappings {
		if m.Journal != "" && !inSpec[m.Name] {
			names = append(names, m.Name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	return &stalledError{
		reason: v1alpha1.ReasonQueueNotEmpty,
		message: fmt.Sprintf("queue %s is not known to be empty, spec.mappings does not have it, and the settings to flush it with were removed from both ConfigMap %s "+
			"and Service %s; nothing is changed until it is put back into spec.mappings as it was, or given up with the annotation %s: \"true\"%s",
			strings.Join(names, ", "), resources.FlusherName(s.cache), resources.FlusherName(s.cache), v1alpha1.AnnotationForceDelete, s.aboutForce()),
	}
}
