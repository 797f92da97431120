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
// still be on its way: a large row over a slow link would time out again and again, although
// nothing is wrong with it. The time-out is therefore off until the tail, which begins by
// setting it. Every batch does so: the statement has a few bytes and costs no round trip. The
// flusher gives up a silent server, but not a batch that moves.
//
// Every statement that writes rows asks whether this very transaction moved the
// ledger row (its epoch, its flush number and its xmin). If it did not, the
// transaction does nothing, and the ledger shows why: another epoch means that the
// partition has another owner, this batch's own number means that the batch committed
// earlier, and the number just before it means that the table was altered.
//
// A row that PostgreSQL did not write never counts as written. A statement that writes fewer rows
// than it was given, because a trigger returned NULL for one or a policy hides it,
// fails the transaction. So does a deletion after which the row is still there, which a
// statement at the end looks for, in a snapshot of its own. The role cannot look for rows
// that it may not see: a row that a policy for SELECT hides counts as gone when it is
// deleted. Only a write meets it, in the unique index, and no statement reads the index
// alone. So a table is refused if its policies show or accept no row at all (their
// expression is false, or there is none). If they may hide some rows, the log names the
// policy: a refusal would exclude tables of which the role has a part to itself.
//
// A trigger may also leave a row alone because it would not change, as PostgreSQL's
// suppress_redundant_updates_trigger does. A count cannot distinguish that from a row that
// was kept out. So a batch which wrote too few rows is written once more, by statements that
// compare the rows they did not write with the table, and name the first that differs. These
// statements are slower to plan, so a table gets them only once a row was kept, or from the
// beginning if it has that trigger. The comparison also settles what somebody else wrote or
// deleted at the same moment.
//
// # A table that is altered
//
// The statements are those of the table as it was when it was read, and the transaction
// that runs them makes sure that it still is: the ledger's compare-and-set also compares
// which table the name stands for and the catalogue's version of each of its columns.
// It runs after the other statements were parsed, which keeps everybody from altering
// the table until the commit. If the table has changed, or a statement is not accepted for
// that reason, the batch is Altered: nothing is written, and the same batch may be written
// at once to the table as it is now. That a value cannot become a row is only final for a
// table that is Current. A read of the catalogue every few seconds would not do: meanwhile
// values would be cast to the type that a column had. The version is the xmin of the
// column's row in the catalogue: a list of the properties that matter would cost more and
// be incomplete.
//
// # Documents that do not name every column
//
// PostgreSQL checks NOT NULL and check constraints before it looks for a conflict: an upsert
// of half a row is refused although the row exists. Documents that do not name every fed
// column therefore update the existing rows and insert the others, in one statement. Triggers
// BEFORE INSERT run for the inserted rows. Documents that name every column use the plain
// upsert, which is faster.
//
// # Tables that inherit
//
// A unique index does not reach the rows of tables that inherit, so a table with children
// is refused. Since a child may come at any moment the statements name ONLY the table.
//
// # Values
//
// A JSON value becomes, unchanged, the text that PostgreSQL reads for the column's type, with
// three exceptions. A number for a column of whole numbers or of money may have any form
// (100.0, 1e3). A string for a bytea is base64, standard or for URLs, or begins with \x as
// PostgreSQL's own form: bytes that were read as text would silently become other bytes. In
// the text of a type that contains bytea, the parts that are bytes take \x only. The whole
// document in a bytea is its own bytes. PostgreSQL itself reads every other text, in the
// DateStyle, IntervalStyle, TimeZone and lc_monetary of the role: an application that writes
// ISO dates depends on none of them.
//
// If the documents of a batch have fields and none of the fields feeds a column, that is the
// mapping's fault, unless an earlier document of the mapping has fed a column.
//
// # Encodings
//
// A value is a document unless the mapping has another encoding. The fields of a hash and
// of an entry of a stream are texts, and each is read by its column's own type: "{a,b}"
// is an array, "{}" an object of jsonb, and "\x41" a byte. A number of Redis is checked
// here, since INCRBYFLOAT writes 1e+20 and an integer column takes only digits.
//
// What a hash does not name stays as it is, as it does of a document. A field that is gone
// gives its column the default, and so does, where the hash was read whole, a field that it
// does not have: unless the column's default is one that the mapping does not list. That is
// a time of creation or a number of the row as a rule, which must not change whenever the
// key is read.
//
// Of a sorted set each member is a row, of a stream each entry: a row is found by two
// columns, which must be unique together, and by no more and no fewer. What takes the rows
// of a whole key away lists the members that stay. Without the list it would have to come
// before what is written of the members, and a batch of which one entry is tried apart keeps
// no order.
//
// A row of a stream never changes, so that one which is there counts as written, whatever
// it holds. It needs no right to update or delete, and no replica identity.
//
// A scan of what is in Redis writes rows that are as they are to be, most of the time. Its
// entries are compared by the statement itself: a look before would need a lock to stay
// true. Values without equality are compared by their binary form.
//
// # Sources
//
// What a source of another kind needs to remember is kept in three tables beside the ledger:
// who reads it and how far it was carried, entries that wait for another attempt, and dead
// letters. They are made and checked as the ledger is, where the settings ask for them. A
// lease is moved by a connection of its own, since one that waited behind batches would run
// out while its holder is well. Names are found by their hashes: a key or a member may be
// longer than a row of an index.
//
// # After an error
//
// Writing the same batch again at the same place is always safe. Another batch may
// take the place only after an error that is settled, that is, one whose transaction
// is known to have ended without a commit; after an unsettled one either the same batch is written again or the partition is acquired
// again, which shuts out whatever is still under way.
//
// A commit whose wait for a synchronous standby was cancelled is unsettled too, although the
// answer is COMMIT. PostgreSQL sends a warning with it, which is recognized by the function
// that raises it, since neither its text nor its SQLSTATE is specific to it.
//
// # Another URL
//
// Every connection knows the URL that it was made from, and is used only while the file has
// that URL. Check and Table read the file each time, Write and Acquire once a second: from
// then on no transaction begins in the database of the earlier URL.
//
// # Checking the server
//
// Check and Table have one connection of their own besides those that write, and 3 s each.
// Check asks only whether the server answers and is writable, or nothing at all while batches
// commit. After a failure, and while batches are under way and none commits, Check writes to
// the ledger and rolls back. Every query, of the catalogue or of the ledger, runs in a
// transaction that replaces the settings of the role, the database and the URL: nothing
// remains on a connection that a pooler gives to others. A statement of a check has two of the
// three seconds, so that PostgreSQL itself reports one that takes too long, and the connection
// is not blamed.
//
// # What no error contains
//
// No error text of this package quotes PostgreSQL's message or detail, a value
// of a row, or the connection URL. Errors name SQLSTATE, constraint, column,
// table and remedy.
package postgres
