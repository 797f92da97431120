// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package flusher is the engine: it carries what applications write to Redis to
// PostgreSQL, coalesced, in batches, in order, without losing anything.
//
// # What is where
//
// The journal in Redis (package journal) holds for every partition of a queue the
// dirty keys in order, their versions, and who may flush them. Its functions are
// the only code that changes it, so every step below that touches Redis is one
// step. The ledger in PostgreSQL (package postgres) holds for every partition the
// epoch of its owner and the number of the last flush. Redis says what has to be
// written, PostgreSQL says who may write it.
//
// The engine knows both by the interfaces of ports.go, which are split by who calls them,
// and by the words of package entry. Package service makes the ports of the two packages,
// package enginetest makes them of memory, for tests without a server. A claim crosses the
// edge as a whole and a batch stays behind it: what is called for each row copies nothing.
//
// A queue is a loop, which beats, looks at what waits and sends workers. What it shares with
// them and with the probes are a member (the leases, and what is known of the queue's life),
// a gate (what may be written), a meter (the numbers) and the evidence of what rows did. Each
// is a value behind a lock of its own, and no lock is taken while another one is held.
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
// Where the mapping has one, a statement leaves alone each row that has a higher version,
// and the batch comes short. The transaction is rolled back, the newer rows are looked up
// by a query of its own, since an error may quote a document's value, and their entries
// become dead letters, Stale; the others are written. A domain over bigint will do. A
// deleted row takes its version along: what comes after is ordered by the ledger.
//
// # What happens when something fails
//
// By the kind of a fault it is the table at the head of failure.go. As it looks from outside:
//
//	failure                             what the partition does
//	----------------------------------  ---------------------------------------------
//	claim refused: lease lost           is forgotten; its next owner claims the same
//	a value cannot be a row             a dead letter at once
//	PostgreSQL refuses a batch's rows   the row that its words point at, or else halves,
//	                                    down to the row, are tried apart: that one waits
//	                                    aside, attempts + 1, and after maxRetries goes to
//	                                    the dead letters, if others get through
//	another error while at the rows,    the batch once more; then as above. A row that
//	twice in a row, whatever SQLSTATE   fails alone spends an attempt if others get through
//	                                    at that time; else it is the server's fault, or the
//	                                    mapping pauses if a function of the table said so
//	connection lost twice in a row,     growing pauses and claims an eighth as large, down
//	when rows were sent                 to the row; that one is set aside, tried rarely
//	a unique value or a referred row    tried again while others move on, at no attempt
//	that another row is to free, or make
//	deadlock                            the same batch at once, five times
//	table altered since it was read     is read anew, and the same claim written at once
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
//	Sentinels elect another primary     its connections end, and those to the new one
//	                                    find the same journal, perhaps with older data
//	no more than half of them are heard nothing is flushed: the primary may be an old one
//	the ledger is ahead of the journal  nothing is flushed for 5 s; if another flusher
//	                                    takes the epochs meanwhile though the leases
//	                                    hold, it is at another Redis: this one stops
//	journal and ledger disagree         a data-loss event; flushing goes on from the
//	                                    higher position
//
// A refused entry is written alone from then on, waits twice as long after every
// attempt (at most a minute), and never makes a batch full or stops another entry. It
// waits outside of the queue, in a set by its time: a hundred thousand of them cost the
// others nothing. A claim takes at most sixteen that are due, before the fresh ones.
//
// # Design notes
//
// After an error whose outcome is not known the partition takes a new epoch
// instead of asking the ledger whether flush n has happened. One rule covers lost
// answers, stuck transactions and take-overs alike: the new epoch waits for the
// stuck transaction or fences it, and what is claimed next is at least as new. It
// costs one extra transaction in a case that is rare, and one batch of rows written
// twice with the same or newer values. test/model explores both ways to the end: a
// taken number that counts as proof loses a write as soon as a lost answer is not
// followed by a new epoch.
//
// An epoch is the time in µs at which it began, or the one before it plus one: a
// counter would begin anew with a ledger that was dropped, emptied by a crash or put
// back from a backup, and give out once more what a flusher which was stopped since then
// still holds. A random token in its place would need another column, and would not
// tell who is ahead.
//
// The statements of a batch lock its table when they are parsed, before their rows have
// arrived, and no time-out of PostgreSQL ends a wait for the rest of a message. So a
// session carries its partition and epoch in its application_name while it writes, and
// whoever takes the next epoch ends the sessions of those before: first, since one that
// stands between its statements and its COMMIT holds the row of the ledger, and once more
// when the epoch is raised, since one may have begun meanwhile.
//
// A claim is one, and is fetched by pages of five hundred entries or a mebibyte, each of
// which reads entries and values in one step and raises the highest version that the claim
// explains; it is acknowledged in parts, each of which cuts its own prefix off the queue.
// So no call holds Redis for long, however large the batch: at most 10 ms at the defaults,
// 25 ms at the schema's limits (BenchmarkHold). An order that somebody destroyed is made
// anew with a cursor while writers go on: what they make dirty meanwhile goes into the same
// set by first version. A single large value is one page, since it has to be read whole.
// The payload of a dead letter stands apart from what is known of it, in a hash of its own:
// Redis copies a field whole, and whoever lists or discards letters needs no payload.
//
// Before an order is made anew, the keys of the old one that have no entry any more are
// counted: an entry that somebody deleted is a lost write, of which nothing else tells. A
// key twice in the order is none.
//
// Time-outs look at progress, on the way to either server: a slow link takes longer for a
// batch than a server may be silent. What times out all the same makes the next claims of
// its partition half as large.
//
// All workers together hold at most flush.maxInFlightMebibytes of entries, each counted
// three times: as it came from Redis, as columns, as PostgreSQL's protocol. A claim waits
// for room before its first page and ends where there is none for the next, so nobody waits
// who holds something. A document larger than that goes alone, and the collector's limit is
// raised until it is written, or it would run without a pause. Where the size shrinks, what
// is held stays held, and nobody gets more until it is less. The process of 600 documents of
// 1 MB peaks at about 200 MB with 64 MiB, since Go's collector lets as much stand again.
//
// Two Redis with one journal, an older copy and the original, look to the ledger like
// two flushers that take a partition over from each other. Which one is behind the
// ledger tells at the epoch's begin; whether the other one is alive it tells within
// seconds, since every flusher looks at its epochs once a second. A fail-over to a stale
// replica has no other side, and goes on after the wait. Two sides that were both written
// and flushed are each behind in some partition: then both may stop, which is what is
// left to do. A side whose flusher cannot reach PostgreSQL for the time of the wait counts
// as dead.
//
// A fail-over by Sentinels is a Redis that came back with older data, as a rule with none
// that is older: replicas have journal, leases and epochs, and the functions. What would be
// new are two primaries, of which the old one is cut off and takes writes that are lost when
// it is back. So no flusher stays there: a connection lasts while more than half of the
// Sentinels tell its server as the primary (package journal). Until it has left, the two
// sides take each other's epochs, and neither flushes nor stops for good: the one that is
// behind is the new primary.
//
// What Redis lost while nothing was claimed neither ledger nor step tells. So the queue
// keeps when this process of Redis began to work with it, and with how many writes; that
// a process began, the function library knows from a local, which Redis neither persists
// nor replicates. A flusher tells at each beat what it saw last. What was written after
// its last look, a twentieth of a second before the crash, or while no flusher ran, nobody
// has seen.
//
// A queue that is made anew asks the ledger for its life before. A queue that was drained
// (draining, or a retired mapping) leaves a row for partition -1 with the number of its
// batches. What cannot be told from a loss: Redis was replaced on purpose and the queue
// was empty, but nobody had drained it; two environments use one ledger and one name. The
// operator remembers the journal by itself, so under it the ledger is not asked.
//
// A value that the engine itself finds unfit for its column (base64 that is none, U+0000,
// half a surrogate) is Refused, with the column and the SQLSTATE that PostgreSQL gives for
// the same: who looks for 22P02 finds all of them. NotADocument is left for what is no JSON
// object. Of several attempts to connect the one that came furthest at an address is told,
// and a pooler's last words stand for a minute for its silence, in which it waits for its
// server: a lasting fault has one message.
//
// An acknowledgement applies while owner and epoch are still in the lease, even if
// the lease has run out but nobody took it: what is committed needs no second
// flush.
//
// A full batch means a full batch of one partition, since a transaction carries
// one partition. A batch's worth of entries that is scattered over partitions is
// flushed after a second, or two hundred entries a second in sixteen partitions
// would make transactions of a dozen rows.
//
// An older copy of the journal holds the same owner and the same epoch, so the owner
// would not notice that it is older. Journal and owner therefore count the claims and
// acknowledgements of the epoch, and compare the count at every claim and every look at
// what waits. With the next epoch the owner tells how far it was, and the journal counts
// the loss in the step that begins the epoch, so that a lost answer counts nothing twice.
//
// Which row of a batch is bad PostgreSQL does not say, but it quotes the row, its key or
// a value. Where that fits one row of the batch it is set aside as refused, to be tried
// alone when its time has come, and the rows before it, which got through, are written
// together at the end: one statement more for each bad row instead of two for each level
// of a bisection. The guess decides nothing: an innocent row loses an interval.
//
// What was refused does not go back to the tail of the queue, where every sweep would
// come across it: LLEN q and the number of those that wait, together, are HLEN ops. A
// second set has them by first version, so that the oldest entry is known exactly.
//
// The checks of the servers speak of the settings that the process runs
// (runningRevision). The other number, revision, advances only once the capture functions
// in Redis have them too. With one number alone, a Redis that was never reached could not
// be told of the new settings. Changed credentials are proved by one new connection, since
// those that are open go on with the old ones.
//
// Redis has a list of its queues, wb:queues, in the order of their prefixes, of which none
// begins another: the two neighbours of a prefix are all that it can meet. A queue is put
// on it when it is opened or, of the release before, at the next beat, and goes off it
// when it is empty and nobody was seen at it for ten seconds. The one that is there stays;
// the later is refused and nothing of it is written. One that is to be drained goes on all
// the same, since what was written into it is owed to the database, and gives its keys no
// time to live: they may be dirty in the other. The list has no hash tag: a Redis Cluster
// would have to keep it elsewhere.
//
// The functions of the engine take their settings by name, packed in one argument: a map of
// MessagePack, which Redis unpacks in the time in which Lua reads the same as pairs of
// arguments. A library that knows positions alone finds too few of them in such a call, and
// changes nothing; of pairs it would take the first name for a queue, and make it. All values
// are texts: Lua counts exactly only to 2^53, and writes 14 digits. The release before
// this one gives positions, and they are taken as before.
//
// A queue has one target: its table, its key column and the ledger's schema, and its columns
// where nobody but the config says so. Those of a resource are left out, since the operator
// rolls its flushers when they change: for a moment each writes what its settings name, and
// a queue that changes hands would stand meanwhile. While flushers live at it,
// only a higher revision of the same owner changes that, and takes the leases from them:
// what they have in hand is written anew into the new table. Two config files without an
// owner are taken for two configs, whichever is younger; who moves a table with several
// flushers on one config gives it an owner, or stops them all. What does not live holds
// nobody up, so a rollout can neither share keys between two tables nor stand for ever.
// Flushers of the release before tell no target and are let through.
//
// A key of the journal that somebody overwrote with another type stops its queue, all partitions
// of it: depth, shares and statistics are those of the whole. What it held is gone by then, so
// the one remedy is DEL, and the message says what was lost. The functions answer WRONGTYPE as
// for a key of the application, since their codes are a contract; the text names the key.
//
// A queue goes to one database as well. The names by which a database is reached differ where
// it is one, so it is asked what it is: the system_identifier of the server's files, and the
// oid of the database in them. Both stay with a promoted standby, behind a pooler, and with a
// backup of the files. It is not part of the target, since it is not known while the database
// is away, when the queue has to open all the same. Each epoch carries it, as the transaction
// of the ledger read it, and the lease keeps it. While others hold leases at another database,
// nobody joins them (wb_engine_beat) and no epoch begins (wb_engine_begin), before journal
// and ledger are compared: the ledger of another database would look like one that is behind.
// So who is there stays, and who is refused leaves, and tries again. Once nobody else holds
// anything, the queue moves freely: when a database is moved, each flusher that sees the new
// URL leaves, until the last one moves, whom the others follow.
//
// Of one config with an owner the newest URL counts, and takes the leases from those with an
// older one. A Deployment whose Pods get another Secret keeps the old ones until the new ones
// are ready, and these would wait for the old ones for ever. The revision of the settings does
// not tell: the old Pods read the new config, but mount the Secret of before. So the operator
// tells each Pod the revision which first named the Secret that it mounts, and that counts
// first. Of one Secret whose content changes the time of the file tells. Time alone is not
// enough: an old Pod that starts late, or whose Secret is rotated meanwhile, has the newer
// file.
//
// Not told apart are a server and another that was started from a copy of its files. A
// database that does not let everybody call pg_control_system() is let through, as a
// flusher of the release before is.
//
// A reader's token (wb_get) is noted with the key, and taken away by the acknowledgement
// that ends the key's entry, not by the write that begins it: while the key is dirty
// nothing is cached anyway. So a write pays nothing for readers, and an acknowledgement
// one look at whether there are any. One number a partition would be cheaper still, and
// make every flush of the partition void the tokens of all of its keys.
//
// A refusal is the row's own only on evidence that its mapping takes other rows, which
// the queue keeps over all of its partitions and over time (evidence). A row whose
// attempts are used up becomes a dead letter if a row was taken since it was refused
// first. In a queue where nothing else flows a control decides: a row of the table is
// written to itself by a statement of the same columns and rolled back, or else the
// refused row without one of its values. Neither is perfect, a trigger may know whether
// a row is new: where the control cannot meet the same fault, the row has to have been
// refused for twelve seconds, in which ten others at one a second show that the mapping
// is at fault. With every other row that is refused for it meanwhile the time begins
// anew, and grows from the third on, so that a mapping that refuses one in many seconds
// is found out too. Ten of which none is taken pause it whatever a control says: a table
// whose rows of yesterday pass and of whose rows of today none does needs a person. With
// no evidence at all the row stays, and the mapping says that it is paused. What is
// remembered is this process' own: after a restart each refusal is like the first.
//
// An SQLSTATE does not tell whose fault it is, since a trigger may raise any, and a
// trigger that calls a dead host does raise 08001. It tells when it came: an error that
// PostgreSQL sends while it works on the rows, after it has begun the transaction and
// moved the ledger, may be one row's. The first time it is treated as it reads. A lock
// that another transaction holds, in PostgreSQL's own words, keeps its row waiting aside
// and never makes it a dead letter.
//
// A row that ends its session may crash the server. A search by halves would cost ten
// crashes in a thousand rows, and one by eighths costs four, since a part that gets
// through costs nothing. The verdict falls before the row is sent again: it lost its
// connection alone, three losses in a row, and others got through since. A server that
// is stopped, or crashes by itself, thus costs no row an attempt.
//
// What the circuit counts are batches. That a new epoch begins takes back only those that
// could not: one begins after every failure, and would keep the circuit closed for ever.
// What never came to PostgreSQL, since nothing was claimed or Redis failed, counts neither
// way and leaves a half-open circuit as it is. A session that ended while rows were written
// may be one row's doing. While one partition searches for that row, its losses are held
// back; all of them count when another row or partition meets the same before a batch is
// answered, or when the row loses a fourth connection alone and nothing shows that others
// get through. The loss of a half-open circuit's one batch opens it in any case. A time-out
// counts when it lasts down to single rows, and rows that are in the table meet it too.
//
// A chain of rows, each with the unique value that the next gives up, has an order in
// which it fits, but an exchange has none: there is no statement that writes two rows
// and checks at its end, unless the constraint is deferrable. The letter says so. Rows of
// one chain lie in partitions of several flushers, and none sees what the others' rows
// do: so a row that waits for another is tried once an interval, and is no dead letter for
// ten intervals, or twelve seconds where that is longer.
//
// While a mapping is paused, a row that is refused for the same reason spends no attempt,
// not even the only one of its partition.
//
// The probes look at much, and not at everything: a function that makes a default, one
// that its index may not call, a key that a claim may not read shows only when a batch is
// tried. Such a refusal stays in the status until a batch gets through or, of Redis,
// until it has not come for a while; otherwise it would come and go with every probe.
package flusher
