-- Copyright 2026 The Write-Behind Operator Authors
-- SPDX-License-Identifier: Apache-2.0

-- Entries are claimed, page by page.

-- take_due puts refused entries whose time has come at the head of q, so that they
-- are tried however long the queue is; with those that stand there already at most
-- so many.
local function take_due(base, most)
  local room = most - retried_of(base)
  if room <= 0 then return end
  local now = now_ms()
  local due = redis.call('ZRANGEBYSCORE', base .. 'retry', '-inf', digits(now), 'LIMIT', 0, room)
  if #due == 0 then
    due = redis.call('ZRANGEBYSCORE', base .. 'retry', '(' .. digits(now + LONGEST_WAIT), '+inf', 'LIMIT', 0, room)
  end
  call_in_chunks('ZREM', base .. 'retry', due)
  call_in_chunks('LPUSH', base .. 'q', due)
end

-- values_of fetches the values of the first keys, no more than limit bytes: it asks for
-- the lengths before it touches a value. Where a single value may exceed the limit the
-- first one does. Returns the values in groups, how many there are, and the length of
-- the value that had no room, or 0. What is no string has no value.
local function values_of(keys, limit, exceeding)
  local groups, count, bytes, left_out = {}, 0, 0, 0
  for _, key in ipairs(keys) do
    local length = redis.pcall('STRLEN', key)
    if type(length) ~= 'number' then length = 0 end
    if bytes + length > limit and not (exceeding and count == 0) then
      left_out = length
      break
    end
    bytes = bytes + length
    count = count + 1
  end
  if count > 0 then groups[1] = redis.call('MGET', unpack(keys, 1, count)) end
  return groups, count, left_out
end

-- top_of returns the highest version of the first count entries, at least so high.
local function top_of(entries, count, top)
  for i = 1, count do
    if entries[i] then
      local version = version_of(entries[i])
      if version and higher(version, top) then top = version end
    end
  end
  return top
end

-- may_claim tells in an error why the caller may not claim, or returns nil.
local function may_claim(call, base)
  local held, expiry = holds(base, call.member, call.epoch, call.incarnation)
  if not held or tonumber(expiry) <= now_ms() then return lost(call.member, call.epoch) end
  if redis.call('HGET', queue_key(call.queue), 'prefix') ~= call.prefix then return lost(call.member, call.epoch) end
  local step = redis.call('HGET', base .. 'meta', 'step') or '0'
  if step ~= call.step then
    return fail('WBSTEP', 'the journal of partition ' .. call.partition .. ' is at step ' .. step .. ', its owner at ' .. call.step)
  end
end

-- page takes the entries that follow the first offset ones into the claim. Entry and
-- value are read in the same step, so a page is as new as the moment of its call.
local function page(base, claim, offset, call, exceeding)
  local most = math.min(tonumber(call.entries), PAGE)
  local keys = redis.call('LRANGE', base .. 'q', offset, offset + most - 1)
  local groups, count, left_out = values_of(keys, tonumber(call.bytes), exceeding)
  if count == 0 then return { claim, 0, 0, {}, {}, {}, left_out, 0 } end
  for i = count + 1, #keys do keys[i] = nil end
  local entries = redis.call('HMGET', base .. 'ops', unpack(keys))
  local top = '0'
  if offset == 0 then
    claim = redis.call('HINCRBY', base .. 'meta', 'claim', 1)
  else
    top = redis.call('HGET', base .. 'meta', 'claimed_top')
  end
  redis.call('HSET', base .. 'meta', 'claimed', offset + count, 'claimed_top', top_of(entries, count, top),
    'step', digits(tonumber(call.step) + 1))
  local more = left_out == 0 and count == most
  return { claim, count, 0, keys, entries, groups, left_out, more and 1 or 0 }
end

-- wb_engine_claim claims the first entries of the queue, at most so many entries, a page
-- at most, and bytes of values; at most so many retries, which were refused and are due,
-- come before them. One claim of a partition is out at a time: a new one makes the one
-- before it void, so whoever may have committed that one has to begin a new epoch first.
-- Returns the claim's number, how many entries it has, what became of an order that had to
-- be made anew (1 made, 2 under way: call again), the keys, the entries, the values in
-- groups, the length of the next value if that alone had no room, 1 if more may follow,
-- which wb_engine_more gets, and how many entries were found gone as the order was made
-- anew, which is counted as one data-loss event. Where paged is not given, as the release
-- before this one calls, a first value that exceeds the bytes is in the claim all the same.
-- step is how many pages and parts of acknowledgements the owner has had in this epoch: a
-- journal that is at another step is not the one that it worked with, Redis came back with
-- older data.
local engine_claim = by_name({
  'queue', 'partition', 'member', 'epoch', 'incarnation', 'step', 'prefix', 'entries', 'bytes', 'retries',
  -- also: paged
}, function(call)
  local base, rebuilt = partition_prefix(call.queue, call.partition), 0
  local err = may_claim(call, base)
  if err then return err end
  local mending = redis.call('HGET', base .. 'meta', 'mending')
  if mending or not consistent(base) then
    if not mend(base, mending, call.prefix) then return { 0, 0, 2, {}, {}, {}, 0, 0 } end
    rebuilt = 1
  end
  take_due(base, tonumber(call.retries))
  local reply = page(base, 0, 0, call, not call.paged)
  reply[3] = rebuilt
  if rebuilt == 1 then
    reply[9] = tonumber(redis.call('HGET', base .. 'meta', 'gone') or 0)
    redis.call('HDEL', base .. 'meta', 'gone')
  end
  return reply
end)

-- wb_engine_more is the next page of a claim that has offset entries by now, so that a
-- large one does not hold Redis for long. Returns what wb_engine_claim does.
local engine_more = by_name({
  'queue', 'partition', 'member', 'epoch', 'incarnation', 'step', 'prefix', 'entries', 'bytes', 'claim', 'offset',
}, function(call)
  local base = partition_prefix(call.queue, call.partition)
  local err = may_claim(call, base)
  if err then return err end
  local meta = fields(base .. 'meta', 'claim', 'claimed')
  if meta.claim ~= call.claim or meta.claimed ~= call.offset or meta.claimed == '0' then
    return fail('WBCLAIM', 'claim ' .. call.claim .. ' with ' .. call.offset .. ' entries is not the one that is out')
  end
  return page(base, tonumber(call.claim), tonumber(call.offset), call, false)
end)
