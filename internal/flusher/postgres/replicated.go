// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"errors"

	"github.com/jackc/pgx/v5/pgconn"
)

// errUnreplicated means that a commit is in force on the server and perhaps nowhere else:
// its wait for a synchronous standby was ended. After a fail-over it may be gone.
var errUnreplicated = errors.New("the commit may not have reached the synchronous standby, because the wait for it was cancelled: " +
	"see pg_stat_replication, and bring back a standby that synchronous_standby_names asks for, or remove it from that setting")

// waitsForStandby is PostgreSQL's own name of the function that waits. Its warning comes
// in the server's language, and with an SQLSTATE that others have.
const waitsForStandby = "SyncRepWaitForLSN"

// unreplicated is where a connection keeps that its last commit was not waited for.
const unreplicated = "unreplicated"

func recordUnreplicated(conn *pgconn.PgConn, notice *pgconn.Notice) {
	if notice.Routine == waitsForStandby {
		conn.CustomData()[unreplicated] = true
	}
}

// replicated is errUnreplicated in place of err if the commit that was just made on the
// connection did not wait for its standby.
func replicated(conn *pgconn.PgConn, err error) error {
	if conn.CustomData()[unreplicated] != true {
		return err
	}
	delete(conn.CustomData(), unreplicated)
	return errUnreplicated
}
