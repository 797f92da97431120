-- Copyright 2026 The Write-Behind Operator Authors
-- SPDX-License-Identifier: Apache-2.0

-- The list of all queues: no two of them share keys.

-- The list of all queues of this Redis. It is in the order of the prefixes, and none of
-- them begins another, so the neighbours of a prefix are all that it can meet.
local QUEUES = 'wb:queues'

-- An empty queue keeps its prefix for so long after its last flusher was seen, in ms: a
-- flusher that starts anew must not find that another queue has taken it.
local KEPT_FREE = 10000

-- has_prefix tells whether a queue on the list still goes on with the prefix: somebody
-- flushes it, or did a moment ago, or it holds something.
local function has_prefix(queue, prefix, now)
  local s = redis.call('HMGET', queue_key(queue), 'prefix', 'partitions', 'seen')
  if s[1] ~= prefix then return false end
  return runs(tonumber(s[3] or 0) + KEPT_FREE, now, KEPT_FREE) or total_depth(queue, s[2]) > 0
end

-- met returns name and prefix of the first among elements of the list that is not the
-- present one, if keys of its prefix are keys of the other.
local function met(elements, present, prefix)
  for _, element in ipairs(elements) do
    if element ~= present then
      local theirs, name = string.match(element, '^(.*)%z(.*)$')
      local short = math.min(#theirs, #prefix)
      if string.sub(theirs, 1, short) == string.sub(prefix, 1, short) then return name, theirs end
      return nil
    end
  end
end

-- rival_of returns name and prefix of another queue that has keys of this prefix, or nil.
-- What is on the list and gone is taken off on the way. O(log n) in the queues.
local function rival_of(queue, prefix, now)
  local at = prefix .. '\1'
  -- Of two neighbours one may be the queue itself, with the prefix that it has until now.
  local present = (redis.call('HGET', queue_key(queue), 'prefix') or '') .. '\0' .. queue
  while true do
    local name, theirs = met(redis.call('ZREVRANGEBYLEX', QUEUES, '(' .. at, '-', 'LIMIT', 0, 2), present, prefix)
    if not name then
      name, theirs = met(redis.call('ZRANGEBYLEX', QUEUES, '[' .. at, '+', 'LIMIT', 0, 2), present, prefix)
    end
    if not name or name ~= queue and has_prefix(name, theirs, now) then return name, theirs end
    redis.call('ZREM', QUEUES, theirs .. '\0' .. name)
  end
end

-- enlist puts the queue on the list, if it is not there yet, or tells in an error which
-- queue has keys of its prefix: the acknowledgement of one would give a time to live to a
-- key that is dirty in the other.
local function enlist(queue, prefix, now)
  local element = prefix .. '\0' .. queue
  if redis.call('ZSCORE', QUEUES, element) then return nil end
  local name, theirs = rival_of(queue, prefix, now)
  if name then
    local text = 'queue ' .. queue .. ' (keyPrefix ' .. prefix .. ') shares keys with queue ' .. name ..
      ' (keyPrefix ' .. theirs .. '), which this Redis has already: give it another keyPrefix, or let queue ' .. name ..
      ' be flushed and stop its flushers'
    -- A NUL would end the text.
    return fail('WBCONFLICT', (string.gsub(text, '[%z%c]', '?')))
  end
  redis.call('ZADD', QUEUES, 0, element)
end
