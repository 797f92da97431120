-- Copyright 2026 The Write-Behind Operator Authors
-- SPDX-License-Identifier: Apache-2.0

-- What every call of an application, or of a person, is checked for.

-- look_up checks what every capture call has in common and finds the entry of
-- its key. It reads every journal key that a write touches, so that one of a
-- wrong type is met before anything is changed. It returns the facts, or nil and
-- an error.
local function look_up(keys, args, arguments, usage)
  if #keys ~= 1 or #args ~= arguments then
    return nil, fail('WBARGS', 'wrong number of arguments: give ' .. usage)
  end
  local key, queue = keys[1], args[1]
  local settings = queue_key(queue)
  local s = redis.call('HMGET', settings,
    'prefix', 'partitions', 'state', 'mode', 'encoding', 'max', 'full', 'depth', 'since')
  if not s[2] then
    return nil, fail('WBNOQUEUE', 'there is no queue ' .. queue .. ' in this Redis: is its flusher running?')
  end
  local prefix = s[1]
  if #key <= #prefix or string.sub(key, 1, #prefix) ~= prefix then
    return nil, fail('WBARGS', 'KEY must begin with ' .. prefix .. ' and go on after it: queue ' .. queue .. ' holds no other keys')
  end
  local base = partition_prefix(queue, partition_of(key, s[2]))
  return {
    key = key, queue = queue, settings = settings, state = s[3], mode = s[4], encoding = s[5],
    max = tonumber(s[6]), full = s[7], depth = tonumber(s[8]), since = s[9],
    base = base, entry = redis.call('HGET', base .. 'ops', key),
  }
end

-- check_writable refuses a write that the queue does not take. A key that is
-- dirty already does not grow the queue and is always taken.
local function check_writable(at)
  if at.mode ~= 'Latest' or at.encoding ~= 'JSON' then
    return fail('WBMODE', 'queue ' .. at.queue .. ' has mode ' .. at.mode .. ' and encoding ' .. at.encoding)
  end
  if at.state ~= 'open' then
    return fail('WBPAUSED', 'queue ' .. at.queue .. ' takes no writes: it is being drained or was retired')
  end
  if not at.entry and at.full == 'Reject' and at.depth >= at.max then
    return fail('WBFULL', 'queue ' .. at.queue .. ' holds ' .. digits(at.depth) .. ' entries of at most ' .. digits(at.max))
  end
end

-- check_types refuses a key that holds something else than a string, which SET
-- would throw away, and meets a journal key of a wrong type.
local function check_types(at)
  local kind = redis.call('TYPE', at.key).ok
  if kind ~= 'string' and kind ~= 'none' then
    return fail('WRONGTYPE', 'KEY holds a ' .. kind .. ', which was not written by wb_set')
  end
  if not at.entry then redis.call('LLEN', at.base .. 'q') end
end

-- fits_mode refuses what reads or caches documents where the queue holds something else.
local function fits_mode(at)
  if at.mode ~= 'Latest' or at.encoding ~= 'JSON' then return check_writable(at) end
end
