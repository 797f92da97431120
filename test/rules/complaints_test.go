// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package rules

// complaints are what users of comparable systems complain about, and the rule that
// makes each impossible here.
var complaints = []rule{
	// Loss
	{Complaint: 1, Text: "an owner that dies while it retries loses nothing: an entry leaves Redis after the commit", Tests: []string{
		"chaos.TestEveryAcknowledgedWriteIsAccountedFor", "integration.TestEveryPointBetweenClaimAndAcknowledge", "integration.TestEveryPointOfARefusal", "integration.TestAFlusherKilledTenTimesLosesNothing",
	}},
	{Complaint: 2, Text: "of two members one dies, and every write is there", Tests: []string{
		"chaos.TestEveryAcknowledgedWriteIsAccountedFor", "integration.TestEveryPointOfATakeOver", "integration.TestAFlusherKilledTenTimesLosesNothing", "integration.TestTwoFiveAndTenFlushersShareAQueue",
		"e2e: loses nothing when its flusher is killed under load, again and again",
	}},
	{Complaint: 3, Text: "a write that comes while its key is flushed stays: acknowledgements compare the whole entry", Tests: []string{
		"journal.TestAWriteBetweenClaimAndAcknowledgementStaysDirty", "model.TestTheRulesAreNeeded",
	}},
	{Complaint: 4, Text: "a write's version and its place in the queue are one step", Tests: []string{
		"journal.TestAnyInterleavingKeepsEveryWrite", "journal.TestWritesReturnGrowingVersionsAndPinTheValue", "model.TestNoInterleavingLosesOrReorders",
	}},
	{Complaint: 5, Text: "nothing is lost under load, nor by a restart of everything", Tests: []string{
		"chaos.TestEveryAcknowledgedWriteIsAccountedFor", "integration.TestAFlusherKilledTenTimesLosesNothing", "integration.TestRedisWithAppendOnlyFileKeepsTheQueue", "integration.TestTheDatabaseMayRestart",
	}},
	{Complaint: 6, Text: "a dirty value can neither be evicted nor expire", Tests: []string{
		"integration.TestDirtyEntriesAreNeverEvicted", "journal.TestWritesReturnGrowingVersionsAndPinTheValue", "journal.TestACleanEntryGetsItsTimeToLive",
	}},
	{Complaint: 7, Text: "entries are claimed under a lease, never popped", Tests: []string{
		"journal.TestANewEpochOrANewClaimMakesTheOldClaimVoid", "journal.TestOnlyTheOwnerInItsEpochMayClaimAndAcknowledge", "integration.TestEveryPointBetweenClaimAndAcknowledge",
	}},
	{Complaint: 8, Text: "what fails is tried again by itself", Tests: []string{
		"integration.TestFailuresOfRedisAreNamedAndHealWithoutLoss", "integration.TestAChildWaitsForItsParent", "integration.TestTheDatabaseMayRestart", "journal.TestARefusedEntryWaitsAsideAndIsOvertaken",
	}},
	{Complaint: 9, Text: "the guarantee is written down, and held against a model and against real servers", Tests: []string{
		"chaos.TestEveryAcknowledgedWriteIsAccountedFor", "chaos.TestTheCheckerFindsWhatIsWrongAndNothingElse", "model.TestNoInterleavingLosesOrReorders", "journal.TestAnyInterleavingKeepsEveryWrite", "integration.TestAFlusherKilledTenTimesLosesNothing", "rules.TestEveryRuleHasItsTests",
	}},
	{Complaint: 10, Text: "loss is a counter and a condition, not a line in a log", Tests: []string{
		"integration.TestADirtyKeyWithoutItsValueIsALossAndADeadLetter", "journal.TestAValueThatIsGoneIsADataLossEvent", "integration.TestEveryWriteIsAccountedFor", "controller: is told until a person acknowledges it, and the next one anew",
	}},
	{Complaint: 11, Text: "what keeps data from arriving is named, with what helps", Tests: []string{
		"integration.TestProblemsOfTheDatabaseAreNamedAndHeal", "integration.TestRedisThatRefusesWritesIsNotReady", "journal.TestCheckSaysWhatIsInTheWay", "postgres.TestTablesThatDoNotFit",
		"controller: say what the flushers say, and heal with it", "e2e: names the Secret that is missing",
	}},
	{Complaint: 12, Text: "a write that is not taken is an error, and has changed nothing", Tests: []string{
		"journal.FuzzCapture", "journal.TestARefusedCallChangesNothing", "journal.TestAFullQueueRefusesNewKeysOnly", "journal.TestTheGoClientAgreesWithTheLibrary",
	}},
	{Complaint: 13, Text: "what was captured is flushed, coalesced, pending, dead or superseded, and the numbers add up", Tests: []string{
		"integration.TestEveryWriteIsAccountedFor", "journal.TestAnyInterleavingKeepsEveryWrite",
	}},
	{
		Complaint: 14, Text: "a tool tells where Redis and the table differ", Tests: []string{"load.TestCompareFindsEveryKindOfDifference"},
		Later: "a command of the flusher that compares a live queue with its table",
	},
	{Complaint: 15, Text: "no consumer's identity owns entries: what a dead member held goes to the others", Tests: []string{
		"journal.TestMembersShareThePartitions", "integration.TestFlushersShareTheQueueAndTakeOver", "integration.TestEveryPointOfATakeOver",
	}},
	{Complaint: 16, Text: "a Redis that went back is noticed and told, and later writes still get through", Tests: []string{
		"chaos.TestAnOlderCopyOfRedisIsToldAndFlushingGoesOn", "chaos.TestAnOlderCopyOfPostgreSQLIsToldAndFlushingGoesOn", "integration.TestARedisThatLosesEverythingIsADataLossEvent", "integration.TestAFailOverToAnOlderReplicaIsADataLossEvent", "integration.TestWritesOfAnOldPrimaryThatIsCutOff", "journal.TestAConnectionToAnOldPrimaryEnds", "journal.TestJournalAndLedgerAreCompared", "journal.TestNoVersionIsGivenOutBelowTheFloor", "controller: of a Redis that went back to older data is counted although its own count fell",
	}},
	{Complaint: 17, Text: "a Redis that does not persist, or wants replicas that are not there, is told", Tests: []string{
		"integration.TestFailuresOfRedisAreNamedAndHealWithoutLoss", "journal.TestPersistenceFollowsARunningServer", "integration.TestRedisThatRefusesWritesIsNotReady", "integration.TestAManagedRedisIsDurable",
	}},
	{Complaint: 18, Text: "an eviction policy that may drop dirty entries is told, again and again", Tests: []string{
		"journal.TestEvictionIsSafeUnlessItTakesAllKeys", "service.TestTheStatusFollowsWhatRedisIsToldAtRunTime", "controller: takes the worst of several flushers",
	}},

	// Order, duplicates, deletions
	{Complaint: 19, Text: "a write and then a deletion is a deletion: one row a key, the newest", Tests: []string{
		"integration.TestTheLastOfSetAndDeleteCounts", "journal.TestDeletionIsAnEntryOfItsOwn",
	}},
	{Complaint: 20, Text: "a deletion between two writes does not end last", Tests: []string{"integration.TestTheLastOfSetAndDeleteCounts", "postgres.TestWriteCarriesRows"}},
	{Complaint: 21, Text: "writes of one key reach the database in their order", Tests: []string{
		"journal.TestAnyInterleavingKeepsEveryWrite", "integration.TestTwoFiveAndTenFlushersShareAQueue", "integration.TestAStoppedFlusherThatComesBackWritesNothingStale",
	}},
	{Complaint: 22, Text: "what is read from the database is never cached over a pending write or deletion", Tests: []string{
		"journal.TestFillOnlyWhereNothingIsKnown", "integration.TestAWriteIsThereForItsWriterAtOnce", "journal.FuzzCapture",
	}},
	{Complaint: 23, Text: "a batch that is written twice takes effect once", Tests: []string{
		"postgres.TestACommitWhoseAnswerIsLost", "postgres.TestWriteAnswersOfTheLedger", "postgres.TestARetryWhileTheFirstAttemptIsStuck", "integration.TestEveryPointBetweenClaimAndAcknowledge",
	}},
	{Complaint: 24, Text: "an increment is added once", Later: "mode Increment"},
	{Complaint: 25, Text: "a key that is missing is not taken for deleted", Tests: []string{"integration.TestAnExpiredEntryLeavesItsRow", "journal.TestAValueThatIsGoneIsADataLossEvent"}},

	// Poison rows and dead letters
	{Complaint: 26, Text: "one row that cannot be stored does not keep others", Tests: []string{"integration.TestBadRowsCostFewStatements", "integration.TestWhatCannotBeARowIsSetAside", "postgres.FuzzColumn"}},
	{Complaint: 27, Text: "kinds of errors have budgets of their own", Tests: []string{
		"integration.TestWhatCannotBeARowIsSetAside", "integration.TestTheCircuitOpensAndNoAttemptIsSpent", "flusher.TestTheCircuitCountsWhatTheDatabaseFailsAtOnly", "postgres.TestEverySQLSTATEHasItsKind",
	}},
	{Complaint: 28, Text: "retries that stop in silence are noticed", Tests: []string{
		"integration.TestTheWatchdogSaysThatNothingMoves", "flusher.TestTheWatchdogBarksAfterThreeIntervals", "controller: say Stuck when a flusher's watchdog does, and find neither server at fault", "controller: say Stuck when entries wait although nothing is known to be wrong",
	}},
	{Complaint: 29, Text: "a refused entry stands in the queue once", Tests: []string{
		"journal.TestAnyInterleavingKeepsEveryWrite", "journal.TestARefusedEntryWaitsAsideAndIsOvertaken", "journal.TestASecondDeadLetterTakesThePlaceOfTheFirst",
	}},
	{Complaint: 30, Text: "a bad row stops nobody: dead letters are built in", Tests: []string{"integration.TestWhatCannotBeARowIsSetAside", "journal.TestADeadLetterHoldsAllThatIsKnown"}},
	{Complaint: 31, Text: "a failure while writing is a dead letter too, not only one while reading", Tests: []string{"integration.TestWhatCannotBeARowIsSetAside", "journal.FuzzDeadLetter"}},
	{Complaint: 32, Text: "of a batch only the failing row is set aside", Tests: []string{"integration.TestAWrongGuessCostsAGoodRowNothing", "postgres.FuzzColumn", "integration.TestWhatCannotBeARowIsSetAside"}},
	{Complaint: 33, Text: "a NUL byte is a dead letter with its SQLSTATE and payload", Tests: []string{
		"postgres.TestADocumentThatCannotBeUsed", "postgres.FuzzColumn", "journal.FuzzDeadLetter", "integration.TestWhatCannotBeARowIsSetAside",
	}},
	{Complaint: 34, Text: "attempts are counted by entry and version", Tests: []string{
		"journal.TestARefusedEntryThatIsWrittenWhileItIsTriedAgainIsFresh", "journal.TestARefusedEntryWaitsAsideAndIsOvertaken",
	}},
	{Complaint: 35, Text: "a failure leaves the cached value alone", Tests: []string{"integration.TestAFailureLeavesTheCachedValue", "journal.TestAnyInterleavingKeepsEveryWrite"}},
	{Complaint: 36, Text: "dead letters can be listed, shown, mended, replayed and discarded", Tests: []string{
		"integration.TestDeadLettersAreListedMendedAndReplayed", "cmd.TestFilters", "cmd.TestReplayAndDiscard", "cmd.TestOnlyShowPrintsValues", "journal.TestADeadLetterOfAnyKeyIsReplayed",
	}},

	// PostgreSQL
	{Complaint: 37, Text: "one statement never touches a row twice", Tests: []string{"postgres.TestWriteCarriesRows", "postgres.TestOnlyCanonicalKeysAreTaken", "postgres.FuzzKey"}},
	{Complaint: 38, Text: "batches do not deadlock: rows are locked in one order, and a deadlock is no row's fault", Tests: []string{
		"postgres.TestRowsAreLockedInTheOrderOfTheirKeys", "postgres.TestPartitionsThatWriteOneTableDoNotDeadlock", "integration.TestContentionIsTriedAgainAtOnce", "postgres.TestEverySQLSTATEHasItsKind",
	}},
	{Complaint: 39, Text: "no connection stays with a server that became read-only", Tests: []string{
		"postgres.TestASessionThatTurnsReadOnly", "postgres.TestCheckOfAStandby", "postgres.TestASessionThatTheServerEnds",
	}},
	{Complaint: 40, Text: "no call to the database waits for ever", Tests: []string{
		"postgres.TestAServerThatHangsIsReportedSoon", "postgres.TestABatchThatNeverArrives", "postgres.TestACancelledWriteIsStoppedInTheServer", "postgres.TestWriteWaitsForALockedTableOnlyShortly",
	}},
	{Complaint: 41, Text: "a batch is one set-based statement, whatever its number of values", Tests: []string{
		"postgres.TestABatchHasMoreValuesThanAStatementHasParameters", "postgres.TestWriteOfManySetsOfColumns",
	}, Later: "COPY for mode Append"},

	// Capacity, streams, latency
	{Complaint: 42, Text: "memory grows with distinct dirty keys, bounded in number, and claims in bytes", Tests: []string{
		"integration.TestAThousandWritesToOneKeyBecomeOneRowWrite", "journal.TestAFullQueueRefusesNewKeysOnly", "journal.TestAClaimIsBoundedInBytes",
		"journal.TestAtMaxmemoryWritesAreRefusedWholeAndTheQueueStillDrains",
	}},
	{Complaint: 43, Text: "new names of flushers orphan nothing, and what Redis has lost is made anew", Tests: []string{
		"integration.TestFlushersShareTheQueueAndTakeOver", "integration.TestTheFunctionLibraryComesBack", "integration.TestRedisMayRestart", "journal.TestAnEditedQueueIsRebuilt",
	}},
	{Complaint: 44, Text: "keys of one partition carry one hash tag, and a cluster takes them", Later: "mode Cluster of an external Redis"},

	// Kubernetes
	{Complaint: 45, Text: "Ready follows what is flushed, not what was applied", Tests: []string{
		"controller: say what the flushers say, and heal with it", "controller: say FlushersDown when none answers, and keep the numbers", "controller: say Stuck when entries wait although nothing is known to be wrong",
	}},
	{Complaint: 46, Text: "a resource whose backend is gone can be deleted, by a deadline that speaks and by force", Tests: []string{
		"controller: says what is in the way when the time is up, and goes by force", "controller: names the Pods that it waits for, and waits for none of a lost node when forced",
	}},
	{Complaint: 47, Text: "a rotated Secret takes effect", Tests: []string{
		"postgres.TestARotatedURLTakesEffect", "postgres.TestARotatedURLLeavesTheOldDatabaseAlone", "integration.TestARotatedRedisPasswordTakesEffect",
		"e2e: says that the database refuses the password, and heals with a rotated Secret",
	}},
	{Complaint: 48, Text: "draining is a courtesy: a killed flusher loses nothing", Tests: []string{
		"integration.TestAFlusherKilledTenTimesLosesNothing", "integration.TestSIGTERMFlushesWhatIsQueuedAndHandsOver", "e2e: loses nothing when its flusher is killed under load, again and again",
	}},
}
