// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"k8s.io/apimachinery/pkg/util/remotecommand"
	"k8s.io/client-go/rest"
	"k8s.io/streaming/pkg/httpstream/wsstream"
)

// pods is an API server that knows exec alone. It counts what it is asked to run.
func pods(t *testing.T, runs func(in io.Reader, out io.Writer) (code int)) (*rest.Config, *atomic.Int32) {
	t.Helper()
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if !wsstream.IsWebSocketRequest(r) {
			http.Error(w, "only a WebSocket is expected", http.StatusBadRequest)
			return
		}
		in, out := wsstream.ReadChannel, wsstream.WriteChannel
		conn := wsstream.NewConn(map[string]wsstream.ChannelProtocolConfig{
			remotecommand.StreamProtocolV5Name: {Binary: true, Channels: []wsstream.ChannelType{in, out, out, out, in}},
		})
		_, streams, err := conn.Open(w, r)
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = conn.Close() }()
		status := `{"kind":"Status","apiVersion":"v1","status":"Success"}`
		if code := runs(streams[0], streams[1]); code != 0 {
			status = fmt.Sprintf(`{"kind":"Status","apiVersion":"v1","status":"Failure","reason":%q,"details":{"causes":[{"reason":%q,"message":"%d"}]}}`,
				remotecommand.NonZeroExitCodeReason, remotecommand.ExitCodeCauseType, code)
		}
		if _, err := io.WriteString(streams[3], status); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(server.Close)
	return &rest.Config{Host: server.URL}, &asked
}

// What discards dead letters, or marks keys dirty, must not happen twice.
func TestACommandThatHasRunIsNotRunAgain(t *testing.T) {
	for _, want := range []int{0, 1, 3} {
		config, asked := pods(t, func(_ io.Reader, out io.Writer) int {
			_, _ = io.WriteString(out, "done\n")
			return want
		})
		var out, problems bytes.Buffer
		code, err := inPod(config)(t.Context(), "shop", "shop-flusher", flusherContainer, []string{"/flusher", "verify"}, &out, &problems)
		if code != want || err != nil || asked.Load() != 1 || out.String() != "done\n" {
			t.Errorf("exit code %d, %v, after %d requests: %q; want exit code %d after one", code, err, asked.Load(), out.String(), want)
		}
	}
}

// heard calls back when something is written.
type heard struct {
	text bytes.Buffer
	back func()
}

func (h *heard) Write(text []byte) (int, error) {
	h.back()
	return h.text.Write(text)
}

// Whoever interrupts the plugin interrupts the command in the pod, and hears what it has done.
func TestWhoeverInterruptsThePluginInterruptsTheCommand(t *testing.T) {
	config, _ := pods(t, func(in io.Reader, out io.Writer) int {
		_, _ = io.WriteString(out, "begun\n")
		_, _ = io.Copy(io.Discard, in)
		_, _ = io.WriteString(out, "marked dirty: 7\n")
		return 1
	})
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	out := heard{back: interrupt}
	code, err := inPod(config)(ctx, "shop", "shop-flusher", flusherContainer, []string{"/flusher", "repair"}, &out, io.Discard)
	if code != 1 || err != nil || out.text.String() != "begun\nmarked dirty: 7\n" {
		t.Errorf("exit code %d, %v: %q", code, err, out.text.String())
	}
}
