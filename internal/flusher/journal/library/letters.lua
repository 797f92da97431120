-- Copyright 2026 The Write-Behind Operator Authors
-- SPDX-License-Identifier: Apache-2.0

-- Dead letters, and how they are read.

-- put_letter makes the key's dead letter. What stood there of an earlier one goes, or a
-- letter without a payload would come to have that one's. Returns 1 if there was none.
local function put_letter(base, key, known, payload)
  if payload and payload ~= '' then
    redis.call('HSET', base .. 'payloads', key, payload)
  else
    redis.call('HDEL', base .. 'payloads', key)
  end
  return redis.call('HSET', base .. 'dlq', key, known)
end

-- drop_letters takes the keys' dead letters away and returns how many there were. What is
-- left of letters that somebody deleted by hand goes with it.
local function drop_letters(base, keys)
  if #keys == 0 then return 0 end
  if redis.call('HLEN', base .. 'dlq') == 0 then
    redis.call('UNLINK', base .. 'payloads')
    return 0
  end
  local dropped = 0
  in_chunks(keys, function(from, to)
    redis.call('HDEL', base .. 'payloads', unpack(keys, from, to))
    dropped = dropped + redis.call('HDEL', base .. 'dlq', unpack(keys, from, to))
  end)
  return dropped
end

-- parts_of returns what is known of a key's dead letter, and its payload.
local function parts_of(base, key, letter)
  local known, payload = string.match(letter, '^([^\n]*)\n(.*)$')
  if known then return known, payload end
  return letter, redis.call('HGET', base .. 'payloads', key) or ''
end

-- is_named tells whether a caller means this dead letter of the key. It gives what is known
-- of it or, as the release before this one does, that, a line feed and the payload.
local function is_named(base, key, letter, name)
  if not letter then return false end
  if letter == name or string.sub(letter, 1, #name + 1) == name .. '\n' then return true end
  if string.sub(name, 1, #letter + 1) ~= letter .. '\n' then return false end
  local _, payload = parts_of(base, key, letter)
  return string.sub(name, #letter + 2) == payload
end

-- wb_engine_letters 0 QUEUE P CURSOR COUNT: some dead letters of a partition, as the
-- release before this one reads them. Returns the next cursor, 0 at the end, and key,
-- letter in turn: what is known, a line feed, the payload.
local function engine_letters(_, args)
  local base = partition_prefix(args[1], args[2])
  local scan = redis.call('HSCAN', base .. 'dlq', args[3], 'COUNT', args[4])
  for i = 1, #scan[2], 2 do
    scan[2][i + 1] = table.concat({ parts_of(base, scan[2][i], scan[2][i + 1]) }, '\n')
  end
  return scan
end

-- wb_engine_known tells what is known of some dead letters of a partition, without the
-- payloads: about count of them, fewer where letters of library 4 are large, since Redis
-- has to touch bytes of them. Returns the next cursor, 0 at the end, and key and what is
-- known in turn.
local engine_known = by_name({ 'queue', 'partition', 'cursor', 'count', 'bytes' }, function(call)
  local dlq, cursor = partition_prefix(call.queue, call.partition) .. 'dlq', call.cursor
  local most, bytes, found = tonumber(call.count), tonumber(call.bytes), {}
  -- HSCAN reads the letters whole: one bucket at a time tells in time that they are large.
  local stride = '1'
  repeat
    local scan = redis.call('HSCAN', dlq, cursor, 'COUNT', stride)
    cursor = scan[1]
    local read = 0
    for i = 1, #scan[2], 2 do
      local letter = scan[2][i + 1]
      local known = string.match(letter, '^[^\n]*')
      found[#found + 1] = scan[2][i]
      found[#found + 1] = known
      read = read + #letter
    end
    bytes = bytes - read
    if read < 4096 then stride = '10' else stride = '1' end
  until cursor == '0' or #found >= 2 * most or bytes <= 0
  return { cursor, found }
end)

-- wb_engine_letter 1 KEY QUEUE: what is known of the key's dead letter and its payload,
-- or nil.
local function engine_letter(keys, args)
  local at, err = look_up(keys, args, 1, 'wb_engine_letter 1 KEY QUEUE')
  if not at then return err end
  local letter = redis.call('HGET', at.base .. 'dlq', at.key)
  return letter and { parts_of(at.base, at.key, letter) }
end
