// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package flusher is the engine: it carries what applications write to Redis to
// PostgreSQL, coalesced, in batches, in order, without losing any write that Redis keeps.
//
// # What is where
//
// The journal in Redis (package journal) holds for every partition of a queue the
// dirty keys in order, their versions, and who may flush them. Its functions are
// the only code that changes it, so every step below that touches Redis is atomic.
// The ledger in PostgreSQL (package postgres) holds for every partition the epoch of
// its owner and the number of the last flush. Redis decides what has to be written,
// PostgreSQL decides who may write it.
//
// The engine knows both by the interfaces of ports.go, which are split by who calls them,
// and by the words of package entry. Package service makes the ports of the two packages,
// package enginetest makes them of memory, for tests without a server. A claim crosses the
// edge as a whole and a batch stays behind it: calls for each row copy nothing.
//
// A queue is a loop, which beats, polls what waits and starts workers. Loop, workers and
// probes share a member (the leases, and what is known of the queue's life), a gate (what may
// be written), a meter (the numbers) and the evidence of what rows did. Each is a value behind
// a lock of its own, and nobody takes one of the locks while holding another.
//
// # The way of a partition
//
//	       lease free or expired                    ledger: epoch + 1
//	idle ─────────────────────▶ leased ───────────────────────────────▶ begun
//	 ▲     wb_engine_beat         ▲      wb_engine_begin: claim void      │
//	 │                            │                                       │ due
//	 │ lease lost, fenced         │ error that may not be rolled back     ▼
//	 └────────────────────────────┴──────────────── claim ▶ commit ▶ acknowledge
//	                                                  ▲                   │
//	                                                  └─────── more ──────┘
//
// A sweep claims the first entries with their values, writes them in one
// transaction that also moves the ledger from flush n-1 to n, and acknowledges
// every entry with its outcome. Nothing is acknowledged before PostgreSQL has
// committed. An entry that was written again meanwhile keeps its place in the
// queue, with the new version.
//
// # Guarantees
//
// No write is lost: an entry leaves the journal only by an acknowledgement that
// compares the whole entry, so a later write is never cleared by an earlier flush.
// Its value cannot go before: a dirty key has no TTL.
//
// Nothing stale overwrites something newer: one claim of a partition is out at a
// time; a partition has one owner; and a transaction takes effect only if it moves
// the ledger under the owner's epoch. A predecessor that was stopped for an hour
// between claim and commit finds a higher epoch and writes nothing.
//
// # What a version column adds
//
// If the mapping has one, a statement skips each row that has a higher version, and the
// batch comes short. The transaction is rolled back. A separate query finds the newer rows,
// since an error may quote a document's value. Their entries become dead letters, Stale, and
// the others are written. The column may be of a domain over bigint. A deleted row takes its
// version along: the ledger alone orders later writes.
//
// # What happens when something fails
//
// The table at the head of failure.go has the reaction to each kind of fault. This table has
// what the partition does, as seen from outside:
//
//	failure                             what the partition does
//	----------------------------------  ---------------------------------------------
//	claim refused: lease lost           is forgotten; its next owner claims the same
//	a value cannot be a row             a dead letter at once
//	PostgreSQL refuses a batch's rows   the row that its error points at, or else halves,
//	                                    down to the row, are tried alone: that row waits
//	                                    aside, attempts + 1, and after maxRetries goes to
//	                                    the dead letters, if others get through
//	another error while at the rows,    the batch once more; then as above. A row that
//	twice in a row, whatever SQLSTATE   fails alone spends an attempt if others get through
//	                                    at that time; else it is the server's fault, or the
//	                                    mapping pauses if a function of the table said so
//	session ended twice in a row,       growing pauses and claims an eighth as large, down
//	when rows were sent                 to the row; that one is set aside, tried rarely
//	a unique value or a referred row    tried again while others move on: no attempt counts
//	that another row is to free, or make
//	deadlock                            the same batch at once, five times
//	table altered since it was read     is read again, and the same claim written at once
//	table locked by somebody else       this queue pauses for two seconds, others go on
//	ten rows refused, none taken since  the mapping pauses; a few rows are tried once an
//	                                    interval (at least once a minute), and nothing
//	                                    becomes a dead letter
//	database fails at every batch,      the circuit opens: nothing is claimed until a
//	or at every new epoch               probe and then a small batch have succeeded
//	table or column does not fit        the queue pauses until the probe finds a fit
//	time-out, network, server away      back off; a new epoch before the next claim
//	answer to COMMIT lost               a new epoch: the batch is claimed and written
//	                                    again, with values at least as new
//	answer to acknowledge lost          the same
//	Redis lost the queue                a new journal id, new leases, new epochs: counted
//	Redis came back with older data     the partition's step is not the owner's: a new
//	                                    epoch, which compares journal and ledger
//	Sentinels elect another primary     the connections to the old one end, and new ones
//	                                    find the same journal, perhaps with older data
//	no majority of Sentinels answers    nothing is flushed: the primary may be an old one
//	the ledger is ahead of the journal  nothing is flushed for 5 s; if another flusher
//	                                    takes the epochs meanwhile though the leases
//	                                    hold, it is at another Redis: this one stops
//	journal and ledger disagree         a data-loss event; flushing goes on from the
//	                                    higher position
//
// A refused entry is written alone from then on, waits twice as long after every
// attempt (at most a minute), and never makes a batch full or stops another entry. It
// waits outside of the queue, in a set by its time: a hundred thousand refused entries
// cost the others nothing. A claim takes at most sixteen due ones, before the fresh ones.
//
// # Design notes
//
// Every note begins with what was decided, and goes on with the reason.
//
// Unknown outcomes. After an error whose outcome is not known the partition takes a new
// epoch, and does not ask the ledger whether flush n has happened. One rule covers lost
// answers, stuck transactions and take-overs alike: the new epoch waits for the stuck
// transaction or fences it, and what is claimed next is at least as new. The price is one
// extra transaction in a rare case, and one batch of rows that is written twice with the same
// or newer values. test/model explores both ways to the end: if a taken flush number counted
// as proof, a lost answer that is not followed by a new epoch would lose a write.
//
// Epochs. An epoch is the time in µs at which it began, or the previous epoch plus one. A
// plain counter would start again with a ledger that was dropped, emptied by a crash or
// restored from a backup, and would hand out numbers that a stopped flusher still holds. A
// random token would need another column, and would not show which side is ahead.
//
// Fencing of sessions. While a session writes, its application_name carries its partition
// and epoch. The owner of the next epoch ends the sessions of earlier epochs: the statements
// of a batch lock the table when they are parsed, before their rows have arrived, and no
// time-out of PostgreSQL ends a wait for the rest of a message. The owner does so first,
// since a session between its statements and its COMMIT holds the row of the ledger, and
// again when the epoch is raised, since a session may have begun meanwhile.
//
// Pages. A claim is fetched by pages of five hundred entries or a mebibyte. Each page reads
// entries and values in one step, and raises the highest version that the claim explains. A
// claim is acknowledged in parts, and each part cuts its own prefix off the queue. So no call
// holds Redis for long, however large the batch: at most 10 ms at the defaults, 25 ms at the
// schema's limits (BenchmarkHold). A single large value is one page, since it has to be read
// whole. The payload of a dead letter is kept in a hash of its own: Redis copies a field
// whole, and listing or discarding letters needs no payload.
//
// Operations. What an entry does to its row is one value, its operation, which says of itself
// all that differs between operations: its name in dead letters, whether it is lost with its value,
// and what it shows of others when it is committed, which is also what has to be shown before
// its refusal is its own fault. The engine reads that and knows no operation by name. What
// becomes of one in the database is behind Batch.Add. So in Go a new operation is a file in
// package entry, one in package postgres beside upsert.go and removal.go, a sample in
// enginetest (operation_suite.go) and a method of the client (api/writebehind). It passes
// enginetest.OperationConforms, which the sample is for. In the function library it is a
// capture function (capture.lua, registration.lua), a letter of an entry (entries.lua), the way
// in which its dead letter is replayed (remedies.lua), and what is left of its key once it is
// settled: acknowledgement.lua asks is_set alone, and takes all else for a deletion. With that
// goes the number of the library, and the commands that an application has to be allowed
// (docs/security.md) where the function runs others than before.
//
// OperationConforms has an operation come to the same when it is written once more, since a
// batch whose answer was lost is: one that adds to what is there would have to ask the ledger
// first. An operation is no interface with a method for each thing an entry may do, since the
// answers are facts and not steps, and an entry crosses the edge by one call.
//
// Suspicion belongs to the key. A row that ends its session may be another version at each
// attempt, since its key is written all the time: a full queue takes writes of dirty keys
// only. So a later write of a key that has ended its sessions stays out of the batch of the
// others. It waits, the longer the more sessions the key has ended, at most a minute, and is
// then sent alone and last. A version never becomes a dead letter before it was sent itself.
//
// Repair of the order. An order that somebody destroyed is rebuilt with a cursor while
// writers go on: keys that become dirty meanwhile go into the same set by first version.
// Before the rebuild, the keys of the old order that no longer have an entry are counted,
// since an entry that somebody deleted is a lost write which nothing else shows. A key that
// stands twice in the order is no loss.
//
// Time-outs. A time-out measures progress, on the way to either server: a batch over a slow
// link takes longer than a server may be silent. After a time-out the next claims of the
// partition are half as large.
//
// Memory. All workers together hold at most flush.maxInFlightMebibytes of entries. Each entry
// counts three times: as it came from Redis, as columns, as PostgreSQL's protocol. A claim
// waits for room before its first page only, and ends if there is no room for the next one, so
// no worker waits while it holds memory. A document above the bound is written alone, and the
// collector's limit is raised until it is written, or the collector would run without a pause.
// When the bound is lowered, workers keep what they hold, and nobody gets more until the sum is
// below the new bound. The process of 600 documents of 1 MB peaks at about 200 MB with 64 MiB,
// since Go's collector lets garbage of that size accumulate.
//
// Split brain. Two Redis with one journal, an older copy and the original, look to the
// ledger like two flushers that take a partition over from each other. The begin of an epoch
// shows which one is behind the ledger. Whether the other one is alive shows within seconds,
// since every flusher reads its epochs once a second. After a fail-over to a stale replica
// there is no other side, and the flusher goes on after the wait. If both sides were written
// and flushed, each is behind in some partition: then both may stop, and a person has to
// choose. A side whose flusher cannot reach PostgreSQL for the time of the wait counts as dead.
//
// Sentinels. A fail-over is a Redis that came back with older data, and mostly its data is no
// older: a replica has journal, leases, epochs and functions. What a fail-over adds is a second
// primary: the old one may be cut off and take writes that are lost when it is back. So no
// flusher stays with the old one: a connection lasts while a majority of the Sentinels names its
// server as the primary (package journal). Until every flusher has left the old one, the two
// sides take each other's epochs. Then neither flushes, and neither stops for good, since the
// side that is behind may be the new primary.
//
// Losses while nothing is claimed. Neither ledger nor step shows what Redis lost while
// nothing was claimed. So the queue keeps when this process of Redis began to work with it, and
// with how many writes. The function library knows that a process began from a local variable,
// which Redis neither persists nor replicates. A flusher reports at each beat what it saw last.
// Nobody has seen what was written after the last poll, a quarter of a second before the
// crash at most, or while no flusher ran.
//
// Earlier lives. A queue that is created asks the ledger for its previous life. A queue that
// was drained (draining, or a retired mapping) leaves a row for partition -1 with the number of
// its batches. Two cases cannot be distinguished from a loss: Redis was replaced on purpose
// while the queue was empty and nobody had drained it; and two environments use one ledger and
// one name. Under an operator the ledger is not asked, since the operator remembers the journal
// itself.
//
// Unfit values. A value that the engine itself finds unfit for its column (invalid base64,
// U+0000, half a surrogate) is Refused, with the column and the SQLSTATE that PostgreSQL gives
// for the same fault: a search for 22P02 finds all of them. NotADocument is only for values
// that are no JSON object.
//
// Connection errors. Of several attempts to connect, the status names the one that came
// furthest at an address. A pooler is silent while it waits for its server: for a minute its
// last error stands for that silence, so that a lasting fault has one message.
//
// Acknowledgements. An acknowledgement applies while owner and epoch are still in the lease,
// even if the lease has expired and nobody took it: committed rows need no second flush.
//
// Coalescing. With capture Replication a batch that is only full waits for the interval, or five
// seconds, after its partition was flushed: writes come as fast as Redis takes them and fill no
// queue by themselves, and keys that are written all the time would be flushed as often as the
// database takes them, by its processors and those of Redis. With 100,000 keys, 60,000 SETs a
// second and the usual settings that halves the rows. With capture Functions the queue has a
// bound, and what is full makes room at once.
//
// Full batches. A full batch is a full batch of one partition, since a transaction carries one
// partition. A batch's worth of entries that is scattered over partitions is flushed after a
// second, or two hundred entries a second in sixteen partitions would make transactions of a
// dozen rows.
//
// Steps. Journal and owner count the claims and acknowledgements of an epoch, and compare the
// counts at every claim and every poll. An older copy of the journal holds the same owner and
// the same epoch, so the owner would not notice it otherwise. With the next epoch the owner
// reports its count, and the journal counts the loss in the step that begins the epoch, so that
// a lost answer counts nothing twice.
//
// The bad row. PostgreSQL does not name the row that spoils a batch, but it quotes the row, its
// key or a value. If the quotation fits one row of the batch, that row is set aside as refused
// and tried alone later. The rows before it, which PostgreSQL had accepted, are written
// together at the end. That costs one more statement for each bad row, where a bisection costs
// two for each level. The guess decides nothing: an innocent row loses an interval.
//
// Refused entries. Refused entries do not return to the tail of the queue, where every sweep
// would meet them: LLEN q and the number of those entries add up to HLEN ops. A second set
// orders them by first version, so that the oldest entry is known exactly.
//
// Revisions. The checks of the servers refer to the settings that the process runs
// (runningRevision). The other number, revision, advances only once the capture functions in
// Redis have them too. With one number alone, a Redis that was never reached could not report
// a failure of the new settings. Changed credentials are proved by one new connection, since
// open connections keep the old ones.
//
// Prefixes. Redis has a list of its queues, wb:queues, in the order of their prefixes. No prefix
// begins another, so a new prefix can conflict only with its two neighbours. A queue enters the
// list when it is opened, or at the next beat if the previous release opened it. It leaves the
// list when it is empty and no member was seen for ten seconds. The first queue stays; the later
// one is refused, and nothing of it is written. A later queue that is being drained goes on all
// the same, since its writes are owed to the database, and gives its keys no time to live: they
// may be dirty in the first queue. The list has no hash tag: a Redis Cluster would have to keep
// it elsewhere.
//
// Named settings. The functions of the engine take their settings by name, packed in one
// argument: a map of MessagePack, which Redis unpacks in the time in which Lua reads the same
// as pairs of arguments. A library that expects positions finds too few of them in such a call,
// and changes nothing; from pairs it would take the first name for a queue, and create it. All
// values are strings: Lua counts exactly only to 2^53, and writes 14 digits. The previous
// release gives positions, and the library still accepts them.
//
// Targets. A queue has one target: its table, its key column and the ledger's schema, and its
// columns if only the config names them. The columns of a resource are left out, since the
// operator rolls its flushers when they change: for a moment each flusher writes the columns
// that its settings name, and a change of the target would stop the queue meanwhile. While
// flushers live at a target, only a higher revision of the same owner changes it, and takes the
// leases from them: their claims are written again into the new table. Two config files without
// an owner count as two configs, whichever is younger. To move a table with several flushers on
// one config, give the config an owner, or stop all flushers. Flushers that do not live block
// nobody, so a rollout can neither share keys between two tables nor stop for ever. Flushers of
// the previous release name no target, and are let through.
//
// Overwritten keys. A key of the journal that somebody overwrote with another type stops its
// queue, all partitions of it: depth, shares and statistics are those of the whole queue. The
// old content is gone, so the one remedy is DEL, and the message names what was lost. The
// functions answer WRONGTYPE as for a key of the application, since their codes are a contract;
// the text names the key.
//
// One database. A queue goes to one database. One database may have many names, so a flusher
// asks it for its identity: the system_identifier of the server's files, and the oid of the
// database. Both survive the promotion of a standby, a pooler, and a backup of the files. The
// identity is no part of the target, since it is unknown while the database is unavailable,
// when the queue has to open all the same. The transaction of the ledger reads it for each
// epoch, and the lease keeps it. While others hold leases at another database, no flusher joins
// them (wb_engine_beat) and no epoch begins (wb_engine_begin), before journal and ledger are
// compared: the ledger of another database would look like one that is behind. The present
// members stay; a refused flusher leaves, and tries again. Once nobody else holds a lease, the
// queue moves freely: when a database is moved, each flusher that sees the new URL leaves,
// until the last one moves and the others follow.
//
// The newest URL. Among flushers of one config with an owner, the newest URL counts, and takes
// the leases from those with an older one. A Deployment whose Pods get another Secret keeps the
// old Pods until the new ones are ready, and these would wait for the old ones for ever. The
// revision of the settings does not order them: the old Pods read the new config, but mount the
// previous Secret. So the operator gives each Pod the revision which first named the Secret
// that it mounts, and that revision counts first. Among contents of one Secret the time of the
// file counts. Time alone is not enough: an old Pod that starts late, or whose Secret is rotated
// meanwhile, has the newer file. Two cases are not distinguished: a server and another one that
// was started from a copy of its files; and a database that does not let everybody call
// pg_control_system(), which is let through like a flusher of the previous release.
//
// Readers' tokens. A reader's token (wb_get) is stored with the key. The acknowledgement that
// ends the key's entry removes it, not the write that begins the entry: while the key is dirty
// nothing is cached anyway. So a write pays nothing for readers, and an acknowledgement pays
// one check whether there are any. One number for each partition would be cheaper still, but
// every flush of the partition would void the tokens of all of its keys.
//
// Evidence. A refusal is the row's own only on evidence that its mapping takes other rows. The
// queue keeps that evidence over all of its partitions and over time. A row whose attempts are
// used up becomes a dead letter if another row was taken between two refusals for one reason: it
// was sent after the first of them, and committed before the row was sent that was refused again.
// Nothing less is evidence: a table that takes no row for a while would kill rows at both ends of
// that while, by what was sent before it and answered within it, and by what was taken just after
// it. In a queue where nothing else flows, a control decides, between two refusals as well: a
// statement of the same columns writes a row of the table to itself, or else the refused row
// without one of its values, and is rolled back. Where maxRetries is 0 there is one refusal, and
// what got through since its batch began has to do.
// Neither control is perfect, since a trigger may know whether a row is new. If the control
// cannot meet the same fault, the row has to have been refused for twelve seconds, in which ten
// others at one a second show that the mapping is at fault. With every other row that is
// refused for the same fault meanwhile the time begins again, and grows from the third row on,
// so that a mapping that refuses one row in many seconds is found too. Ten refused rows of which
// none is taken pause the mapping whatever a control shows: if yesterday's rows pass and
// today's do not, the table needs a person. Without any evidence the row stays, and the mapping
// reports that it is paused. The evidence is this process' own: after a restart each refusal is
// like the first.
//
// SQLSTATEs. An SQLSTATE does not show whose fault an error is: a trigger may raise any, and a
// trigger that calls a dead host raises 08001. The time of the error does: an error that
// PostgreSQL sends while it works on the rows, after it has begun the transaction and moved the
// ledger, may be one row's. The first such error is taken at its SQLSTATE. A row whose lock
// another transaction holds, by PostgreSQL's own error, waits aside and never becomes a dead
// letter for that.
//
// Rows that end sessions. A row that ends its session may crash the server. A search by halves
// would cost ten crashes in a thousand rows, and one by eighths costs four, since a part that
// gets through costs nothing. A row is convicted before it is sent again, when it was alone as
// three sessions in a row ended, and others got through since. A server that is stopped, or
// crashes by itself, thus costs no row an attempt.
//
// The circuit counts batches. A new epoch that begins takes back only the epochs that could
// not: an epoch begins after every failure, and would keep the circuit closed for ever. Work
// that never reached PostgreSQL, since nothing was claimed or Redis failed, counts neither way
// and leaves a half-open circuit as it is. One row may cause the end of a session that writes
// rows. While one partition searches for that row, its ends are held back. All of them count
// when the session of another row or partition ends too before a batch is answered, or when the
// row ends a fourth session alone and nothing shows that others get through. A half-open
// circuit opens in any case when its one batch ends its session. A time-out counts when it
// lasts down to single rows, and rows that are in the table meet it too.
//
// Unique values. A chain of rows, each with the unique value that the next one gives up, has an
// order in which it fits, but an exchange has none: no statement writes two rows and checks at
// its end, unless the constraint is deferrable. The dead letter says so. Rows of one chain lie in
// partitions of several flushers, and no flusher sees the others' rows. So a row that waits for
// another one is tried once an interval, and becomes no dead letter for ten intervals or twelve
// seconds, whichever is longer.
//
// Paused mappings. While a mapping is paused, a row that is refused for the same reason uses up
// no attempt, not even if it is the only one of its partition.
//
// Refusals outside the probes. A refusal that only a batch meets stays in the status until a
// batch gets through or, for Redis, until it has not come for a while. The probes check much, but
// not everything: a function that computes a default, one that an index may not call, or a key
// that a claim may not read shows only when a batch is tried. Without this rule such a refusal
// would come and go with every probe.
package flusher
