-- Copyright 2026 The Write-Behind Operator Authors
-- SPDX-License-Identifier: Apache-2.0

-- Dead letters are replayed, or discarded.

-- find_letter returns a key's place in the journal and its dead letter.
local function find_letter(keys, args, usage)
  local at, err = look_up(keys, args, 2, usage)
  if not at then return nil, nil, err end
  local letter = redis.call('HGET', at.base .. 'dlq', at.key)
  if not is_named(at.base, at.key, letter, args[2]) then
    return nil, nil, fail('WBNOLETTER', 'KEY has no such dead letter any more')
  end
  return at, letter
end

local function bury(at, counter)
  drop_letters(at.base, { at.key })
  redis.call('HINCRBY', at.settings, 'depth', -1)
  redis.call('HINCRBY', at.base .. 'meta', counter, 1)
end

-- wb_engine_replay 1 KEY QUEUE LETTER: writes a dead letter's payload anew, as a new
-- write with a new version, if LETTER is still the key's dead letter and nothing
-- newer was written. Returns the version.
local function engine_replay(keys, args)
  local at, letter, err = find_letter(keys, args, 'wb_engine_replay 1 KEY QUEUE LETTER')
  if not at then return err end
  if at.entry then
    return fail('WBSUPERSEDED', 'KEY was written again: the newer write stands')
  end
  local known, payload = parts_of(at.base, at.key, letter)
  local read, letter_says = pcall(cjson.decode, known)
  local operation = read and type(letter_says) == 'table' and letter_says.operation
  if operation ~= 'set' and operation ~= 'delete' then
    return fail('WBARGS', 'this dead letter is not in the format of the journal: it can only be discarded')
  end
  if operation == 'set' and payload == '' then
    return fail('WBARGS', 'the payload of this dead letter is lost: there is nothing to replay')
  end
  err = check_types(at)
  if err then return err end
  local version
  if operation == 'set' then
    version = journal_then(at, 's', 'SET', payload)
  else
    version = journal_then(at, 'd', 'DEL')
  end
  if not refused(version) then bury(at, 'superseded') end
  return version
end

-- wb_engine_discard 1 KEY QUEUE LETTER: gives a dead letter up, if LETTER is still
-- the key's. A value that nobody will flush gets its TTL, so that the cache comes to
-- agree with the database. Returns 1. With the partition P behind them a letter goes too
-- that stands where no function has put it, as under a key outside of the prefix; that key
-- is left alone.
local function engine_discard(keys, args)
  local p = table.remove(args, 3)
  local s = redis.call('HMGET', queue_key(args[1] or ''), 'prefix', 'partitions')
  if p and s[2] and #keys == 1 and #args == 2 then
    local key, base = keys[1], partition_prefix(args[1], p)
    local placed = string.sub(key, 1, #s[1]) == s[1] and #key > #s[1] and partition_of(key, s[2]) == p
    local letter = not placed and redis.call('HGET', base .. 'dlq', key)
    if is_named(base, key, letter, args[2]) then
      drop_letters(base, { key })
      redis.call('HINCRBY', queue_key(args[1]), 'depth', -1)
      return 1
    end
  end
  local at, _, err = find_letter(keys, args, 'wb_engine_discard 1 KEY QUEUE LETTER')
  if not at then return err end
  bury(at, 'discarded')
  local ttl = redis.call('HGET', at.settings, 'ttl')
  if not at.entry and ttl ~= '0' then redis.call('PEXPIRE', at.key, ttl) end
  return 1
end
