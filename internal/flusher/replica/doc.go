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
//	            a connection, AUTH, INFO: a primary of version 7 or later
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
// Nothing is lower than 0. Redis 7.0 counts no bytes from its start to its first replica: what
// is written by then has the offset 0, so that WAIT for it is answered as soon as one is there.
//
// Reads. A server sends a replica what one turn of its loop has written: ten SETs or so where
// clients do not pipeline. To be called for each of them, six thousand times a second, takes more
// of a processor than what is done with them, and of the server's what it takes to call. So
// while reads follow each other closely the system calls when 64 KiB have arrived, or after 2 ms
// (gathering.go): that makes 350 reads a second of them. Who waits for what is committed waits for
// a batch in any case, and a stream that is idle is read at once. What has not been read is
// in the buffers of the socket; when they are full it waits in the server's backlog, as before.
// Records of TLS are read as they come.
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
//
// # The source
//
// A Source is what the engine sees: it makes marks of effects, reads the values of what is
// marked when a batch is sent, and keeps in the database how far the stream was carried. Of
// all flushers of a config one reads, the others stand by.
//
//	                 Store.Lease: ours              Attach: goes on
//	standing by ──────────────────────▶ reading ─────────────────────▶ attached ◀──┐
//	     ▲                                 ▲                              │  │      │
//	     │ another one reads, Leave,       └──── the stream ends ─────────┘  │      │
//	     │ the ledger came back            a full resync, a fail-over that   ▼      │
//	     └──────────────────────────────── lost what was flushed ───▶ another history
//
// A history is a number that the database mints: within one, offsets can be compared. It is
// the incarnation of every queue, so that the ledger fences what was read in the one before.
//
// What is written. For every partition of a queue there is an order of marks (order.go).
// A mark has the last word of its name and two offsets: where reading has to begin to meet its
// first write again, and the one behind its last. A claim takes marks out of the order and
// reads their keys in one transaction of Redis, which says of which history and which offset R
// the values are; then it waits until the stream was read up to R. So it knows the last word
// of a key that is gone, writes once what was written several times by then, and gives the
// ledger as version the offset of the very write that made the value. evaluate.go has what
// becomes of a row.
//
// # What always holds
//
//  1. Every write behind the committed offset is marked when the stream is read from there:
//     that offset is no higher than the first of any mark that is not in the database.
//  2. A mark goes when the row is committed that was read as of its last write or later, or
//     when the database has it as a retry or a dead letter. A name that is written while it is
//     out in a claim has a second mark, which is dropped only if the value was read behind its
//     last write, and all that it wants read was read.
//  3. A row never goes back: its key is read as of an offset that is not lower than any of
//     which a row was written before, or it is gone there, and then the last word up to that
//     offset decides. A predecessor's batch takes no effect once a term has begun, and no key
//     is claimed before.
//  4. What was read of one server is written only while the stream is that server's. The one
//     that takes over from it goes on with the history only if it has all that was written:
//     in memory that is compared with horizon; after a restart, and where memory leaves it in
//     doubt, with the version that each ledger's row has (Begin). Until every partition has
//     begun, the position in the database stays that of the server before, so that the next
//     reader compares, too; and until the database has the new name nothing is claimed, or
//     that reader would take what came from the server which took over for what that one has
//     lost. Nothing is acknowledged to the new server before, either.
//  5. An offset is acknowledged when every write up to it is a row or a dead letter: neither
//     dirty nor a retry nor owed by a scan.
//
// Retries and dead letters need not be in the transaction of a batch: the position moves only
// when Settle has answered, so that after a crash in between the stream is read again and
// comes to the same.
//
// # What happens when something fails
//
//	failure                              what the source does
//	-----------------------------------  --------------------------------------------------
//	the flusher is killed                the next one reads from the committed offset: what
//	                                     is marked twice is written twice with values that
//	                                     are no older
//	the flusher is stopped, and goes on  the database refuses its position and its retries,
//	                                     the ledger its batches
//	the stream ends                      attaches where it was; claims go on meanwhile, of
//	                                     keys that are there
//	the database is away                 reads on: nobody else can get the lease. Marks take
//	                                     up to Bounds.Dirty, then the stream waits in the
//	                                     server's backlog
//	Redis is away                        waits for it, with all that is dirty. Where somebody
//	                                     who stands by has reached it for ten seconds
//	                                     meanwhile, that one reads on (standby.go)
//	the backlog is passed, Redis         another history: all keys are read again, marks of
//	restarts                             the one before stay, a data-loss event tells that
//	                                     deletions may be missed
//	a fail-over to a replica that has    goes on with the history
//	all that was read
//	... that lacks what was read last    the term begins anew at the position in the
//	                                     database, and Begin tells from the ledger whether
//	                                     any of it was flushed
//	... that lacks what was flushed      another history, of which the event says so
//	Sentinels name another primary       link and ordinary connections end, also where the
//	                                     one before still answers, and are made to the new one
//	no majority of Sentinels answers     both end within seconds: a primary that is cut off
//	                                     is not read on
//	the witness is older than the        the event of the history says that Redis has lost
//	database knows                       what was flushed
//	Begin finds that the ledger has      PostgreSQL came back from a backup, and the position
//	lost batches                         with it: it is read from there again
//	keys are read of another server      nothing is written; the term begins anew
//	the stream is not read to R in time  keys that are there are written, with R as the
//	or for want of room                  highest version; those that are gone wait. Where a
//	                                     claim would be empty, the stream is read on
//	FLUSHALL, FLUSHDB                    no row is deleted; what was dirty and not kept is
//	                                     lost, and counted. The notice is stored with the
//	                                     position, so that the next reader tells it, too
//	a board is made of another one, and  that of which no member is known is lost, and counted;
//	expires before it is read            its rows stay
//	two databases are exchanged          a data-loss event; all keys are read again
//	a key of another type                a dead letter that names the last command
//	a mapping is paused or suspended     its keys go to the database when they use half of
//	                                     the backlog
//
// # Design notes of the source
//
// Versions. That of an entry is the offset behind its last write, which stays when a refused
// row is tried again: the engine tells by it whether it is the same write. First is a time,
// so that lags and ages are those of the clock.
//
// What is saved. A mark that the database has aside does not hold the position, but holds
// back what is acknowledged. A later write of its key makes it hold the position again, since
// only the stream tells of it. So does a word that its key is gone. A row that is refused while
// a later write is dirty is put aside as well: the position moves to that write, and a reader
// that begins there has to know that something before it is owed. What is noted of the database
// and what it is told come in one order (settling), or a retry might outlive its row.
// Whoever reads the source once more after an error gives it back first and takes it anew, so
// with another epoch: what is still on its way from the tenure before has no effect then.
//
// A scan. What it comes across has no word: a key that is gone when it is read leaves its row
// alone, unless the stream has said something of it since. The list of mappings that are
// scanned names one when all that the scan marked is settled, and the stream is carried to
// where it was when the last keys were read: a key that the scan did not come across may have
// been deleted just before. So a scan begins anew after a crash, and when another server takes
// over before that: it may have the key.
//
// A value that was read behind a write that the claim does not know of, and before another one,
// may be as new as when it was read: that is its version then. If such a key is gone, and that it
// expired is among the later words, nobody knows which word was the last one: it is read again.
//
// A term begins only once the database has confirmed, after the ledger's new epoch, that the
// source is read from here. The ledger shuts out all other histories with the first term of one
// alone, so that somebody who was replaced could begin another term of the one before.
//
// Another history. A write that was read in the one before and not written is written from
// what the stream told of it, if the key is gone now, and a deletion is made: but only where
// the stream had been read up to all that was written of the partition, or a row might go
// back. Of the rest the scan knows as much.
//
// Another server. What was said behind the offset where it goes on is told once more, or is not so
// there. So a mark forgets its last word with it, and so does a retry; what was said before that
// nobody knows any more. The row stays then, and a write counts as lost, where the key is gone
// that may have expired. A dead letter can be about such a word, too, and may have taken the place
// of a retry of what is there now: those that are as new as that are read again.
//
// The backlog has to hold what is behind the committed offset (spill.go). From a quarter of
// it on all is flushed at once. What is still there at half of it does not get through: it
// goes to the database as keys, so that a mapping that is paused holds up nobody. Of what is out
// in a claim nothing goes: the database has one retry of a name, and takes it away when that
// claim is settled.
//
// What is acknowledged waits for rows and dead letters, so a row that is refused again and
// again holds it up, as the promise says. After a restart nobody knows how old the first write
// of a retry is: nothing is acknowledged before it is settled.
//
// Dead letters. People ask for them in the database, where a count in the source's row tells
// the reader at its next beat that somebody did (requests.go). A letter that is tried again has
// its key read anew; its payload is written only where the key has gone without a word of the
// application: a value that SET wrote, an entry of a stream that was trimmed. Until something
// comes of it the letter stays, so that a crash in between loses nothing.
//
// A key of members that has a dead letter or a retry is superseded with all of its members,
// since the database knows no other name for it: retries of members come again in the same
// transaction.
//
// Hashes. HLEN is read with the fields that were named. Where they are all there is, the hash
// is whole, so that one which expired and was made anew leaves no column of the old one.
//
// A command of another type. The fields of a hash are no members of a board: the board's key is
// marked, and has one dead letter, however many fields there are. Its rows stay then, also those
// that a DEL before was to take away; they go when the key is a board again of which all is read.
//
// Sorted sets. A mark of the whole key gives all members that stay and marks them: what holds
// the position for the key holds it for them. A key that expired is noted as long as any mark
// of its partition is there, so that its members are lost rather than deleted.
// A board goes before its members, whichever was written first: what it clears away is what is not
// there when it is read, which a member that was written after the deletion, was carried and expired
// with the board must not be. Where the stream is read once more, members stay that it tells of
// behind the deletion. A board whose deletion is refused holds up no member; if it goes by itself
// meanwhile its rows stay, and it counts as lost.
// Neither a board and its members nor two marks of one name are in one claim: its pages, and
// what is read again, are of different offsets, and the rows of a batch have no order.
//
// The partitions are part of the incarnation: with another number a predecessor's partitions
// would never begin, and its last batches would not be fenced.
package replica
