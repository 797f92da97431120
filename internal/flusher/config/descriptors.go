// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"io/fs"
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

// Unreadable says why a file of a Secret could not be read, and nothing of what it holds. missing is
// said of one that is not there.
func Unreadable(err error, missing string) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return missing
	case errors.Is(err, syscall.EISDIR):
		return "is a directory: name the file in it"
	case errors.Is(err, fs.ErrPermission):
		return "may not be read: see the file's permissions"
	}
	return "cannot be read: see the file and its directory"
}
