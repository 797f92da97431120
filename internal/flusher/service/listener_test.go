// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/writebehind/operator/internal/flusher"
)

// TestWhoConnectsBeforeThereIsAnythingToShowWaits: whoever reads /status must never
// meet anything but a status.
func TestWhoConnectsBeforeThereIsAnythingToShowWaits(t *testing.T) {
	s, err := listen(t.Context(), "127.0.0.1:0", flusher.Options{}.WithDefaults())
	if err != nil {
		t.Fatal(err)
	}
	defer s.stop()
	connection, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", s.listening)
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	if _, err := io.WriteString(connection, "GET /status HTTP/1.0\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	s.show(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "first") }))
	answer, err := io.ReadAll(connection)
	if err != nil || len(answer) < 5 || string(answer[len(answer)-5:]) != "first" {
		t.Errorf("the answer is %q, %v", answer, err)
	}
}
