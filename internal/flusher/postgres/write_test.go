// Copyright 2026 The Write-Behind Operator Authors
// SPDX-License-Identifier: Apache-2.0

package postgres

import "testing"

func TestSmoke(t *testing.T) {
	t.Parallel()
	server, d := open(t, benchSchema)
	o := own(t, d, readTable(t, d, mapping("products")), 3)
	o.write(t, "1", string(benchDocument(1)), "2", string(benchDocument(2)))
	o.write(t, "2", "", "3", string(benchDocument(3)))
	equal(t, server, "SELECT id, name, price FROM products ORDER BY id", "1|Product number 1|1.01", "3|Product number 3|3.03")
}
