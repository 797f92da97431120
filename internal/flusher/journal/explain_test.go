// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package journal_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	cachev1alpha1 "github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/journal"
)

// TestAServerThatHangsIsToldInOneWay covers what the client answers while a server
// takes connections and says nothing: a person must not read of another cause with
// every look.
func TestAServerThatHangsIsToldInOneWay(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"a read":                    {&net.OpError{Op: "read", Net: "tcp", Err: os.ErrDeadlineExceeded}, "did not answer in time"},
		"a handshake":               {os.ErrDeadlineExceeded, "did not answer in time"},
		"a wait for the connection": {redis.ErrPoolTimeout, "did not answer in time"},
		"a look that is given up":   {context.DeadlineExceeded, "did not answer in time"},
		"an end of the connection":  {io.EOF, "the connection was closed"},
	} {
		for _, err := range []error{c.err, fmt.Errorf("renew leases: %w", c.err)} {
			check := journal.Explain(err)
			if check.OK || check.Reason != cachev1alpha1.ReasonConnectionFailed || !strings.Contains(check.Message, c.want) {
				t.Errorf("%s: %+v", name, check)
			}
		}
	}
}
