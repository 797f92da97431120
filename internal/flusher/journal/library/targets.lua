-- Copyright 2026 The Write-Behind Operator Authors
-- SPDX-License-Identifier: Apache-2.0

-- Where the entries of a queue go: every flusher has to name the same table of one database.

-- OWNER_FILE is the owner of every config file that names none: two of them may be two
-- configs as well as two versions of one.
local OWNER_FILE = 'file'

-- same_target tells whether two targets are one. Of the lines that only one of them has
-- the other tells nothing.
local function same_target(one, other)
  local lines = string.gmatch(other, '[^\n]+')
  for line in string.gmatch(one, '[^\n]+') do
    local theirs = lines()
    if theirs and theirs ~= line then return false end
  end
  return true
end

-- words_of tells what of a target is not as in the other, for a message: there may be two
-- hundred columns.
local function words_of(target, other)
  local words, lines = nil, string.gmatch(other, '[^\n]+')
  for line in string.gmatch(target, '[^\n]+') do
    local differs = line ~= lines()
    if words and differs then words = words .. ' with ' .. line end
    if not words then
      words = line
      if differs then break end
    end
  end
  words = string.gsub(words or target, '[%z%c]', '?')
  if #words > 500 then return string.sub(words, 1, 500) .. '...' end
  return words
end

-- contradicts tells in an error that a config names other keys, another table or other
-- columns for the queue than the one in force, s.
local function contradicts(queue, s, owner, target)
  local text = 'queue ' .. queue .. ' (keyPrefix ' .. s.prefix .. ') is flushed'
  if s.target then text = text .. ' into ' .. words_of(s.target, target) end
  if s.owner == owner and owner ~= OWNER_FILE then
    return fail('WBCONFLICT', text .. ' by revision ' .. s.target_revision .. ' of this config, and this one is another: ' ..
      'bring every flusher to one revision')
  end
  return fail('WBCONFLICT', text .. ' by another config (owner ' .. s.owner .. '), and this one names something else: ' ..
    'give its mapping another name and keyPrefix, or stop the flushers of the other one')
end

-- home_of takes a home apart: what the database says that it is, how new the URL is that leads
-- there (the higher, the newer), the config's owner, and a name for a person. Where there is none
-- it returns nil.
local function home_of(home)
  return string.match(home or '', '^([^\n]+)\n(%d+)\n([^\n]*)\n(.*)$')
end

-- elsewhere tells in an error that others hold partitions whose epochs were begun at
-- another database than the one that the home of this member names. Where they are of the
-- same config and have an older URL it returns their leases instead. present is the identity
-- of the queue's last epoch: as long as it is this one, nobody is looked at. Who has not
-- looked at its database yet waits until it has.
local function elsewhere(queue, prefix, partitions, present, member, home)
  local id, age, owner, name = home_of(home)
  local waits = home == '?'
  if not (id or waits) or not present or present == id then return nil, {} end
  local now, theirs = now_ms(), {}
  for p = 0, tonumber(partitions) - 1 do
    local key = partition_prefix(queue, p) .. 'lease'
    local l = redis.call('HMGET', key, 'owner', 'expiry', 'home')
    local at, before, whose, called = home_of(l[3])
    if at and at ~= id and l[1] ~= member and runs(tonumber(l[2]), now, LONGEST_LEASE) then
      if waits then return fail('WBWAIT', 'others flush queue ' .. queue .. ', and it is not known yet whether to the same database') end
      if whose ~= owner or owner == OWNER_FILE or not higher(age, before) then
        local text = 'queue ' .. queue .. ' (keyPrefix ' .. prefix .. ') is flushed into database ' .. called .. ' (' .. at ..
          ') by other flushers, and the URL of this one leads to another database, ' .. name .. ' (' .. id ..
          '): give all of them the URL of one database, or this mapping another name and keyPrefix, or stop the other flushers; ' ..
          'if the database has moved, this ends as soon as they have its new URL; ' ..
          'the numbers are system_identifier of pg_control_system() and the oid of the database in pg_database'
        return fail('WBCONFLICT', (string.gsub(text, '[%z%c]', '?')))
      end
      theirs[#theirs + 1] = key
    end
  end
  return nil, theirs
end

-- ledger_of returns the schema of the ledger that a target names, or nil.
local function ledger_of(target)
  return string.match(string.match(target, '^[^\n]*'), '%(ledger in schema (.+)%)$')
end
