-- Copyright 2026 The Write-Behind Operator Authors
-- SPDX-License-Identifier: Apache-2.0

-- An entry and its fields. Nothing else in the library knows how they are written.
--
-- An entry is one string, OA:V:F:W, so that an acknowledgement can compare it whole: O
-- is s (set) or d (delete), A the attempts of this version that the database refused, V
-- the newest version, F the lowest version that may still be missing from the database,
-- W the writes that it stands for. After a refusal :T follows, the time of the first one
-- in µs since 1970.

-- A field is a string of digits or a number that Lua writes without an exponent; since is
-- T, or nil.
local function pack_entry(op, attempts, version, first, writes, since)
  local entry = op .. attempts .. ':' .. version .. ':' .. first .. ':' .. writes
  if since then return entry .. ':' .. since end
  return entry
end

-- unpack_entry returns the fields in the order of pack_entry. Of what is no entry every
-- number is 0: it is claimed at once, and dropped.
local function unpack_entry(entry)
  local op, attempts, version, first, writes, since = string.match(entry, '^(%a)(%d+):(%d+):(%d+):(%d+):?(%d*)')
  if not op then return 's', '0', '0', '0', '0' end
  if since == '' then since = nil end
  return op, attempts, version, first, writes, since
end

-- What follows reads one field, for loops over many entries.

local function first_of(entry)
  local _, _, _, first = unpack_entry(entry)
  return first
end

-- version_of returns nil of what is no entry.
local function version_of(entry)
  return string.match(entry, '^%a%d+:(%d+)')
end

local function is_set(entry)
  return string.sub(entry, 1, 1) == 's'
end

-- is_fresh tells whether the database has not refused this version yet.
local function is_fresh(entry)
  return string.sub(entry, 2, 3) == '0:'
end
