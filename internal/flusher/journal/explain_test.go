// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package journal_test

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"
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
		"an end of the connection":  {io.EOF, "the server closed the connection"},
	} {
		for _, err := range []error{c.err, fmt.Errorf("renew leases: %w", c.err)} {
			check := journal.Explain(err)
			if check.OK || check.Reason != cachev1alpha1.ReasonConnectionFailed || !strings.Contains(check.Message, c.want) {
				t.Errorf("%s: %+v", name, check)
			}
		}
	}
}

// answered is an error as Redis answers it.
type answered string

func (e answered) Error() string { return string(e) }
func (answered) RedisError()     {}

// TestTheWordsOfEveryRelease covers what the server at hand does not say: each release
// has words of its own for the same fault.
func TestTheWordsOfEveryRelease(t *testing.T) {
	const of = " script: wb_engine_claim, on @user_function:410."
	for text, c := range map[string]struct{ reason, says string }{
		// 7.0
		"NOPERM this user has no permissions to run the 'function|load' command":                                          {cachev1alpha1.ReasonPrivilegeMissing, "lacks a right (command function|load)"},
		"NOPERM this user has no permissions to access one of the keys used as arguments":                                 {cachev1alpha1.ReasonPrivilegeMissing, "lacks a right (a key)"},
		"NOPERM this user has no permissions to access one of the channels used as arguments":                             {cachev1alpha1.ReasonPrivilegeMissing, "lacks a right: "},
		"ERR The user executing the script can't run this command or subcommand" + of:                                     {cachev1alpha1.ReasonPrivilegeMissing, "(a command that function wb_engine_claim runs)"},
		"ERR The user executing the script can't access at least one of the keys mentioned in the command arguments" + of: {cachev1alpha1.ReasonPrivilegeMissing, "(a key that function wb_engine_claim works with)"},
		"ERR The user executing the script can't run this command or subcommand":                                          {cachev1alpha1.ReasonPrivilegeMissing, "lacks a right: "},
		"ERR Unknown Redis command called from script" + of:                                                               {cachev1alpha1.ReasonCommandFailed, "rename-command"},
		"BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE.":                        {cachev1alpha1.ReasonConnectionFailed, "FUNCTION KILL"},
		"MISCONF Errors writing to the AOF file: No space left on device":                                                 {cachev1alpha1.ReasonPersistenceFailing, "append-only file"},
		"MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist on disk." + of:           {cachev1alpha1.ReasonPersistenceFailing, "RDB snapshot"},
		// 7.2 and later, and Valkey
		"NOPERM User key has no permissions to run the 'fcall' command":                             {cachev1alpha1.ReasonPrivilegeMissing, "lacks a right (command fcall)"},
		"NOPERM No permissions to access a key":                                                     {cachev1alpha1.ReasonPrivilegeMissing, "lacks a right (a key)"},
		"NOPERM No permissions to access a channel":                                                 {cachev1alpha1.ReasonPrivilegeMissing, "lacks a right: "},
		"ERR ACL failure in script: User key has no permissions to run the 'lrange' command" + of:   {cachev1alpha1.ReasonPrivilegeMissing, "(command lrange, that function wb_engine_claim runs)"},
		"ERR ACL failure in script: User key has no permissions to run the 'lrange' command":        {cachev1alpha1.ReasonPrivilegeMissing, "lacks a right (command lrange)"},
		"ERR ACL failure in script: No permissions to access a key" + of:                            {cachev1alpha1.ReasonPrivilegeMissing, "(a key that function wb_engine_claim works with)"},
		"ERR ACL failure in script: No permissions to access a key":                                 {cachev1alpha1.ReasonPrivilegeMissing, "lacks a right (a key)"},
		"ERR Unknown command called from script" + of:                                               {cachev1alpha1.ReasonCommandFailed, "rename-command"},
		"BUSY Valkey is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE.": {cachev1alpha1.ReasonConnectionFailed, "FUNCTION KILL"},
		"LOADING Valkey is loading the dataset in memory":                                           {cachev1alpha1.ReasonConnectionFailed, "loading its data"},
		"MISCONF Valkey is configured to save RDB snapshots, but it's currently unable to persist.": {cachev1alpha1.ReasonPersistenceFailing, "RDB snapshot"},
		"MASTERDOWN Link with PRIMARY is down and replica-serve-stale-data is set to 'no'.":         {cachev1alpha1.ReasonReadOnlyReplica, "without a primary"},
		"NOREPLICAS Not enough good replicas to write." + of:                                        {cachev1alpha1.ReasonPersistenceFailing, "too few replicas"},
		"OOM command not allowed when used memory > 'maxmemory'." + of:                              {cachev1alpha1.ReasonOutOfMemory, "raise maxmemory"},
		"READONLY You can't write against a read only replica." + of:                                {cachev1alpha1.ReasonReadOnlyReplica, "read-only replica"},
		"ERR Engine 'LUA' not found":                                                                {cachev1alpha1.ReasonCommandFailed, "Lua"},
		"ERR Function wb_set already exists":                                                        {cachev1alpha1.ReasonCommandFailed, "FUNCTION DELETE"},
	} {
		check := journal.Explain(fmt.Errorf("claim partition 3: %w", answered(text)))
		if check.OK || check.Reason != c.reason || !strings.Contains(check.Message, c.says) {
			t.Errorf("%s: %+v, want reason %s and the words %q", text, check, c.reason, c.says)
		}
		if c.reason == cachev1alpha1.ReasonPrivilegeMissing && !strings.Contains(check.Message, "ACL SETUSER ") {
			t.Errorf("%s: %q names no ACL SETUSER", text, check.Message)
		}
	}
}

// TestWantOfDescriptorsIsNoFaultOfASecret: the file is there, and creating it again would
// help nobody.
func TestWantOfDescriptorsIsNoFaultOfASecret(t *testing.T) {
	for name, err := range map[string]error{
		"a secret":     journal.Unreadable("/secret", "Secret shop, key password", &fs.PathError{Op: "open", Path: "/secret", Err: syscall.EMFILE}),
		"a machine's":  journal.Unreadable("/secret", "", &fs.PathError{Op: "open", Path: "/secret", Err: syscall.ENFILE}),
		"a connection": &net.OpError{Op: "dial", Err: os.NewSyscallError("socket", syscall.EMFILE)},
	} {
		if check := journal.Explain(err); check.Reason != cachev1alpha1.ReasonConnectionFailed || !strings.Contains(check.Message, "EMFILE") {
			t.Errorf("%s: %+v", name, check)
		}
	}
	for err, want := range map[syscall.Errno]string{
		syscall.ENOENT: "is missing", syscall.EACCES: "see the file's permissions", syscall.EISDIR: "is a directory", syscall.EIO: "cannot be read",
	} {
		if check := journal.Explain(journal.Unreadable("/secret", "Secret shop, key password", err)); check.Reason != cachev1alpha1.ReasonSecretMissing ||
			!strings.Contains(check.Message, want) {
			t.Errorf("%v: %+v", err, check)
		}
	}
}
