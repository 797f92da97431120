-- Copyright 2026 The Write-Behind Operator Authors
-- SPDX-License-Identifier: Apache-2.0

-- An entry and its fields. Nothing else knows how they are written.

local function pack(op, attempts, version, first, writes)
  return op .. attempts .. ':' .. version .. ':' .. first .. ':' .. writes
end

-- Of what is no entry every number is 0: it is claimed at once, and dropped.
local function unpack_entry(entry)
  local op, attempts, version, first, writes = string.match(entry, '^(%a)(%d+):(%d+):(%d+):(%d+)')
  if not op then return 's', '0', '0', '0', '0' end
  return op, attempts, version, first, writes
end
