// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"errors"
	"strings"
	"testing"

	"github.com/writebehind/operator/internal/flusher/entry"
)

func TestOnlyCanonicalKeysAreTaken(t *testing.T) {
	t.Parallel()
	const uuid = "0123abcd-4567-89ef-0123-456789abcdef"
	for name, test := range map[string]struct {
		kind   keyKind
		length int
		key    string
		state  string
	}{
		"zero":                                      {keyInt8, 0, "0", ""},
		"a number":                                  {keyInt8, 0, "1234567890", ""},
		"a negative number":                         {keyInt8, 0, "-5", ""},
		"the greatest bigint":                       {keyInt8, 0, "9223372036854775807", ""},
		"the least bigint":                          {keyInt8, 0, "-9223372036854775808", ""},
		"beyond the greatest bigint":                {keyInt8, 0, "9223372036854775808", "22003"},
		"far beyond it":                             {keyInt8, 0, "99999999999999999999999999", "22003"},
		"the greatest integer":                      {keyInt4, 0, "2147483647", ""},
		"beyond the greatest integer":               {keyInt4, 0, "2147483648", "22003"},
		"the least integer":                         {keyInt4, 0, "-2147483648", ""},
		"below the least integer":                   {keyInt4, 0, "-2147483649", "22003"},
		"the greatest smallint":                     {keyInt2, 0, "32767", ""},
		"beyond the greatest smallint":              {keyInt2, 0, "32768", "22003"},
		"an empty number":                           {keyInt8, 0, "", "22P02"},
		"a minus alone":                             {keyInt8, 0, "-", "22P02"},
		"a leading zero":                            {keyInt8, 0, "01", "22P02"},
		"a leading zero far beyond":                 {keyInt8, 0, "099999999999999999999999", "22P02"},
		"minus zero":                                {keyInt8, 0, "-0", "22P02"},
		"a plus sign":                               {keyInt8, 0, "+1", "22P02"},
		"a space before":                            {keyInt8, 0, " 1", "22P02"},
		"a space after":                             {keyInt8, 0, "1 ", "22P02"},
		"a fraction":                                {keyInt8, 0, "1.0", "22P02"},
		"an exponent":                               {keyInt8, 0, "1e3", "22P02"},
		"hexadecimal":                               {keyInt8, 0, "0x10", "22P02"},
		"an underscore":                             {keyInt8, 0, "1_000", "22P02"},
		"a word":                                    {keyInt8, 0, "abc", "22P02"},
		"digits of another script":                  {keyInt8, 0, "١٢", "22P02"},
		"a uuid":                                    {keyUUID, 0, uuid, ""},
		"a uuid in upper case":                      {keyUUID, 0, strings.ToUpper(uuid), "22P02"},
		"a uuid without hyphens":                    {keyUUID, 0, strings.ReplaceAll(uuid, "-", ""), "22P02"},
		"a uuid in braces":                          {keyUUID, 0, "{" + uuid + "}", "22P02"},
		"a uuid with hyphens elsewhere":             {keyUUID, 0, "0123abcd4-567-89ef-0123-456789abcdef", "22P02"},
		"a uuid with another letter":                {keyUUID, 0, "g123abcd-4567-89ef-0123-456789abcdef", "22P02"},
		"a text":                                    {keyText, 0, "anything: goes / here ✓", ""},
		"a text with spaces at its ends":            {keyText, 0, " x ", ""},
		"a text with U+0000":                        {keyText, 0, "a\x00b", "22021"},
		"a text that is no UTF-8":                   {keyText, 0, "a\xff", "22021"},
		"a text as long as its column":              {keyText, 3, "żół", ""},
		"a text longer than its column":             {keyText, 3, "żółw", "22001"},
		"spaces longer than the column":             {keyText, 3, "abc ", "22001"},
		"a very long key, of which a part is shown": {keyInt8, 0, strings.Repeat("x", 10000), "22P02"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := key{column: column{shown: "its type"}, kind: test.kind, length: test.length}
			_, err := k.check(test.key)
			var e *entry.Unfit
			switch {
			case test.state == "" && err != nil:
				t.Errorf("%q is refused: %v", test.key, err)
			case test.state != "" && (!errors.As(err, &e) || e.SQLSTATE != test.state):
				t.Errorf("%q gives %v; want SQLSTATE %s", test.key, err, test.state)
			case err != nil && len(err.Error()) > 300:
				t.Errorf("The error is %d bytes long", len(err.Error()))
			}
		})
	}
}
