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
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/writebehind/operator/internal/flusher/config"
)

// rightsInterval is how often it is asked what the user may do. A user without the right to
// ask is refused, and each refusal is a line of Redis' ACL LOG: one an hour is no nuisance.
const rightsInterval = time.Hour

// Account says how safe the way to Redis is, and how much the user may do there. It is for one
// goroutine, but for Warnings.
type Account struct {
	settings config.RedisExternal
	rdb      *redis.Client
	// asked is when and of whom Redis was last asked.
	asked time.Time
	user  string
	found atomic.Pointer[[]string]
}

// NewAccount is of the user that Dial would use.
func NewAccount(settings config.RedisExternal, rdb *redis.Client) *Account {
	return &Account{settings: settings, rdb: rdb}
}

// Warnings are what Look has found last, in words of package config.
func (a *Account) Warnings() []string {
	if found := a.found.Load(); found != nil {
		return *found
	}
	return nil
}

// Look finds out anew what Warnings tells, where that may have changed. It is for a Redis that
// works: what it cannot find out leaves the answer as it was.
func (a *Account) Look(ctx context.Context) {
	user, _, err := Credentials(a.settings)
	user = cmp.Or(user, "default")
	if err != nil || user == a.user && time.Since(a.asked) < rightsInterval {
		return
	}
	administrator, err := a.administrates(ctx, user)
	if err != nil {
		return
	}
	a.user, a.asked = user, time.Now()
	var found []string
	if a.settings.TLS == nil && !withinMachine(a.settings.Addresses) {
		found = append(found, config.WarningUnencrypted)
	}
	if administrator {
		found = append(found, config.WarningAdministrator)
	}
	a.found.Store(&found)
}

// administrates tells whether the user may give rights, and so may do everything. Only such a
// user is told what rights there are.
func (a *Account) administrates(ctx context.Context, user string) (bool, error) {
	answer, err := a.rdb.Do(ctx, "ACL", "GETUSER", user).Result()
	var refusal redis.Error
	switch {
	case errors.As(err, &refusal):
		// NOPERM; or a service that has no such command, whose users never administrate.
		return false, nil
	case err != nil:
		return false, fmt.Errorf("ask for the rights of the user: %w", err)
	}
	return givesRights(rulesOf(answer)), nil
}

// rulesOf is the field commands of ACL GETUSER's answer, which is a map or, in the older
// protocol, a list of names and values.
func rulesOf(answer any) string {
	switch answer := answer.(type) {
	case map[any]any:
		return fmt.Sprint(answer["commands"])
	case []any:
		for i := 0; i+1 < len(answer); i += 2 {
			if fmt.Sprint(answer[i]) == "commands" {
				return fmt.Sprint(answer[i+1])
			}
		}
	}
	return ""
}

// givesRights tells of rules, of which the last that fits decides, whether ACL SETUSER is
// allowed.
func givesRights(commands string) bool {
	allowed := false
	for rule := range strings.FieldsSeq(commands) {
		if slices.Contains([]string{"all", "@all", "@admin", "@dangerous", "@slow", "acl", "acl|setuser"}, rule[1:]) {
			allowed = rule[0] == '+'
		}
	}
	return allowed
}

// withinMachine tells whether every host is this machine, as far as its name says.
func withinMachine(addresses []string) bool {
	for _, address := range addresses {
		host, _, err := net.SplitHostPort(address)
		if err != nil || host != "localhost" && !net.ParseIP(host).IsLoopback() {
			return false
		}
	}
	return true
}
