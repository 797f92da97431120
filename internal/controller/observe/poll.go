// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/writebehind/operator/internal/controller/resources"
	"github.com/writebehind/operator/internal/flusher/config"
)

const flusherPort = resources.FlusherPort

// maxStatusBytes bounds one document: 64 queues with 256 partitions and an error
// text each stay far below it.
const maxStatusBytes = 1 << 20

// target is one resource. Fields but answered are guarded by Observer.mu;
// answered belongs to the look under way.
type target struct {
	key types.NamespacedName
	uid types.UID
	// stop ends the looks, and next begins the next one, nil before the first.
	stop func()
	next *time.Timer

	marks       Marks
	published   Observation
	publishedAt time.Time
	// lookedAt is when the last look ended, or when the resource began to be looked at.
	lookedAt time.Time

	// accounts is how much the pods have changed lately.
	accounts map[types.UID]account

	answered map[types.UID]answer
}

// answer is a pod's last report, and its time.
type answer struct {
	status *config.Status
	at     time.Time
}

// poll asks every pod once.
func (o *Observer) poll(ctx context.Context, t *target, pods []corev1.Pod) Observation {
	flushers := make([]Flusher, len(pods))
	one := func(i int) {
		pod := &pods[i]
		status, err := o.ask(ctx, pod, t.uid)
		flushers[i] = Flusher{Pod: pod.Name, UID: pod.UID, Status: status}
		if err != nil {
			flushers[i].Problem = problem(err)
		}
	}
	if len(pods) == 1 {
		one(0) // a thousand looks at once need no goroutine more each
	} else {
		slots := make(chan struct{}, o.options.Concurrency)
		var wait sync.WaitGroup
		for i := range pods {
			slots <- struct{}{}
			wait.Go(func() {
				defer func() { <-slots }()
				one(i)
			})
		}
		wait.Wait()
	}

	now := time.Now()
	seen := make(map[types.UID]answer, len(pods))
	for i := range flushers {
		f := &flushers[i]
		last, known := t.answered[f.UID]
		switch {
		case f.Status != nil:
			last = answer{f.Status, now}
		case known && now.Sub(last.at) < o.options.Patience:
			f.Status, f.Problem = last.status, ""
		default:
			continue
		}
		seen[f.UID] = last
	}
	t.answered = seen
	slices.SortFunc(flushers, func(a, b Flusher) int { return cmp.Compare(a.Pod, b.Pod) })
	return Observation{Looked: true, Flushers: flushers}
}

// ask gets one pod's document. One that speaks of another resource is none: an
// address may belong to another pod by now.
func (o *Observer) ask(ctx context.Context, pod *corev1.Pod, owner types.UID) (*config.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, o.options.Timeout)
	defer cancel()
	target := url.URL{Scheme: "http", Host: o.options.Endpoint(pod), Path: "/status"}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	response, err := o.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return nil, answerError(fmt.Sprintf("answers /status with HTTP %d", response.StatusCode))
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxStatusBytes+1))
	switch {
	case err != nil:
		return nil, err
	case len(body) > maxStatusBytes:
		return nil, answerError("answers /status with more bytes than a status document may have")
	}
	status, err := decode(body)
	if err != nil {
		return nil, answerError("answers /status with something other than a status document")
	}
	if status.Owner != string(owner) {
		return nil, answerError("answers /status for another resource")
	}
	bound(status, pod.Name, time.Now())
	return status, nil
}

// decode reads a document. Its queues are counted before they are decoded: an empty
// one is three bytes on the way here, and a hundred times as many in memory.
func decode(body []byte) (*config.Status, error) {
	status := &config.Status{}
	document := struct {
		*config.Status
		Queues []json.RawMessage `json:"queues"`
	}{Status: status}
	if err := json.Unmarshal(body, &document); err != nil {
		return nil, err
	}
	if len(document.Queues) > mostQueues {
		return nil, fmt.Errorf("queues: %d, at most %d are allowed", len(document.Queues), mostQueues)
	}
	status.Queues = make([]config.QueueStatus, len(document.Queues))
	for i, queue := range document.Queues {
		if err := json.Unmarshal(queue, &status.Queues[i]); err != nil {
			return nil, err
		}
	}
	return status, nil
}

// answerError is an answer that is none.
type answerError string

func (e answerError) Error() string { return string(e) }

// problem puts an error into words that stay the same as long as the problem
// does: an address or a duration in them would make every look a change.
func problem(err error) string {
	var wrong answerError
	switch {
	case errors.As(err, &wrong):
		return wrong.Error()
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refuses the connection"
	case isLate(err):
		return "does not answer in time"
	default:
		return "does not answer"
	}
}

// isLate reports whether the time for a request is over. Which of the two a connection's
// error is depends on whether there was a connection already.
func isLate(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded)
}
