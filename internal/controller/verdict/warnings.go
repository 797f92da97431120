// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package verdict

import (
	"slices"

	"github.com/writebehind/operator/internal/flusher/config"
)

// databaseWarnings is what each warning about the database means, and what ends it.
var databaseWarnings = map[string]string{
	config.WarningUnencrypted: "its connection is not encrypted, so the network reads rows and password: set database.postgres.tls, " +
		"or sslmode=verify-full in the URL",
	config.WarningAdministrator: "its role is a superuser: give the URL of a role of its own, with the rights of docs/security.md#postgresql",
}

// redisWarnings is what each warning about Redis means, and what ends it. Whose user a managed
// Redis knows is not for the resource to say.
func (f *facts) redisWarnings() map[string]string {
	const readable = "its connection is not encrypted, so the network reads values and password: set "
	if f.Managed() {
		return map[string]string{config.WarningUnencrypted: readable + "redis.managed.tls"}
	}
	return map[string]string{
		config.WarningUnencrypted:   readable + "redis.external.tls",
		config.WarningAdministrator: "its user may administrate it: give flushers a user of their own, with the rights of docs/security.md#the-flushers-user",
	}
}

// warnedOf is what a condition that is well says of what flushers warn of. A warning changes no
// status: data flows. The words are the operator's own, since those of a Pod are no advice to
// follow.
func warnedOf(f *facts, of func(*config.Warnings) []string, meaning map[string]string) (text string) {
	for _, warning := range []string{config.WarningUnencrypted, config.WarningAdministrator} {
		told := slices.ContainsFunc(f.documents, func(d *config.Status) bool { return slices.Contains(of(&d.Warnings), warning) })
		if told {
			text += clause(meaning[warning])
		}
	}
	return text
}
