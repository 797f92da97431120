// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package replication explores the protocol of internal/flusher/replica exhaustively: every
// order of the steps of an application, of Redis and its replicas, of two flushers, and of
// batches that are late or lost, within bounds.
//
// # What there is
//
//	Redis      a stream of numbered commands, which says what each key is at each offset; where
//	           the backlog begins; its history and the one before, with the offset that the two
//	           share; the server before, which a flusher may still be attached to
//	PostgreSQL the position (history, name, offset, what was scanned, witness), retries, the
//	           ledger's versions by incarnation, and of each row the command that it is of
//	network    two batches on their way
//	flusher    what the source has of it: position and stream, horizon and limit, the marks of
//	           two keys and those that are out, what is owed, what was read of them, and what
//	           is spilled
//
// Epochs are not numbers here: a term or a lease is outdated as soon as somebody takes the next
// one, which the flusher itself does not know. So there is no bound to how often they change,
// but where a world has one.
//
// Left out are what is a detail of one encoding (fields, members, entries of a stream), bounds
// of memory, more than one partition, and time: whatever waits for it may happen at once, and
// keys are spilled whenever any are dirty. Of a scan all pages are one step, and transactions
// have three commands.
//
// # What is checked
//
//   - No row goes back to what an earlier command made of it, unless Redis itself has lost the
//     later one.
//   - What is acknowledged is a row, or counted as lost.
//   - When all is carried the table is what Redis is. A row of a key that is gone may stay only
//     where the key expired, or where a data-loss event came after it went.
//   - What was flushed and is lost in Redis is told; as such, if the witness shows it. No event
//     tells of such a loss where there was none, and a fail-over that lost no write, or none
//     that was read for a row, ends no history.
//   - The position is never in the midst of a transaction.
//   - From everywhere there is a way to where all is carried.
//
// # What the rules are for
//
// Without any one of them something breaks. TestTheRulesAreNeeded takes them away, and prints
// the steps:
//
//	rule                      without it
//	------------------------  ---------------------------------------------------------------
//	SettlesBeforeMoving       a crash loses a write that was refused: the database has neither
//	                          a retry of it nor a position before it
//	PositionIsTheOldestMark   a crash loses what was read and not flushed
//	HistoryIsCompared         keys of one server meet the words of another: a row goes back, or
//	                          is deleted
//	OffsetIsCompared,         a replica answers with what it had long ago. That no replica is
//	PrimaryIsRead             asked would do alone; that its offset is compared would not, since
//	                          another flusher may have read further
//	GoneIsAwaited,            the row of a key that expired is deleted
//	UnlinkKeepsTheRow,
//	ExpiryIsOfItsTime
//	AcknowledgesAfterScan     who waits for a write from before a full resync is answered at once
//	ScanIsItsMarks            a crash loses keys that the scan came across
//	ScanIsReadTo              a key that was gone when it was scanned is there again after a
//	                          fail-over, and nobody looks
//	SeenStaysWithTheLater     a write is acknowledged of which the scan's mark was dropped
//	BatchesAreFenced          a late batch of a predecessor puts an old row over a newer one
//	MoveIsFenced              the next flusher goes on in a history that was ended, whose terms
//	                          do not end those of the one after it
//	SettleIsFenced            a predecessor takes away the retry of a later write
//	TermsAreFenced            a predecessor begins a term of a history that was ended
//	IncarnationPerHistory     offsets of two histories are compared: a loss is told that was none
//	WrittenAgainStays         a write between reading a key and settling it is lost
//	PingsAreNoPosition        a fail-over that lost nothing is a full resync
//	LossIsTold                a deletion behind the backlog is missed in silence
//	WitnessIsCompared         a restart that lost what was flushed looks like one that did not
//	WitnessIsOfTheSame        the witness is made newer on the very server that lost it
//	HorizonIsCompared,        a row stays that no server has any more
//	LedgerIsCompared
//	LaterMayBeEarlier         the same, of a value that was read between two writes
//	NameIsRecorded            the next flusher takes what came from a server that took over for
//	                          what it has lost
//	AcknowledgesWhenAgreed    a write is acknowledged whose row is of one that was lost
//	ReadsAgainAnew            what was told of a retry before comes behind its row
//	ReadsAgain                a fail-over that lost what was read, but not flushed, ends the history
//	TransactionsAreWhole      the next flusher would begin in the midst of a transaction
//	LastsAreRewound           a write of the server that took over is taken for one which was told
//	WordsAreRewound           the row of a key that expired is deleted by the retry of a write that
//	                          is lost
//	FlushKeepsTheRows,        FLUSHALL deletes the rows of what is dirty, is out in a claim, or
//	FlushIsOfWhatIsOut,       waits in the database
//	FlushHoldsThePosition
//	SpillIsNoted,             a retry outlives its row, and deletes it when the key has expired
//	SettlesInOrder
//	SpillIsCompared           a write that came while the key was spilled is lost with a crash
//	LettersAreDoubted         a key is there on the server that took over, and has a dead letter
//	                          that it is gone
//	ToldAgainIsEarlier        a retry takes the word of an earlier write for the last one
//	SpillLeavesWhatIsOut      the same, of a key whose row is on its way
//	LapseNeedsToBeSure,       a value that the stream told before a gap is written over what was
//	ReadIsNewerThanKept       read behind it
//	RefusedIsAside            a write that was refused is acknowledged after a crash
//	RefusedKeepsItsFirst      with the one above: it is lost when its key expires
//	ExpiryHoldsThePosition    the row of a key that expired is deleted by its retry
package replication
