// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package replication

// Rules are what the protocol stands on; the tests take them away one by one.
type Rules struct {
	// SettlesBeforeMoving has the database know of a retry or a dead letter before its mark
	// holds the position no longer, and PositionIsTheOldestMark has the position wait for
	// what is not committed.
	SettlesBeforeMoving, PositionIsTheOldestMark bool
	// HistoryIsCompared keeps what another server answered from being written, OffsetIsCompared
	// what is older than the stream, PrimaryIsRead what a replica answered.
	HistoryIsCompared, OffsetIsCompared, PrimaryIsRead bool
	// GoneIsAwaited has the stream read up to where a key was found gone, and
	// UnlinkKeepsTheRow leaves the row of one that expired.
	GoneIsAwaited, UnlinkKeepsTheRow bool
	// ExpiryIsOfItsTime reads a key again of which it is not known whether it had expired when
	// it was found gone, since it was written once more.
	ExpiryIsOfItsTime bool
	// AcknowledgesAfterScan acknowledges nothing while keys are owed by a scan, and
	// ScanIsItsMarks says that they are until what it marked is settled.
	// ScanIsReadTo has the stream read, too, to where the scan ended, and what it told by
	// then settled: of a key that went meanwhile only the stream tells. A server that takes
	// over before is scanned anew.
	AcknowledgesAfterScan, ScanIsItsMarks, ScanIsReadTo bool
	// SeenStaysWithTheLater has the mark of a later write stand for one that a scan has made
	// and whose key is gone.
	SeenStaysWithTheLater bool
	// ReadIsNewerThanKept forgets the value that the stream told in an earlier history once
	// the key was read.
	ReadIsNewerThanKept bool
	// AcknowledgesWhenAgreed acknowledges nothing to a server that took over before the ledger
	// was compared.
	AcknowledgesWhenAgreed bool
	// BatchesAreFenced, MoveIsFenced and SettleIsFenced shut out who was replaced, and
	// TermsAreFenced keeps it from another term.
	BatchesAreFenced, MoveIsFenced, SettleIsFenced, TermsAreFenced bool
	// IncarnationPerHistory has a ledger of its own for each history.
	IncarnationPerHistory bool
	// WrittenAgainStays keeps the mark of a key that is written while it is out in a claim.
	WrittenAgainStays bool
	// PingsAreNoPosition has only what changes something move the position.
	PingsAreNoPosition bool
	// LossIsTold has an event for each history but the first one. WitnessIsCompared,
	// HorizonIsCompared and LedgerIsCompared find out whether what was flushed is lost: by
	// the witness, in memory, and after a restart.
	LossIsTold, WitnessIsCompared, HorizonIsCompared, LedgerIsCompared bool
	// WitnessIsOfTheSame writes the witness only where the one before is.
	WitnessIsOfTheSame bool
	// NameIsRecorded has the database know the name of a history before anything of it is
	// written.
	NameIsRecorded bool
	// LapseNeedsToBeSure takes words of one history over into the next one only where the
	// stream was read up to all that was written.
	LapseNeedsToBeSure bool
	// LaterMayBeEarlier takes a value for as new as when it was read where a later mark of the
	// key is of writes behind that.
	LaterMayBeEarlier bool
	// ExpiryHoldsThePosition has the position wait for an expiry of which the retry in the
	// database does not know.
	ExpiryHoldsThePosition bool
	// RefusedIsAside has the database know of a write that was refused, though a later one of
	// the key is dirty.
	RefusedIsAside bool
	// ReadsAgain goes back to the position in the database where a server takes over that has
	// all up to there.
	ReadsAgain bool
	// ReadsAgainAnew gives the lease back before: what was told before takes no effect then.
	ReadsAgainAnew bool
	// TransactionsAreWhole has reading begin before a transaction or behind it, and
	// LastsAreRewound forgets what was read of one that a server which takes over has not.
	// WordsAreRewound forgets, too, what was said there, or the retry of it says.
	TransactionsAreWhole, LastsAreRewound, WordsAreRewound bool
	// FlushKeepsTheRows takes keys that FLUSHALL takes for expired, FlushIsOfWhatIsOut those
	// too that are out in a claim, and FlushHoldsThePosition has the position wait for it where
	// the retry in the database does not know of it.
	FlushKeepsTheRows, FlushIsOfWhatIsOut, FlushHoldsThePosition bool
	// LettersAreDoubted has keys read again that have a dead letter, where a server takes over
	// that may lack what that is about.
	LettersAreDoubted bool
	// ToldAgainIsEarlier leaves a mark the words that it has where a later one is of writes which
	// the stream tells once more.
	ToldAgainIsEarlier bool
	// SpillIsNoted knows of a retry before the database may have it, and SpillIsCompared leaves
	// a mark as it is that was written since. SpillLeavesWhatIsOut spills no key that is out in
	// a claim, and SettlesInOrder tells the database of one thing at a time.
	SpillIsNoted, SpillIsCompared, SpillLeavesWhatIsOut, SettlesInOrder bool
	// RefusedKeepsItsFirst has the mark of an expiry hold the position where that of the
	// write did which was refused.
	RefusedKeepsItsFirst bool
}

// All are the rules of the protocol.
func All() Rules {
	return Rules{
		SettlesBeforeMoving: true, PositionIsTheOldestMark: true,
		HistoryIsCompared: true, OffsetIsCompared: true, PrimaryIsRead: true,
		GoneIsAwaited: true, UnlinkKeepsTheRow: true, ExpiryIsOfItsTime: true,
		AcknowledgesAfterScan: true, ScanIsItsMarks: true, ScanIsReadTo: true, SeenStaysWithTheLater: true, ReadIsNewerThanKept: true, AcknowledgesWhenAgreed: true,
		BatchesAreFenced: true, MoveIsFenced: true, SettleIsFenced: true, TermsAreFenced: true,
		IncarnationPerHistory: true, WrittenAgainStays: true, PingsAreNoPosition: true,
		LossIsTold: true, WitnessIsCompared: true, HorizonIsCompared: true, LedgerIsCompared: true,
		ReadsAgain: true, ReadsAgainAnew: true, TransactionsAreWhole: true, LastsAreRewound: true, WordsAreRewound: true,
		FlushKeepsTheRows: true, FlushIsOfWhatIsOut: true, FlushHoldsThePosition: true,
		LettersAreDoubted: true, ToldAgainIsEarlier: true, SpillIsNoted: true, SpillIsCompared: true, SpillLeavesWhatIsOut: true, SettlesInOrder: true,
		WitnessIsOfTheSame: true, NameIsRecorded: true, LapseNeedsToBeSure: true, RefusedKeepsItsFirst: true, RefusedIsAside: true, ExpiryHoldsThePosition: true, LaterMayBeEarlier: true,
	}
}

// Bounds are how much may happen.
type Bounds struct {
	Keys, Readers int
	// Begun says that a flusher reads the stream when the first command comes.
	Begun bool
	// Kinds are what an application does, Writes how often.
	Kinds []kind
	// Missing is how many commands a replica may lack that takes over, or a server that
	// restarts.
	Missing                                                           int8
	Writes, Pings, Witnesses, Overruns, FailOvers, Restarts, Refusals int8
	// Transactions are of two writes, Flushes of the server, and Spills of what is dirty.
	Transactions, Flushes, Spills int8
	// Leases are those that are taken from a flusher which goes on, Crashes those of flushers, Cuts streams that end while their server is the primary,
	// and Doubts batches whose answer nobody gets: they are late, or lost.
	Leases, Crashes, Cuts, Doubts int8
	// Replicas says that a replica may answer.
	Replicas bool
}
