// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package rules

// traps are mistakes that a design like this one invites.
var traps = []rule{
	{Section: "traps", Text: "versions of a Redis that went back lie above what is in the database", Tests: []string{
		"journal.TestNoVersionIsGivenOutBelowTheFloor", "postgres.TestAcquireSeedsThePositionFromAllJournalsOfTheQueue", "integration.TestAClockThatWasPutBackStallsNothing",
	}},
	{Section: "traps", Text: "superseded is neither lost nor written, and is counted apart", Tests: []string{
		"journal.TestANewerWriteSupersedesADeadLetterWhenItIsCommitted", "integration.TestEveryWriteIsAccountedFor",
		"integration.TestAVersionColumnKeepsRowsFromAnOlderCopyOfRedis",
	}},
	{Section: "traps", Text: "a late write does not bring a deleted row back", Tests: []string{
		"integration.TestTheLastOfSetAndDeleteCounts", "integration.TestAStoppedFlusherThatComesBackWritesNothingStale", "model.TestNoInterleavingLosesOrReorders",
	}},
	{Section: "traps", Text: "rows that exchange a unique value get through under a deferrable constraint", Tests: []string{
		"postgres.TestRowsExchangeAUniqueValue", "postgres.TestWriteMovesAUniqueValueFromADeletedRow", "postgres.TestWriteChecksDeferredConstraintsInside",
	}},
	{Section: "traps", Text: "a foreign key that fails may be a matter of order: it is tried again", Tests: []string{"integration.TestAChildWaitsForItsParent", "postgres.TestWriteChecksDeferredConstraintsInside"}},
	{Section: "traps", Text: "a table that changed makes no dead letters: the mapping pauses", Tests: []string{
		"integration.TestATableThatChangesUnderWayKillsNoRow", "integration.TestAMappingWhoseRowsAreAllRefusedIsPausedAndNothingIsDead", "postgres.TestWriteTellsAFaultOfTheMappingFromOneOfARow",
	}},
	{Section: "traps", Text: "a refusal is the row's only on evidence that the mapping takes other rows, over the queue and over time", Tests: []string{
		"integration.TestEveryRowRefusedOverAllPartitionsKillsNone", "integration.TestRowsThatAreRefusedOneByOneAreKept", "integration.TestABadRowInAQuietQueueIsADeadLetter",
		"integration.TestABadRowOfWhichNothingShowsThatOthersPassStays", "integration.TestAServerThatIsSlowForEverybodyKillsNoRow",
	}},
	{Section: "traps", Text: "any SQLSTATE, and a lost connection, can be one row's", Tests: []string{
		"integration.TestAnySQLSTATEMayBeOneRows", "integration.TestADeadHostOfOneRow", "integration.TestARowThatEndsItsSession", "integration.TestARowThatCrashesTheServer",
		"integration.TestARowThatTakesTooLong", "integration.TestARowThatSomebodyHasLockedWaits",
	}},
	{Section: "traps", Text: "unique values that move on from row to row find their order, and an exchange is told", Tests: []string{
		"integration.TestUniqueValuesThatMoveOnFromRowToRow", "integration.TestRowsThatReferToOneAnotherFindTheirOrder", "integration.TestRowsThatExchangeAUniqueValueSaySo",
	}},
	{Section: "traps", Text: "an outage spends no attempts", Tests: []string{"integration.TestTheCircuitOpensAndNoAttemptIsSpent", "integration.TestTheDatabaseMayRestart"}},
	{Section: "traps", Text: "a replayed dead letter is a new write, and never goes over a newer one", Tests: []string{
		"journal.TestReplayIsANewWrite", "journal.TestANewerWriteSupersedesADeadLetterWhenItIsCommitted", "journal.TestAnyInterleavingKeepsEveryWrite",
	}},
	{Section: "traps", Text: "dead letters are bounded with the queue and never trimmed", Tests: []string{"journal.TestDeadLettersCountForTheDepth", "journal.TestManyDeadLettersAreAllFound"}},
	{Section: "traps", Text: "nothing expires between a write and its flush", Tests: []string{"journal.TestACleanEntryGetsItsTimeToLive", "integration.TestDirtyEntriesAreNeverEvicted"}},
}

// races are those of the code that tutorials give for this pattern.
var races = []rule{
	{Section: "races", Text: "a write between reading what is dirty and clearing it", Tests: []string{
		"journal.TestAWriteBetweenClaimAndAcknowledgementStaysDirty", "integration.TestEveryPointBetweenClaimAndAcknowledge",
	}},
	{Section: "races", Text: "a failed batch put back over newer values", Tests: []string{
		"journal.TestARefusedVersionThatWasWrittenOverIsStillMissing", "journal.TestAnyInterleavingKeepsEveryWrite", "integration.TestEveryPointOfARefusal",
	}},
	{Section: "races", Text: "a retry that overtakes a later write", Tests: []string{
		"journal.TestARefusedEntryThatIsWrittenWhileItIsTriedAgainIsFresh", "postgres.TestARetryWhileTheFirstAttemptIsStuck", "journal.TestAnyInterleavingKeepsEveryWrite",
	}},
	{Section: "races", Text: "two workers that write one key in the wrong order", Tests: []string{
		"integration.TestTwoFiveAndTenFlushersShareAQueue", "journal.TestOnlyTheOwnerInItsEpochMayClaimAndAcknowledge", "model.TestTheRulesAreNeeded",
	}},
	{Section: "races", Text: "expiry before the flush", Tests: []string{"journal.TestACleanEntryGetsItsTimeToLive", "integration.TestDirtyEntriesAreNeverEvicted"}},
	{Section: "races", Text: "a popped entry lost with its process", Tests: []string{"integration.TestEveryPointBetweenClaimAndAcknowledge", "integration.TestAFlusherKilledTenTimesLosesNothing"}},
	{Section: "races", Text: "a deletion overtaken by an older write", Tests: []string{
		"integration.TestTheLastOfSetAndDeleteCounts", "integration.TestAStoppedFlusherThatComesBackWritesNothingStale", "journal.TestAnyInterleavingKeepsEveryWrite",
	}},
	{Section: "races", Text: "an acknowledgement applied twice", Tests: []string{"journal.TestAnAcknowledgementAppliesOnce", "journal.TestAnyInterleavingKeepsEveryWrite"}},
}

var captureRules = []rule{
	{Section: "2", Text: "after an error nothing is changed", Tests: []string{
		"journal.FuzzCapture", "journal.TestARefusedCallChangesNothing", "journal.TestAtMaxmemoryWritesAreRefusedWholeAndTheQueueStillDrains", "journal.TestTheRightsOfAnApplication",
	}},
	{Section: "2", Text: "an error is a code of the contract and a text", Tests: []string{"journal.FuzzCapture", "journal.TestTheGoClientAgreesWithTheLibrary"}},
	{Section: "2", Text: "keys, values and names are any bytes", Tests: []string{"journal.FuzzCapture", "journal.FuzzDeadLetter"}},
	{Section: "2", Text: "a full queue refuses new keys, and takes dirty ones", Tests: []string{"journal.TestAFullQueueRefusesNewKeysOnly"}},
	{Section: "2", Text: "a draining or retired queue refuses writes", Tests: []string{"journal.TestAPausedQueueTakesNoWrites", "integration.TestLiveSettingsNeedNoRestart"}},
	{Section: "2", Text: "the library is loaded where it is missing or older, and a newer one left alone", Tests: []string{
		"journal.TestAnOlderLibraryIsReplacedAndANewerOneLeftAlone", "integration.TestAnOlderLibraryIsReplaced", "integration.TestTheFunctionLibraryComesBack",
	}},
	{Section: "2", Text: "wb_pending tells the lowest version that may be missing", Tests: []string{
		"journal.TestARefusedVersionThatWasWrittenOverIsStillMissing", "journal.TestAnyInterleavingKeepsEveryWrite",
	}},
	{Section: "2", Text: "wb_mset takes all keys or none", Later: "wb_mset"},
	{Section: "2", Text: "wb_hset takes a key's TTL away", Later: "encoding Hash"},
	{Section: "2", Text: "wb_append and wb_incrby count once", Later: "modes Append and Increment"},
}

var journalRules = []rule{
	{Section: "5", Text: "no key of the journal has a TTL", Tests: []string{"integration.TestNoKeyOfTheJournalHasATimeToLive"}},
	{Section: "5", Text: "dirty is pinned, clean is evictable", Tests: []string{
		"integration.TestDirtyEntriesAreNeverEvicted", "journal.TestACleanEntryGetsItsTimeToLive", "journal.TestWritesReturnGrowingVersionsAndPinTheValue",
	}},
	{Section: "5", Text: "coalescing happens at capture", Tests: []string{"integration.TestAThousandWritesToOneKeyBecomeOneRowWrite"}},
	{Section: "5", Text: "versions keep all their digits, and grow whatever the clock does", Tests: []string{
		"journal.TestWritesReturnGrowingVersionsAndPinTheValue", "journal.TestNoVersionIsGivenOutBelowTheFloor", "integration.TestAClockThatWasPutBackStallsNothing",
	}},
	{Section: "5", Text: "one claim of a partition is out at a time, bounded in number and bytes", Tests: []string{
		"journal.TestANewEpochOrANewClaimMakesTheOldClaimVoid", "journal.TestAClaimIsBoundedInBytes",
	}},
	{Section: "5", Text: "a queue that was edited is made anew", Tests: []string{"journal.TestAnEditedQueueIsRebuilt", "journal.TestAJournalEditedByHandIsMadeAnew"}},
	{Section: "5", Text: "an acknowledgement applies once, and only under the lease", Tests: []string{
		"journal.TestAnAcknowledgementAppliesOnce", "journal.TestOnlyTheOwnerInItsEpochMayClaimAndAcknowledge",
	}},
	{Section: "5", Text: "a claimed set whose value is gone is a data-loss event", Tests: []string{"journal.TestAValueThatIsGoneIsADataLossEvent", "integration.TestEveryWriteIsAccountedFor"}},
	{Section: "5", Text: "at maxmemory the queue still drains", Tests: []string{
		"journal.TestAtMaxmemoryWritesAreRefusedWholeAndTheQueueStillDrains", "integration.TestAtTheMemoryLimitTheQueueStillDrains",
	}},
	{Section: "5", Text: "an engine call touches its own queue alone, whatever its arguments", Tests: []string{"journal.FuzzEngine"}},
	{Section: "5", Text: "increments and appends are not resent by the client", Later: "modes Append and Increment"},
}

var ledgerRules = []rule{
	{Section: "6", Text: "every acquisition raises the epoch in PostgreSQL", Tests: []string{
		"postgres.TestAcquireRaisesTheEpochAndKeepsTheRest", "postgres.TestManyAcquisitionsAtOnce", "integration.TestEveryPointOfATakeOver", "model.TestTheRulesAreNeeded",
	}},
	{Section: "6", Text: "the first acquisition in a new journal fences the queue's other journals", Tests: []string{"postgres.TestOnlyTheFirstAcquisitionOfAJournalFencesTheOthers"}},
	{Section: "6", Text: "no row takes effect unless the ledger was moved by compare-and-set first", Tests: []string{
		"postgres.TestWriteAnswersOfTheLedger", "postgres.TestACommitWhoseAnswerIsLost", "integration.TestAStoppedFlusherThatComesBackWritesNothingStale", "model.TestTheRulesAreNeeded",
	}},
	{Section: "6", Text: "a lost answer to COMMIT is settled", Tests: []string{
		"postgres.TestACommitWhoseAnswerIsLost", "postgres.TestOnlyAnAnswerSettlesABatch", "integration.TestEveryPointBetweenClaimAndAcknowledge",
	}},
	{Section: "6", Text: "a stopped predecessor holds no lock", Tests: []string{"postgres.TestAStoppedPredecessorHoldsNoLock", "postgres.TestALockOnTheLedgerRowIsWaitedForOnce"}},
	{Section: "6", Text: "a journal below the ledger, or above it, is a data-loss event, and both are set to the higher", Tests: []string{
		"journal.TestJournalAndLedgerAreCompared", "postgres.TestAPositionNeverFalls", "chaos.TestAnOlderCopyOfPostgreSQLIsToldAndFlushingGoesOn", "integration.TestALostLedgerIsBegunAnew",
	}},
	{Section: "6", Text: "leases are shared evenly, and given back on shutdown", Tests: []string{
		"journal.TestMembersShareThePartitions", "integration.TestTwoFiveAndTenFlushersShareAQueue", "integration.TestSIGTERMFlushesWhatIsQueuedAndHandsOver",
	}},
	{Section: "6", Text: "a refused row of a sealed batch is a dead letter before the commit that leaves it out", Later: "mode Increment"},
}

var rowRules = []rule{
	{Section: "7", Text: "every value is what PostgreSQL itself makes of it, or a row error of that row alone", Tests: []string{
		"postgres.FuzzColumn", "postgres.TestVeryLongAndDeepValues", "postgres.TestTypesArriveAsTheyAre", "postgres.FuzzDocument",
	}},
	{Section: "7", Text: "a key that is not the canonical text of its type is a row error", Tests: []string{"postgres.FuzzKey", "postgres.TestOnlyCanonicalKeysAreTaken"}},
	{Section: "7", Text: "rows go in the order of their keys", Tests: []string{"postgres.TestRowsAreLockedInTheOrderOfTheirKeys"}},
	{Section: "7", Text: "a column that is not named keeps its value", Tests: []string{"postgres.TestWriteCarriesRows", "integration.TestWritesAndDeletionsReachTheTable"}},
	{Section: "7", Text: "every SQLSTATE has its kind, in one table", Tests: []string{"postgres.TestEverySQLSTATEHasItsKind", "postgres.TestTheStageCorrectsTheKind", "postgres.TestErrorsOfTheConnection"}},
	{Section: "7", Text: "some rows fail: theirs; all fail: the mapping's, and nothing is dead", Tests: []string{
		"integration.TestWhatCannotBeARowIsSetAside", "integration.TestAMappingWhoseRowsAreAllRefusedIsPausedAndNothingIsDead",
	}},
	{Section: "7", Text: "a batch that is too heavy is halved, and its rows lose no attempt", Tests: []string{"integration.TestABatchThatIsTooHeavyIsHalved"}},
	{Section: "7", Text: "contention is tried again at once, and is neither a row's fault nor an outage", Tests: []string{"integration.TestContentionIsTriedAgainAtOnce"}},
	{Section: "7", Text: "deferred constraints are checked inside", Tests: []string{"postgres.TestDeferredChecksRunBeforeTheCommit", "postgres.TestWriteChecksDeferredConstraintsInside"}},
	{Section: "7", Text: "the circuit opens, tries, and closes", Tests: []string{
		"integration.TestTheCircuitOpensAndNoAttemptIsSpent", "flusher.TestTheCircuitOpensAtTheThresholdAndClosesAfterOneProbe", "flusher.TestAHalfOpenCircuitLetsOneInAndOpensForTheWholeTimeAgain",
	}},
	{Section: "7", Text: "a paused mapping is tried once an interval", Tests: []string{"flusher.TestAPausedMappingIsTriedOnceAnInterval"}},
	{Section: "7", Text: "hours of outage are told once and end at once", Tests: []string{"flusher.TestHoursWithoutServersAreToldOnceAndEndAtOnce", "flusher.TestEveryFailureInARowDoublesTheWaitUpToTheCeiling"}},
	{Section: "7", Text: "a row that a trigger or a policy keeps out in silence is not taken for written", Tests: []string{
		"postgres.TestARowThatATriggerKeepsOutIsNotTakenForWritten", "postgres.TestARowThatAPolicyHidesIsNotTakenForWritten",
	}},
	{Section: "7", Text: "partial rows update first", Later: "encoding Hash"},
	{Section: "7", Text: "a version column guards, and a strictly older rejection is a dead letter", Tests: []string{
		"postgres.TestAVersionColumnGuardsEveryKindOfWrite", "postgres.TestStaleRowsAreToldApartInAMixedBatch", "integration.TestAVersionColumnKeepsRowsFromAnOlderCopyOfRedis",
	}},
}

var operatorRules = []rule{
	{Section: "8", Text: "the operator talks to neither Redis nor PostgreSQL", Tests: []string{"rules.TestTheOperatorTalksToNeitherServer"}},
	{Section: "8", Text: "the operator reads no Secret: its role is to create and delete them", Tests: []string{
		"controller: take a role that may create and delete Secrets, and nothing else", "e2e: has no right to read Secrets",
	}},
	{Section: "8", Text: "what draining needs carries no ownerReference", Tests: []string{
		"controller: are made for a managed Redis, labelled and without ownerReferences", "controller: drains first, also in the foreground, and then leaves nothing",
	}},
	{Section: "8", Text: "drained means no entries and no dead letters", Tests: []string{
		"controller: drains first, also in the foreground, and then leaves nothing", "controller: says what a watchdog says, and that dead letters are in the way when the time is up",
		"controller: takes silence for no sign that there is nothing to drain",
	}},
	{Section: "8", Text: "live settings need no new Pod", Tests: []string{"controller: that are live reach the flushers without a new Pod", "integration.TestLiveSettingsNeedNoRestart"}},
	{Section: "8", Text: "of the settings of one owner the highest revision is in force, and another owner replaces", Tests: []string{
		"journal.TestTheHighestRevisionOfAnOwnerWinsAndAnotherOwnerReplaces", "controller: of another owner do not count as applied",
	}},
	{Section: "8", Text: "a change of Redis is held back while the old queue is not empty", Tests: []string{"controller: keep the flushers at a Redis whose queue is not empty"}},
	{Section: "8", Text: "a mapping that is removed stays until its queue is empty", Tests: []string{"controller: of a mapping that was taken out stay until its queue is empty"}},
	{Section: "8", Text: "a queue whose journal changed is a data-loss event", Tests: []string{
		"controller: by a queue that vanished is counted once, whoever noticed it", "integration.TestTheFunctionLibraryComesBack",
	}},
	{Section: "8", Text: "with nobody to ask, numbers stay and Ready is false", Tests: []string{"controller: say FlushersDown when none answers, and keep the numbers"}},
	{Section: "8", Text: "status numbers are written on change and seldom; conditions and crossed marks at once", Tests: []string{
		"controller: write numbers when they change, and not otherwise", "observe.TestPublishesConditionsAtOnceAndNumbersSeldom", "observe.TestPublishesTheCrossingOfAMarkAtOnce",
	}},
	{Section: "8", Text: "status and logs tell SQLSTATE, constraint and column, never a value", Tests: []string{
		"postgres.TestWriteErrorsTellTheirKindAndNoValue", "integration.TestWhatCannotBeARowIsSetAside", "cmd.TestListIsAnAlignedTableWithoutValues",
	}},
	{Section: "8", Text: "any bytes for a config give a config or an error that names the field", Tests: []string{"config.FuzzConfig", "config.TestBadInputIsNamed", "integration.TestAnUnusableConfigIsOneLineAndExitCode2"}},
}
