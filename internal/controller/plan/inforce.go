// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/controller/failure"
	"github.com/writebehind/operator/internal/controller/resources"
	"github.com/writebehind/operator/internal/controller/rivals"
	"github.com/writebehind/operator/internal/controller/snapshot"
	"github.com/writebehind/operator/internal/flusher/config"
)

// InForce records settings that the spec no longer contains after a change: those of
// retired mappings, and the previous Redis. The ConfigMap's text is no source for
// them, since people may edit it. The record is one annotation in two places, the
// ConfigMap and the Service, so that either may be deleted. An annotation on the
// Deployment would be a new generation of it, and be copied to its ReplicaSets.
type InForce struct {
	// Revision is the generation that it was written for.
	Revision int64 `json:"revision"`
	// External is where the queues are, nil for a managed Redis.
	External *v1alpha1.ExternalRedis `json:"external,omitempty"`
	// Capture is how writes are noticed, empty for Functions.
	Capture string `json:"capture,omitempty"`
	// Mappings are those of the config file, the retired ones included.
	Mappings []config.Mapping `json:"mappings"`
}

const (
	// maxQueues is the most mappings of one config file, retired ones included.
	maxQueues = 32
	// maxUnpacked bounds what it unpacks to. Anybody who may edit the annotation may
	// write one of a few bytes that unpacks to gigabytes.
	maxUnpacked = 4 << 20
)

// Bounds of what the API server stores, which a test makes small.
var (
	// maxInForce bounds the text in bytes. An object's annotations hold 256 KiB
	// together, and a config file whose mappings pack to more fits no ConfigMap.
	maxInForce = 200 << 10
	// maxConfigMap is what the API server takes as the data of a ConfigMap, in bytes.
	maxConfigMap = 1 << 20
)

// tooManyColumns reports that the mappings take more room than there is: with the
// retired ones a resource may have more than its schema allows at a time.
func tooManyColumns(size, most int) error {
	return &failure.Stalled{
		Reason: v1alpha1.ReasonInvalidSpec,
		Message: fmt.Sprintf("spec.mappings: the settings of the mappings, with the removed mappings that are not empty yet, take %d bytes, "+
			"and there is room for %d: name fewer columns, or wait until the queues of the removed mappings are empty", size, most),
	}
}

// text is the record as an annotation: its hash, and its JSON, compressed. Plain it
// would not fit beside others: what the schema allows, 32 mappings of 200 columns, takes
// more than the 256 KiB.
func (m *InForce) text() (string, error) {
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
func parseInForce(text string) *InForce {
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
	m := &InForce{}
	if json.Unmarshal(plain, &counted) != nil || len(counted.Mappings) > maxQueues || json.Unmarshal(plain, m) != nil || !m.usable() {
		return nil
	}
	return m
}

// usable reports whether flushers could run it. The hash is no secret, and a mapping
// without a name would be one in the status, which the API server rejects.
func (m *InForce) usable() bool {
	c := config.Default()
	c.Mappings = m.Mappings
	if m.Capture != "" {
		c.Capture = m.Capture
	}
	c.Database.Postgres.URLFile = "any"
	c.Redis.External.Addresses = []string{"any:1"}
	if m.External != nil {
		c.Redis.External.Addresses, c.Redis.External.MasterName = m.External.Addresses, m.External.MasterName
		if m.External.Mode != "" {
			c.Redis.External.Mode = string(m.External.Mode)
		}
	}
	return c.Validate() == nil
}

// recordedIn is what the objects record as in force; nil when none does. The
// ConfigMap is written first, so it is right where both are of one revision.
func recordedIn(s *snapshot.Snapshot) *InForce {
	var texts []string
	if o := s.Flushers.ConfigMap; o != nil {
		texts = append(texts, o.Annotations[v1alpha1.AnnotationInForce])
	}
	if o := s.Flushers.Service; o != nil {
		texts = append(texts, o.Annotations[v1alpha1.AnnotationInForce])
	}
	var newest *InForce
	for _, text := range texts {
		m := parseInForce(text)
		if m != nil {
			m = m.vouched(s)
		}
		if m != nil && (newest == nil || m.Revision > newest.Revision) {
			newest = m
		}
	}
	return newest
}

// carries reports whether the flushers have the queue, be it retired.
func (m *InForce) carries(name string) bool {
	return slices.ContainsFunc(m.Mappings, func(c config.Mapping) bool { return c.Name == name })
}

// without leaves out the mappings whose queues others have.
func (m *InForce) without(others map[string]*rivals.Rival) *InForce {
	left := *m
	left.Mappings = slices.DeleteFunc(slices.Clone(m.Mappings), func(c config.Mapping) bool { return others[c.Name] != nil })
	return &left
}
