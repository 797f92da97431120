-- Copyright 2026 The Write-Behind Operator Authors
-- SPDX-License-Identifier: Apache-2.0

-- What became of a claim.

-- settle decides what becomes of one claimed entry, given its outcome, the entry
-- as it was claimed and as it is now, and what was said beyond it: of a dead letter
-- what is known, of a retry the time to wait. An entry that was written again meanwhile
-- goes back to the tail whatever the outcome was; if the claimed version is in the
-- database, only later ones may be missing from then on.
local function settle(result, key, outcome, claimed, current, beyond)
  -- A key that stood in q without an entry is dropped; if it has one by now,
  -- that one has its own place in q.
  if claimed == '' and outcome ~= 'f' then return end
  -- What no function has written is dropped, and its key, which may be another queue's,
  -- is left alone.
  if outcome == 'f' then
    if current == claimed then
      result.gone[#result.gone + 1] = key
      result.healed[#result.healed + 1] = key
    else
      result.back[#result.back + 1] = key
    end
    return
  end
  local done = outcome == 'd'
  if done then
    result.done = result.done + 1
    result.committed[#result.committed + 1] = key
  end
  if current ~= claimed then
    result.back[#result.back + 1] = key
    if done then
      local op, attempts, version, _, writes = unpack_entry(current)
      local _, _, was, _, before = unpack_entry(claimed)
      result.entries[#result.entries + 1] = key
      result.entries[#result.entries + 1] =
        pack_entry(op, attempts, version, digits(tonumber(was) + 1), digits(tonumber(writes) - tonumber(before)))
    end
    return
  end
  local fresh = is_fresh(claimed)
  if outcome == 'k' and fresh then
    result.back[#result.back + 1] = key
    return
  end
  if outcome == 'k' or outcome == 'r' then
    result.retry[#result.retry + 1] = digits(now_ms() + tonumber(beyond or 0))
    result.retry[#result.retry + 1] = key
  end
  if outcome == 'r' then
    local op, attempts, version, first, writes, since = unpack_entry(claimed)
    result.entries[#result.entries + 1] = key
    result.entries[#result.entries + 1] =
      pack_entry(op, digits(tonumber(attempts) + 1), version, first, writes, since or digits(now_us()))
    result.late[#result.late + 1] = first
    result.late[#result.late + 1] = key
  end
  if outcome == 'k' or outcome == 'r' then return end
  result.gone[#result.gone + 1] = key
  local set = is_set(claimed)
  if not done then
    result.dead[#result.dead + 1] = key
    result.dead[#result.dead + 1] = beyond or ''
    result.payloads[key] = set and outcome == 'x' and redis.call('GET', key) or nil
    if outcome == 'l' then result.loss = result.loss + 1 end
  elseif set then
    result.clean[#result.clean + 1] = key
  end
  if not fresh then result.healed[#result.healed + 1] = key end
end

-- acknowledge cuts the first entries off the claimed prefix, those whose outcomes begin
-- with the argument of number first. See engine_settle.
local function acknowledge(call, args, first)
  local base, claim, left = partition_prefix(call.queue, call.partition), call.claim, tonumber(call.left or 0)
  if not holds(base, call.member, call.epoch, call.incarnation) then return lost(call.member, call.epoch) end
  local meta = fields(base .. 'meta', 'claim', 'claimed', 'acked', 'floor', 'top')
  local claimed, count = tonumber(meta.claimed or 0), #args - first + 1
  if meta.acked == claim then return 0 end
  if meta.claim ~= claim or claimed == 0 then
    return fail('WBCLAIM', 'claim ' .. claim .. ' is not the one that is out')
  end
  if claimed <= left then return 0 end
  if claimed - left ~= count then
    return fail('WBARGS', 'claim ' .. claim .. ' has ' .. digits(claimed - left) .. ' entries, not ' .. digits(count))
  end

  local keys = redis.call('LRANGE', base .. 'q', 0, count - 1)
  local current = hmget(base .. 'ops', keys)
  local result = {
    done = 0, loss = 0, committed = {}, gone = {}, clean = {}, dead = {}, healed = {}, back = {}, entries = {},
    late = {}, retry = {}, payloads = {},
  }
  for i, key in ipairs(keys) do
    if current[i] then
      local outcome, claimed, beyond = string.sub(args[first + i - 1], 1, 1), string.sub(args[first + i - 1], 2), nil
      if outcome ~= 'd' and outcome ~= 'f' then
        claimed, beyond = string.match(claimed, '^([^\n]*)\n?(.*)$')
        if beyond == '' then beyond = nil end
      end
      settle(result, key, outcome, claimed, current[i], beyond)
    end
  end

  local superseded, buried = drop_letters(base, result.committed), 0
  for i = 1, #result.dead, 2 do
    local key = result.dead[i]
    buried = buried + put_letter(base, key, result.dead[i + 1], result.payloads[key])
  end
  -- A second dead letter of a key takes the place of the first.
  superseded = superseded + #result.dead / 2 - buried

  redis.call('LTRIM', base .. 'q', count, -1)
  call_in_chunks('RPUSH', base .. 'q', result.back)
  call_in_chunks('HSET', base .. 'ops', result.entries)
  call_in_chunks('HDEL', base .. 'ops', result.gone)
  forget_reads(base, result.gone)
  call_in_chunks('ZADD', base .. 'late', result.late)
  call_in_chunks('ZADD', base .. 'retry', result.retry)
  call_in_chunks('ZREM', base .. 'late', result.healed)
  local queue = queue_key(call.queue)
  local ttl = redis.call('HGET', queue, 'ttl')
  if ttl ~= '0' then
    for _, key in ipairs(result.clean) do redis.call('PEXPIRE', key, ttl) end
  end
  redis.call('HINCRBY', queue, 'depth', #result.dead / 2 - superseded - #result.gone)
  redis.call('HINCRBY', base .. 'meta', 'flushed', result.done)
  redis.call('HINCRBY', base .. 'meta', 'coalesced', call.coalesced)
  redis.call('HINCRBY', base .. 'meta', 'superseded', superseded)
  redis.call('HINCRBY', base .. 'meta', 'data_loss', result.loss)
  redis.call('HINCRBY', base .. 'meta', 'step', 1)
  local floor, top = call.floor, call.top
  if meta.floor and higher(meta.floor, floor) then floor = meta.floor end
  if meta.top and higher(meta.top, top) then top = meta.top end
  redis.call('HSET', base .. 'meta', 'floor', floor, 'top', top, 'claimed', left)
  if left == 0 then redis.call('HSET', base .. 'meta', 'acked', claim) end
  return 1 + superseded
end

-- wb_engine_settle acknowledges the first entries of the claim, so that left remain, and
-- cuts them off the queue: a large claim is acknowledged in parts, each of them whole. The
-- list has an outcome for each, in the claim's order: d (done), r (refused, to be tried
-- again), k (kept, not tried), f (forged: dropped), x (dead) or l (dead, since its value is
-- lost), followed by the entry as it was claimed and, after a line feed, where it is dead by
-- what is known of it, and where it waits for another try by the ms to wait. floor is the
-- highest version of the part that is now committed or dead, top the highest that is
-- committed, coalesced the writes that done entries stood for beyond the first. A part
-- applies once: a repeat returns 0, the first call 1 and how many dead letters have gone for
-- a newer one or a newer write on top of that. The lease may have run out as long as nobody
-- took it: what has been committed needs no second flush.
local engine_settle = by_name({
  'queue', 'partition', 'member', 'epoch', 'incarnation', 'claim', 'floor', 'top', 'coalesced', 'left',
}, acknowledge)

-- wb_engine_ack settles the whole claim at once, as the release before this one calls.
local engine_ack = by_name({
  'queue', 'partition', 'member', 'epoch', 'incarnation', 'claim', 'floor', 'top', 'coalesced',
}, acknowledge)
