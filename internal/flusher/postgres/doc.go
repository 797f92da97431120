// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package postgres is the database side of a flusher: it writes batches of rows
// to PostgreSQL, each in one transaction that also moves the partition's ledger
// row, so that a batch takes effect once and only for the partition's owner.
//
// # One batch
//
// A batch is one pipeline with a single Sync. First everything that is long is
// sent and only bound to portals: the ledger's compare-and-set, the rows to
// delete and the rows to write. Then follows a tail of a few bytes that runs
// the portals in that order and commits. No row is locked before the tail
// arrives, and the tail is too short to arrive by halves: a flusher that is
// stopped, or whose network stalls, anywhere in the middle of a batch leaves
// its successor nothing to wait for.
//
// PostgreSQL measures a statement's time from its first message on, while the rest may
// still be on its way: a large row over a slow link would time out, again and again, with
// nothing wrong in it. The time-out is therefore off until the tail, which begins by setting
// it. It is so for every batch: the statement is of a few bytes and costs no round trip.
// The flusher in turn gives a server up that is silent, not a batch that moves.
//
// Every statement that writes rows asks whether this very transaction moved the
// ledger row (its epoch, its flush number and its xmin). If it did not, the
// transaction does nothing, and the ledger tells why: another epoch means that
// the partition has another owner, this batch's own number means that it
// committed earlier, and the ledger just before the batch that the table was altered.
//
// What PostgreSQL did not do is not taken for done. A statement that writes fewer rows
// than it was given, because a trigger returned NULL for one or a policy hides it,
// fails the transaction. So does a deletion after which the row is still there, which a
// statement at the end looks for, in a snapshot of its own. What the role may not see
// cannot be looked for: a row that a policy for SELECT hides counts as gone when it is
// deleted. Only a write meets it, in the unique index, and no statement asks the index
// alone. So a table is refused whose policies show or take no row, as their expressions
// tell (false, or none), and where they may hide some the log says so: to refuse those
// too would take away tables of which the role has a part to itself.
//
// A trigger may also leave a row alone because it would not change, as PostgreSQL's
// suppress_redundant_updates_trigger does. Counting cannot tell that from a row that
// was kept out, so that a batch which wrote too few rows is written once more by
// statements that hold the rows they did not write against what is there, and name the
// first that differs. They are slower to plan, so that a table gets them only once a
// row was kept, or from the beginning where it has that trigger. The second look also
// settles what somebody else wrote or deleted at the same moment.
//
// # A table that is altered
//
// The statements are those of the table as it was when it was read, and the transaction
// that runs them makes sure that it still is: the ledger's compare-and-set also compares
// which table the name stands for and the catalogue's version of each of its columns.
// It runs after the other statements were parsed, which keeps everybody from altering
// the table until the commit. If it is another one, or a statement is not accepted for
// that reason, the batch is Altered: nothing is written, and the same batch may be at
// once with the table as it is. What cannot become a row is only final for a table that
// is Current. That replaces a look at the catalogue every few seconds, within which
// values were cast to the type that a column had. The version is the xmin of the
// column's row in the catalogue, since to spell out what decides would cost more and
// forget something.
//
// # Documents that do not name every column
//
// PostgreSQL looks for what must not be null, and for what a check says, before it looks
// for a conflict: an upsert of half a row is refused although the row is there. Documents
// that do not name every column that is fed therefore update the rows that are there
// and insert the others, in one statement. Triggers BEFORE INSERT run for the rows that are
// inserted. Documents that name every column have the plain upsert, which is faster.
//
// # Tables that inherit
//
// A unique index does not reach the rows of tables that inherit, so a table with children
// is refused. Since a child may come at any moment the statements name ONLY the table.
//
// # Values
//
// A JSON value becomes the text that PostgreSQL reads for the column's type, as it
// stands, but for three: a number for a column of whole numbers or of money may be written in
// any way (100.0, 1e3); a string for a bytea is base64, standard or for URLs, or begins with
// \x as PostgreSQL's own form, since bytes that were taken for a text would be other
// bytes in silence, and of the text of a type that has bytea within only \x is taken, in
// the parts that are bytes; and the whole document in a bytea is its own bytes. What is a text
// to begin with is PostgreSQL's business, in the DateStyle, IntervalStyle, TimeZone and
// lc_monetary of the role: an application that writes ISO dates depends on none of them.
//
// A batch whose documents have fields of which none feeds a column is the mapping's
// fault until one document of the mapping has fed one.
//
// # After an error
//
// Writing the same batch again at the same position is always safe. Another
// batch may take the position only after an error that is settled, that is, one
// whose transaction is known to have ended without a commit; after an unsettled
// one either the same batch is written again or the partition is acquired
// again, which shuts out whatever is still under way.
//
// A commit whose wait for a synchronous standby was ended is unsettled too, though it is
// answered with COMMIT: PostgreSQL tells by a warning, which is known by the function
// that raises it, since its words and its SQLSTATE are not its own.
//
// # Another URL
//
// Every connection knows the URL that it was made from, and is lent only while
// that is the one in the file. Check and Table read the file each time, Write
// and Acquire once a second: from then on nothing more is begun in the database
// of the earlier URL.
//
// # Looking at the server
//
// Check and Table have one connection of their own beside those that write, and
// 3 s each. Check asks only whether the server answers and is writable, or
// nothing at all while batches commit; after trouble, and while batches are under
// way of which none commits, it writes to the ledger and takes it back. Whatever is asked,
// of the catalogue or of the ledger, is asked in a transaction that has replaced what the
// role, the database or the URL set: nothing is left on a connection that a pooler gives
// to others. A statement of a look has two of the three seconds, so that PostgreSQL itself
// tells of one that takes too long, and the connection is not blamed.
//
// # What is never told
//
// No error text of this package quotes PostgreSQL's message or detail, a value
// of a row, or the connection URL. Errors name SQLSTATE, constraint, column,
// table and remedy.
package postgres
