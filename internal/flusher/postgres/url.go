// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"net/url"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/writebehind/operator/api/v1alpha1"
	"github.com/writebehind/operator/internal/flusher/entry"
)

const percentEncode = "give " + exampleURL + ", with special characters of the user and the password percent-encoded (@ is %40, : is %3A, / is %2F, # is %23, ? is %3F, % is %25)"

// inQuotes is what helps with keywords and values that cannot be taken apart.
const inQuotes = "give " + exampleURL + ", or keywords and values (host=... user=... password='...' dbname=...) of which one with a space, a quotation mark or a backslash " +
	"stands in single quotation marks, with a backslash before each ' and \\ in it"

// inForce is the URL itself, which no message may quote.
func (s *source) inForce() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text
}

// shapeless is an error of a URL that cannot be taken apart.
func (s *source) shapeless(more string) error {
	hint := percentEncode
	if !strings.Contains(s.inForce(), "://") {
		hint = inQuotes
	}
	return &Error{
		Kind: entry.Transient, reason: v1alpha1.ReasonInvalidURL,
		remedy: "the connection URL in " + s.place() + " cannot be parsed: " + hint + more,
	}
}

// scheme is how a URL begins.
var scheme = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9+.:_-]*)://`)

// form checks what can be found out about a URL without parsing it.
func (s *source) form(text string) error {
	found := scheme.FindStringSubmatch(text)
	switch {
	case found != nil && strings.ContainsAny(text, "\r\n"):
		return s.invalid("it has several lines: give one URL alone")
	case text[0] == '"' || text[0] == '\'' && strings.HasSuffix(text, "'"):
		return s.invalid("it stands in quotation marks: leave them out")
	case found == nil && strings.Contains(text, "postgres") && strings.Contains(text, "://"):
		return s.invalid("it does not begin with postgres://: remove what precedes it")
	case found == nil || found[1] == "postgres" || found[1] == "postgresql":
		return nil
	case strings.HasPrefix(found[1], "jdbc:"):
		return s.invalid("it is one of JDBC: give " + exampleURL + ", with user and password in it")
	case strings.HasPrefix(found[1], "postgres") && strings.Contains(found[1], "+"):
		return s.invalid("it names a driver behind a +, as SQLAlchemy does: let it begin with postgres://")
	}
	return s.invalid("it does not begin with postgres:// or postgresql://: give " + exampleURL)
}

// hostName is what a host can look like; an address of IPv6 may have a zone. A
// directory is where a socket is.
var hostName = regexp.MustCompile(`^([\p{L}\p{N}._-]+|[0-9A-Fa-f:.]+(%[A-Za-z0-9._-]+)?|[/@].*)$`)

// hosts reports whether all that the driver takes for hosts can be some, and whether they
// are for certain. A / or @ in a password that stands for itself makes the rest of the
// password, or the user, look like a host; nothing of such a URL may be shown.
func hosts(text string, c *pgx.ConnConfig) (possible, certain bool) {
	names := []string{c.Host}
	for _, f := range c.Fallbacks {
		names = append(names, f.Host)
	}
	for _, name := range names {
		if !hostName.MatchString(name) {
			return false, false
		}
	}
	if prefix := scheme.FindString(text); prefix != "" {
		rest := text[len(prefix):]
		if at := strings.IndexAny(rest, "@/"); at >= 0 && rest[at] == '@' {
			rest = rest[at+1:]
		}
		return true, !strings.Contains(rest, "@")
	}
	// In keywords and values a space within a password that is not quoted makes the rest
	// of it another keyword, or a second one of the same name.
	seen := make(map[string]bool)
	for _, word := range keyword.FindAllStringSubmatch(text, -1) {
		if seen[word[1]] {
			return true, false
		}
		seen[word[1]] = true
	}
	for name := range c.RuntimeParams {
		if !unneeded[name] && !ownSettings[name] {
			return true, false
		}
	}
	return true, true
}

// ownSettings are settings of the server that URLs have as a rule.
var ownSettings = map[string]bool{
	"application_name": true, "fallback_application_name": true, "options": true, "search_path": true, "timezone": true,
	"gssencmode": true, "statement_timeout": true, "lock_timeout": true, "default_transaction_read_only": true,
}

// keyword is the name of one pair of keywords and values.
var keyword = regexp.MustCompile(`(?:^|\s)([A-Za-z_]+)\s*=`)

// doubtOf is said of a URL that may be none of what it looks like.
func doubtOf(text string) string {
	if !strings.Contains(text, "://") {
		return "; in the URL a space of the user or the password seems to stand for itself: put the value in single quotation marks (password='...')"
	}
	return "; in the URL an @ or a / of the user or the password seems to stand for itself: percent-encode it (@ is %40, / is %2F)"
}

// passwordFor is a colon that no port follows.
var passwordFor = regexp.MustCompile(`:[^0-9]`)

// unpaired says which parameter of a URL is the first that has no value, or more than
// one. Only what is certain to be a parameter is named: where a ? of the password stands
// for itself, the host comes behind.
func unpaired(text string) string {
	prefix := scheme.FindString(text)
	place, query, ok := strings.Cut(strings.TrimPrefix(text, prefix), "?")
	if prefix == "" || !ok || strings.Contains(query, "@") || !strings.Contains(place, "@") && passwordFor.MatchString(place) {
		return ""
	}
	for pair := range strings.SplitSeq(query, "&") {
		escaped, value, ok := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(escaped)
		switch {
		case pair == "":
			return "one of its parameters is empty: leave out the & that is too many"
		case err != nil || !parameterName.MatchString(name):
		case !ok:
			return "its parameter " + name + " has no value: give " + name + "=value, or leave it out"
		case strings.Contains(value, "="):
			return "its parameter " + name + " has a second =: write %3D for one within the value"
		}
	}
	return ""
}

// setByOptions are the settings that a value of the parameter options sets.
var setByOptions = regexp.MustCompile(`(?:^|\s)(?:-c\s*|--)([A-Za-z_][A-Za-z0-9_.-]*)`)

// refused names the parameter of the URL that the server's words name. They may quote its
// value too, which stands behind.
func (e *connectFailure) refused(words string) string {
	if !e.certain {
		return ""
	}
	options := e.config.RuntimeParams["options"]
	where := make(map[string]string)
	for name := range e.config.RuntimeParams {
		where[name] = ""
	}
	for _, set := range setByOptions.FindAllStringSubmatch(options, -1) {
		where[strings.ReplaceAll(set[1], "-", "_")] = " in options"
	}
	first, found := len(words), ""
	for name, of := range where {
		if !parameterName.MatchString(name) || name == "client_encoding" {
			continue
		}
		at := regexp.MustCompile(`(?i)(^|[^a-z0-9_.])` + regexp.QuoteMeta(name) + `($|[^a-z0-9_.])`).FindStringIndex(words)
		if at != nil && at[0] < first {
			first, found = at[0], ": "+name+of
		}
	}
	if found == "" && options != "" {
		return ": options"
	}
	return found
}
