// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"syscall"
)

// OutOfDescriptors is said where no file and no connection can be opened: nothing is
// wrong with the file or the server that was wanted.
const OutOfDescriptors = "the flusher can open no more files and connections (EMFILE): raise its limit of open files (ulimit -n); " +
	"in a container the node sets it"

// OutOfFiles reports whether an error says that this process, or its machine, can open
// no more files and connections. A file that could not be read for it may well be there.
func OutOfFiles(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}
