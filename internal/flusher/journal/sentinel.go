// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/writebehind/operator/internal/flusher/config"
)

const (
	// askTimeout bounds a question to all Sentinels. It leaves the way to the primary
	// a second of dialTimeout.
	askTimeout = 2 * time.Second
	// sentinelDialTimeout ends before a question does, or nothing would tell why.
	sentinelDialTimeout = askTimeout - 500*time.Millisecond
	// lateTime is how long those are waited for who have not answered when most have:
	// one of them may be the first to know of a fail-over.
	lateTime = 100 * time.Millisecond
	// resubscribeInterval separates two attempts to hear a Sentinel that is away.
	resubscribeInterval = time.Second
)

// elected is the primary as Sentinels tell it.
type elected struct {
	address string
	// epoch is that of the fail-over which made it the primary: a later one is higher.
	epoch int64
	// down says that the Sentinel holds it for down.
	down bool
}

// sentinels asks the Sentinels of one primary. The client library's own client for them
// does not serve: it takes the first answer, be it that of a Sentinel which is cut off
// with an old primary; it hears of a fail-over from one Sentinel, and from none while
// that one is away; it goes to addresses that nobody configured; and it keeps the
// passwords that it was made with.
type sentinels struct {
	settings config.RedisExternal
	clients  []*redis.SentinelClient

	newest *newest
}

// newest is the epoch of the newest primary that Sentinels have told.
type newest struct {
	mu    sync.Mutex
	epoch int64
}

func askSentinels(settings config.RedisExternal, n *newest) *sentinels {
	s := &sentinels{settings: settings, newest: n}
	for _, address := range settings.Addresses {
		s.clients = append(s.clients, redis.NewSentinelClient(&redis.Options{
			Addr:                       address,
			CredentialsProviderContext: func(context.Context) (string, string, error) { return sentinelCredentials(settings) },
			Dialer:                     dialer(settings.TLS, address),
			DialTimeout:                sentinelDialTimeout,
			DialerRetries:              1,
			ReadTimeout:                readTimeout,
			WriteTimeout:               readTimeout,
			ContextTimeoutEnabled:      true,
			PoolSize:                   2, // one may still wait for the answer to an earlier question
			MaxRetries:                 -1,
			DisableIdentity:            true,
			MaintNotificationsConfig:   &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
		}))
	}
	return s
}

func (s *sentinels) close() {
	for _, client := range s.clients {
		_ = client.Close()
	}
}

// most is how many have to tell of a primary. Sentinels elect one with most of them, so
// whoever hears fewer may hear those that are cut off with the primary of before.
func (s *sentinels) most() int { return len(s.clients)/2 + 1 }

// answer is what became of one question.
type answer struct {
	elected elected
	err     *sentinelError
}

// ask returns the newest primary that most of the Sentinels know of one. The error is a
// *sentinelError, or of the context.
func (s *sentinels) ask(ctx context.Context) (elected, error) {
	before := s.newest.known()
	told, failed, err := s.hear(ctx)
	if err != nil {
		return elected{}, err
	}
	if len(told) < s.most() {
		return elected{}, s.gravest(failed, len(told))
	}
	primary := newestOf(told)
	if !s.newest.take(primary.epoch, before, len(told) == len(s.clients)) {
		return elected{}, s.because(len(told), "", &behindError{})
	}
	return primary, nil
}

func (n *newest) known() int64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.epoch
}

// take reports whether an epoch is the newest one. Epochs begin anew with Sentinels that
// are set up anew: then all of them tell it, and nobody a later one since the question.
func (n *newest) take(epoch, before int64, all bool) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if epoch < n.epoch && (!all || n.epoch != before) {
		return false
	}
	n.epoch = epoch
	return true
}

// hear collects the answers of all, or of most and those that come soon after.
func (s *sentinels) hear(ctx context.Context) (told []elected, failed []*sentinelError, err error) {
	asking, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	answers := make(chan answer, len(s.clients))
	for i := range s.clients {
		go func() { answers <- s.askOne(asking, i) }()
	}
	var late <-chan time.Time
	for len(told)+len(failed) < len(s.clients) {
		select {
		case a := <-answers:
			if a.err != nil {
				failed = append(failed, a.err)
			} else {
				told = append(told, a.elected)
			}
		case <-late:
			return told, failed, nil
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		}
		if late == nil && len(told) >= s.most() {
			late = time.After(lateTime)
		}
	}
	return told, failed, nil
}

// askOne asks for the epoch first, so that an address is never older than it. The Sentinel
// that leads a fail-over has the new address under its name long before it lists it: until
// every replica follows.
func (s *sentinels) askOne(ctx context.Context, i int) answer {
	fail := func(err error) answer { return answer{err: s.because(0, s.settings.Addresses[i], err)} }
	fields, err := s.clients[i].Master(ctx, s.settings.MasterName).Result()
	if err != nil {
		return fail(err)
	}
	named, err := s.clients[i].GetMasterAddrByName(ctx, s.settings.MasterName).Result()
	if err != nil {
		return fail(err)
	}
	epoch, err := strconv.ParseInt(fields["config-epoch"], 10, 64)
	if err != nil || len(named) != 2 {
		return fail(errNoElected)
	}
	listed, address := net.JoinHostPort(fields["ip"], fields["port"]), net.JoinHostPort(named[0], named[1])
	return answer{elected: elected{
		address: address, epoch: epoch, down: address == listed && strings.Contains(fields["flags"], "_down"),
	}}
}

var errNoElected = errors.New("the answer names no primary")

// newestOf is the primary of the highest epoch. Most of those who know it decide whether
// it is down, and how it is spelled.
func newestOf(told []elected) elected {
	votes := map[string]int{}
	down := 0
	newest := slices.MaxFunc(told, func(a, b elected) int { return cmp.Compare(a.epoch, b.epoch) })
	for _, e := range told {
		if e.epoch == newest.epoch {
			votes[e.address]++
			if e.down {
				down++
			}
		}
	}
	for address, n := range votes {
		if most := votes[newest.address]; n > most || n == most && address < newest.address {
			newest.address = address
		}
	}
	known := 0
	for _, n := range votes {
		known += n
	}
	newest.down = 2*down > known
	return newest
}

// listen sends to heard whenever the Sentinel tells of a fail-over, until the context
// ends. A Sentinel whose user may not subscribe is only asked.
func (s *sentinels) listen(ctx context.Context, i int, heard chan<- struct{}) {
	for ctx.Err() == nil {
		s.subscribe(ctx, i, heard)
		select {
		case <-ctx.Done():
		case <-time.After(resubscribeInterval):
		}
	}
}

func (s *sentinels) subscribe(ctx context.Context, i int, heard chan<- struct{}) {
	subscription := s.clients[i].Subscribe(ctx, "+promoted-slave", "+switch-master")
	defer subscription.Close()
	defer context.AfterFunc(ctx, func() { _ = subscription.Close() })()
	for {
		if _, err := subscription.Receive(ctx); err != nil {
			return
		}
		select {
		case heard <- struct{}{}:
		default: // it is about to be asked anyway
		}
	}
}

// sentinelError says why the Sentinels tell of no primary.
type sentinelError struct {
	// master is the name of the primary, secrets what a person calls the credentials.
	master, secrets string
	// answered of asked Sentinels have told of a primary.
	answered, asked int
	// address is the Sentinel that the error is of, empty where it is of all.
	address string
	err     error
}

func (e *sentinelError) Error() string { return fmt.Sprintf("ask Sentinel %s: %v", e.address, e.err) }

func (e *sentinelError) Unwrap() error { return e.err }

// behindError says that those who answer know an older primary than is known.
type behindError struct{}

func (*behindError) Error() string { return "an older primary is told than the one that is known" }

func (s *sentinels) because(answered int, address string, err error) *sentinelError {
	return &sentinelError{
		master:  s.settings.MasterName,
		secrets: strings.Trim(s.settings.SentinelUsernameSecret+"; "+s.settings.SentinelCredentialsSecret, "; "),
		asked:   len(s.clients), answered: answered, address: address, err: err,
	}
}

// gravest is the error that tells a person most: of a Sentinel that answers, then of one
// that nothing can be said to, then of one that is not there. It is always the same of
// several, so that a message does not alternate.
func (s *sentinels) gravest(failed []*sentinelError, answered int) error {
	rank := func(e *sentinelError) int {
		_, insecure := explainTLS(e.err, "")
		switch {
		case errors.As(e.err, new(redis.Error)):
			return 0
		case errors.As(e.err, new(*SecretError)):
			return 1
		case insecure:
			return 2
		default:
			return 3
		}
	}
	gravest := *slices.MinFunc(failed, func(a, b *sentinelError) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.address, b.address))
	})
	gravest.answered = answered
	return &gravest
}
