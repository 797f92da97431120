// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package scale

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/writebehind/operator/test/programs"
)

// audit is the API server's record of what the operator asked of it.
type audit struct {
	policy, log string
	file        *os.File
	reader      *bufio.Reader
	partial     []byte
}

// auditPolicy keeps who asked for what, once each request has ended.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived, ResponseStarted]
rules:
- level: Metadata
  users: [` + operatorUser + `]
- level: None
`

func newAudit(t *testing.T) *audit {
	t.Helper()
	dir := t.TempDir()
	a := &audit{policy: filepath.Join(dir, "policy.yaml"), log: filepath.Join(dir, "audit.log")}
	programs.Must(t, os.WriteFile(a.policy, []byte(auditPolicy), 0o600))
	// The API server appends to a file that is there.
	programs.Must(t, os.WriteFile(a.log, nil, 0o600))
	var err error
	a.file, err = os.Open(a.log)
	programs.Must(t, err)
	t.Cleanup(func() { a.file.Close() })
	a.reader = bufio.NewReader(a.file)
	return a
}

func (a *audit) configure(arguments *envtest.Arguments) {
	const megabytes = "10000" // far more than a run writes, so that the file stays one
	arguments.Set("audit-policy-file", a.policy).Set("audit-log-path", a.log).Set("audit-log-maxsize", megabytes)
}

// requests are what the operator asked for in some time.
type requests struct {
	// Reads and Writes count what was asked for, whether it succeeded or not. An event
	// that is made is a write.
	Reads  int `json:"reads"`
	Writes int `json:"writes"`
	// Present counts attempts to create what is there already, which change nothing:
	// the operator may not read a Secret, and makes sure of it in this way.
	Present int `json:"createsOfWhatIsThere"`
	// Recounts change an event that is there: the recorder writes down, long after the
	// last of a series of events, how many there were.
	Recounts int `json:"recountsOfEvents"`
	// Renewals are those of the leader's Lease, with the event of who leads.
	Renewals int `json:"leaseRenewals"`

	// what names the writes, for whoever did not expect any.
	what []string
}

// named are the first of the writes.
func (r *requests) named() string {
	const most = 20
	return strings.Join(r.what[:min(most, len(r.what))], "\n")
}

// since reads what was recorded since the last time.
func (a *audit) since(t *testing.T) requests {
	t.Helper()
	var counted requests
	for {
		line, err := a.reader.ReadBytes('\n')
		a.partial = append(a.partial, line...)
		if errors.Is(err, io.EOF) {
			return counted
		}
		programs.Must(t, err)
		whole := bytes.Clone(a.partial)
		a.partial = a.partial[:0]
		programs.Must(t, counted.add(whole))
	}
}

func (r *requests) add(line []byte) error {
	var event struct {
		Verb      string
		ObjectRef struct{ Resource, Subresource, Namespace, Name string }
		Response  struct{ Code int } `json:"responseStatus"`
	}
	if err := json.Unmarshal(line, &event); err != nil {
		return fmt.Errorf("decode the audit log: %w", err)
	}
	object := event.ObjectRef
	switch event.Verb {
	case "get", "list", "watch":
		r.Reads++
		return nil
	}
	switch {
	case object.Namespace == operatorNamespace:
		r.Renewals++
	case event.Verb == "create" && event.Response.Code == http.StatusConflict:
		r.Present++
	case event.Verb == "patch" && object.Resource == "events":
		r.Recounts++
	default:
		r.Writes++
		r.what = append(r.what, fmt.Sprintf("%s %s %s/%s %s: %d", event.Verb, object.Resource, object.Namespace, object.Name, object.Subresource, event.Response.Code))
	}
	return nil
}
