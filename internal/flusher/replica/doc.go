// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package replica is the source of entries that changes nothing in the application: it
// attaches to Redis as a replica. The stream says which keys are dirty, their values are
// read when a batch is sent, and the database keeps how far the stream was carried.
//
// # The link
//
// A Link makes a connection and says what a replica says. A Stream is what follows: commands,
// of which it makes effects, each with the words of one command about one key (effect.go).
//
//	            journal.Connect, AUTH, INFO: a primary of version 7 or later
//	detached ──────────────────────────────────────────────────────────▶ greeted
//	   ▲                                                                    │ REPLCONF:
//	   │                                                                    │ no port, EOF and
//	   │ refused, misread, silent for 5 s                                   │ PSYNC2, no keys
//	   ├────────────────────────────────────────────────────────────────────┤
//	   │                              PSYNC ? -1, or of a point             ▼
//	   │                +CONTINUE (id)                              FULLRESYNC id offset
//	   │         ┌──────────────────────────── asked ────────────────────────────┐
//	   │         ▼                      (a newline a second)                     ▼
//	   │     streaming ◀───────────────────────────────────────────────────── snapshot
//	   │         │                    its length or its mark                     │
//	   │         │ Close, end of the connection, silent for a minute,            │
//	   └─────────┴───────────────── what arrives is no command ──────────────────┘
//
// A stream is never repaired. Whoever has read it attaches again at the last safe point, or
// at an earlier one, and meets what follows once more.
//
// # What happens when something fails
//
//	failure                              what the link does
//	-----------------------------------  --------------------------------------------------
//	the server is a replica, a Sentinel, refuses it, in the words of the probes; a replica
//	a node of a cluster, or old          would hand on a stream without the keys to read
//	no right to a command                names it, and the ACL SETUSER to run
//	PSYNC is refused or not known        says that this Redis takes no replicas, and to use
//	                                     capture Functions
//	the server does not know the         a full resync under the name that it gives: the
//	history, or has not all of it        stream says that it is not continued
//	another primary has taken over       goes on under the name that it gives, up to the
//	                                     offset at which it did; beyond, a full resync
//	the point is none of the history     ErrMisaligned: the server does not notice, but what
//	                                     arrives first begins no command
//	a snapshot is being written          waits as long as a newline comes each minute
//	the server is silent for a minute    ends the stream
//	the server takes nothing for 5 s     ends the stream: an acknowledgement was not sent
//	the connection ends in a transaction the safe point is before it: all of it comes again
//	a command of 16 MiB and more         keeps what fits, and tells of the keys without their
//	                                     values and members; Unknown where a key itself does
//	                                     not fit
//	a command that the server does not   Unknown, each time
//	know, or of whose keys it says no
//	an answer about keys fails           what was read before is told, then the stream ends;
//	                                     the command comes again
//	two databases are exchanged          Unknown, if one of them is that of the interest
//
// # Design notes of the link
//
// Points. Only what changes something moves the safe point. A PING goes to each replica by
// itself: a server that was cut off from the others goes on with it, and one that takes over
// has not heard it, and refuses an offset behind it. SELECT moves nothing either, as it may
// stand before the MULTI of a transaction or inside; the database that is selected belongs to
// the point, since a server that goes on with a stream does not select it once more.
//
// Transactions. Effects are told as they arrive, and not held until EXEC: a script may write
// a million keys. The server is never between two commands of a transaction, so an offset
// that it names is behind a whole one as soon as it is not less than the offset of one of its
// effects.
//
// Acknowledgements. They name what is committed, never what was read, or WAIT would promise
// what it cannot. After a full resync that is 0, since writes from before it are waited for as
// well: the offset at which it began would answer all of them. A server that has just sent a
// snapshot begins with the stream once the replica says something, and forgets what it hears
// before it has noticed the end of that: hence a tenth of a second between the first ones.
//
// Parsing. A command costs some 50 ns here, and some 110 with its effects, without an
// allocation. The one library that is as fast (tidwall/redcon) takes lines of words as well,
// so that it would read on in a stream that is out of step; it begins anew with a command
// whenever more of it has arrived, and keeps all of it, however long.
//
// Keys. Most commands have theirs at places that COMMAND INFO tells once for a name, those of
// modules too; the few for which it says that it does not know all (SORT … STORE) are asked
// about one by one with COMMAND GETKEYSANDFLAGS. So no list of commands is kept here but of
// those that say more than which keys they wrote (commands.go), or nothing of values: of a
// time to live, of groups of a stream. What is on neither side does not exist: an unknown
// command makes all keys unknown.
//
// Memory. A batch is what arrived with one read, or less: as many effects as lie in the cache.
// What it holds is in the buffer of the stream, so that nothing is copied that is not kept.
// A command longer than that grows the buffer, which shrinks when it has passed. A DEL of a
// million keys is told in parts; whoever attaches in between meets all of it again.
//
// Deletions. DEL and Written lead to the same where a key is gone when it is read; Unlinked
// keeps the row. GETDEL arrives as DEL, and with lazyfree-lazy-user-del of Redis as UNLINK:
// that setting has to be no. That a field of a hash has expired comes as HDEL, and cannot be told from
// one that was deleted.
package replica
