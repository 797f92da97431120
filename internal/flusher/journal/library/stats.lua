-- Copyright 2026 The Write-Behind Operator Authors
-- SPDX-License-Identifier: Apache-2.0

-- What applications and flushers are told of a queue.

-- FCALL_RO wb_pending 1 KEY QUEUE. Returns the lowest version of KEY that may
-- still be missing from the database, nil when there is none, and WBDEAD while the
-- newest write is a dead letter. O(1).
local function wb_pending(keys, args)
  local at, err = look_up(keys, args, 1, 'wb_pending 1 KEY QUEUE')
  if not at then return err end
  if not at.entry then
    if redis.call('HEXISTS', at.base .. 'dlq', at.key) == 1 then
      return fail('WBDEAD', 'the newest write of KEY is a dead letter: the database refused it')
    end
    return false
  end
  return tonumber(first_of(at.entry))
end

local function total_depth(queue, partitions)
  local depth = 0
  for p = 0, tonumber(partitions) - 1 do
    local base = partition_prefix(queue, p)
    depth = depth + redis.call('HLEN', base .. 'ops') + redis.call('HLEN', base .. 'dlq')
  end
  return depth
end

-- Times in retry that lie further ahead were noted before the clock was put back: five
-- minutes, in ms, are more than any refused entry waits.
local LONGEST_WAIT = 300000

-- retried_of returns how many refused entries stand at the head of q: a claim that
-- was not acknowledged has left them there.
local function retried_of(base)
  return math.max(0, redis.call('ZCARD', base .. 'late') - redis.call('ZCARD', base .. 'retry'))
end

-- oldest_of returns the first version of a partition's oldest entry, or nil.
-- Behind the few refused ones at its head, q begins with its oldest entry.
local function oldest_of(base)
  local oldest
  for i = 0, math.min(retried_of(base), 16) do
    local key = redis.call('LINDEX', base .. 'q', i)
    local entry = key and redis.call('HGET', base .. 'ops', key)
    if entry then
      oldest = math.min(oldest or math.huge, tonumber(first_of(entry)))
    end
  end
  if not oldest then
    local mend = redis.call('ZRANGE', base .. 'mend', 0, 0, 'WITHSCORES')
    if mend[2] then oldest = tonumber(mend[2]) end
  end
  local late = redis.call('ZRANGE', base .. 'late', 0, 0, 'WITHSCORES')
  if late[2] then oldest = math.min(oldest or math.huge, tonumber(late[2])) end
  return oldest
end

-- FCALL_RO wb_stats 0 QUEUE. Returns a flat array of name, value. O(partitions).
local function wb_stats(keys, args)
  if #keys ~= 0 or #args ~= 1 then
    return fail('WBARGS', 'wrong number of arguments: give wb_stats 0 QUEUE')
  end
  local queue = args[1]
  local s = redis.call('HMGET', queue_key(queue), 'partitions', 'writes', 'max', 'state', 'revision', 'journal')
  if not s[1] then
    return fail('WBNOQUEUE', 'there is no queue ' .. queue .. ' in this Redis: is its flusher running?')
  end
  local depth, dead, flushed, coalesced, loss, late, given_up = 0, 0, 0, 0, 0, 0, 0
  local oldest
  for p = 0, tonumber(s[1]) - 1 do
    local base = partition_prefix(queue, p)
    depth = depth + redis.call('HLEN', base .. 'ops')
    dead = dead + redis.call('HLEN', base .. 'dlq')
    late = late + redis.call('ZCARD', base .. 'late')
    local m = redis.call('HMGET', base .. 'meta', 'flushed', 'coalesced', 'data_loss', 'superseded', 'discarded')
    flushed = flushed + tonumber(m[1] or 0)
    coalesced = coalesced + tonumber(m[2] or 0)
    loss = loss + tonumber(m[3] or 0)
    given_up = given_up + tonumber(m[4] or 0) + tonumber(m[5] or 0)
    local first = oldest_of(base)
    if first then oldest = math.min(oldest or first, first) end
  end
  -- Every entry that is not flushed stands for one write, whether it is dirty,
  -- dead or given up; what it stands for beyond has been coalesced into it.
  local writes = tonumber(s[2])
  local pending = math.max(0, writes - flushed - coalesced - depth - dead - given_up)
  local age = 0
  if oldest then age = math.max(0, math.floor((now_us() - oldest) / 1000)) end
  return {
    'depth', depth, 'dead', dead, 'oldest_ms', age,
    'writes', writes, 'flushed', flushed, 'coalesced', coalesced + pending,
    'data_loss', loss, 'max', tonumber(s[3]), 'state', s[4],
    'revision', tonumber(s[5]), 'journal', s[6], 'library', LIBRARY,
    'refused', late,
  }
end

-- wb_engine_poll 0 QUEUE P...: what waits in the partitions. Returns how many partitions
-- were ever given back, so that others see at once that there are free ones, then how
-- many numbers it tells of each partition, and these: the entries, how many of them are fresh (never refused),
-- how many were refused and are due for another try, the age in ms of the first
-- fresh one, 1 if that age says nothing since its version lies ahead of the clock, the
-- age of the oldest entry, the dead letters, the step, and of the first partition the
-- queue's since and writes. Read only.
local function engine_poll(_, args)
  local queue, now = args[1], now_us()
  local s = redis.call('HMGET', queue_key(queue), 'left', 'since', 'writes')
  local reply = { tonumber(s[1] or 0), 10 }
  local now_in_ms = digits(math.floor(now / 1000))
  local too_far = '(' .. digits(math.floor(now / 1000) + LONGEST_WAIT)
  local function age_of(first)
    return math.max(0, math.floor((now - tonumber(first)) / 1000))
  end
  for i = 2, #args do
    local base, n = partition_prefix(queue, args[i]), #reply
    local entries, fresh, due, age, undated, oldest, dead = 0, 0, 0, 0, 0, 0, 0
    -- Most partitions are empty most of the time, and one call tells that.
    if redis.call('EXISTS', base .. 'ops', base .. 'q', base .. 'retry', base .. 'late', base .. 'mend', base .. 'dlq') > 0 then
      local retried = retried_of(base)
      due = retried + redis.call('ZCOUNT', base .. 'retry', '-inf', now_in_ms)
        + redis.call('ZCOUNT', base .. 'retry', too_far, '+inf')
      local queued = redis.call('LLEN', base .. 'q')
      entries, fresh = redis.call('HLEN', base .. 'ops'), math.max(0, queued - retried)
      -- A claim finds out what is wrong, and mends it.
      if queued + redis.call('ZCARD', base .. 'retry') ~= entries then due = due + 1 end
      local head = redis.call('LINDEX', base .. 'q', retried)
      local entry = head and redis.call('HGET', base .. 'ops', head)
      if entry then
        local first = first_of(entry)
        age = age_of(first)
        if tonumber(first) > now then undated = 1 end
      end
      oldest, dead = age_of(oldest_of(base) or now), redis.call('HLEN', base .. 'dlq')
    end
    reply[n + 1], reply[n + 2], reply[n + 3], reply[n + 4] = entries, fresh, due, age
    reply[n + 5], reply[n + 6], reply[n + 7] = undated, oldest, dead
    reply[n + 8] = tonumber(redis.call('HGET', base .. 'meta', 'step') or 0)
    reply[n + 9] = i == 2 and tonumber(s[2] or 0) or 0
    reply[n + 10] = i == 2 and tonumber(s[3] or 0) or 0
  end
  return reply
end
