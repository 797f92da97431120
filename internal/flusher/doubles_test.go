// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package flusher

import (
	"context"
	"errors"
	"time"

	cachev1alpha1 "github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/config"
	"github.com/writebehind/operator/internal/flusher/entry"
)

// errNobody is what every call to a server that is away ends with.
var errNobody = errors.New("away")

// away is a source and a database that nobody reaches, for tests that look at what the
// engine makes of that. Calls that it does not have end the test.
type away struct{ Source }

func (away) Check(context.Context) config.Check { return away{}.Explain(errNobody) }

func (away) Explain(error) config.Check {
	return config.Check{Reason: cachev1alpha1.ReasonConnectionFailed, Message: "nobody is there"}
}

func (away) Prepare(context.Context) error { return errNobody }

func (away) Open(context.Context, config.QueueSettings, string, bool) (entry.Opened, error) {
	return entry.Opened{}, errNobody
}

func (away) Stats(context.Context, string) (entry.Stats, error) { return entry.Stats{}, errNobody }
func (away) Leave(context.Context, string, string) error        { return errNobody }
func (away) Close() error                                       { return nil }
func (away) Prove(context.Context) error                        { return errNobody }

func (away) Durability(context.Context) (a, b config.Check) {
	return away{}.Explain(errNobody), away{}.Explain(errNobody)
}

func (away) Free(context.Context, string) ([]int, error) { return nil, errNobody }

func (away) Claim(context.Context, *entry.Term, string, entry.Bounds) (*entry.Claim, error) {
	return nil, errNobody
}

func (away) Poll(context.Context, string, []int) (entry.Loads, error) {
	return entry.Loads{}, errNobody
}

type awayDatabase struct{ Database }

func (awayDatabase) Check(context.Context) config.Check { return away{}.Explain(errNobody) }

func (awayDatabase) Acquire(context.Context, string, string, int) (entry.Mark, error) {
	return entry.Mark{}, &entry.Fault{Kind: entry.Transient, Reason: cachev1alpha1.ReasonConnectionFailed, Message: "nobody is there", Err: errNobody}
}

func (awayDatabase) Table(context.Context, config.Mapping) (Table, error) {
	return nil, &entry.Fault{Kind: entry.Transient, Err: errNobody}
}

func (awayDatabase) Close()           {}
func (awayDatabase) Home() entry.Home { return entry.Home{} }
func (awayDatabase) Since() int64     { return 0 }

// alone is a flusher of the config whose servers are away.
func alone(c *config.Config, options Options) *Flusher {
	return New(c, away{}, awayDatabase{}, options)
}

// someTable is a table that nobody reads.
type someTable struct{ Table }

func (someTable) Durability() config.Check { return config.Check{OK: true} }

// fits has the queue find a table that fits.
func (q *queue) fits() { q.gate.after(func(p *passage) { p.fits(someTable{}, time.Now()) }) }

// answering is a Redis whose open connections are as check says, and new ones as proof
// does, if that is no zero.
type answering struct {
	away
	check, proof config.Check
}

func (a *answering) Check(context.Context) config.Check { return a.check }

func (a *answering) Prove(context.Context) error {
	if a.proof == (config.Check{}) {
		return nil
	}
	return errNobody
}

func (a *answering) Explain(error) config.Check { return a.proof }
