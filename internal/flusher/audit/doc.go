// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package audit looks at keys from outside of a flusher: what Redis holds, what the table has,
// and what becomes of it. It answers a person whose write did not arrive (Explain), holds Redis
// against the table (Verify), and has what differs flushed again (Repair).
//
// # What is a difference
//
// A row differs where a flusher that read the key now would change it: values are taken apart as
// a batch takes them, cast to the types of the columns, and compared by what PostgreSQL calls
// equal. A column that the value does not name is as it should be. A row of a stream is never
// changed, so that it only can be missing.
//
// What is on its way is no difference. One look at Redis and one at the table are of two moments,
// so a key that seems to differ is looked at once more, and it counts only if nothing of it
// waited at the second look, and nothing was written in between:
//
//	Functions    the journal has no entry and no dead letter of the key, before and after the
//	             row was read, and the value is the same both times
//	Replication  the stream was carried beyond the offset at which the key was read first, the
//	             value is the same behind that, and nothing of the key is set aside
//
// Whether a key is dirty is known to the flusher alone that reads the stream, in its memory. So
// the witness is written once more, which moves the stream on, and the position in the database
// is waited for.
//
// # What is never done
//
// No row is deleted because its key is not in Redis. A clean key expires, or is evicted, and its
// row is what is kept of it: from outside it looks like one that was deleted. Such rows are told
// as extra where somebody asks for them.
//
// No newer write is overtaken. Of a key that is to be flushed again the value is taken when it is
// written: in one step with its new version (Functions), or by the flusher that reads the key anew
// (Replication).
package audit
