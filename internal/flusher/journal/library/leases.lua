-- Copyright 2026 The Write-Behind Operator Authors
-- SPDX-License-Identifier: Apache-2.0

-- Partitions are taken, held and given back.

-- lost_writes returns how many writes that a member has seen are gone, and counts the
-- event, if nobody has: what was seen in an earlier life of the process must be there
-- when this one begins, and within one the number of writes never falls, unless keys
-- were put back by hand. The number of losses never falls, or one would hide another.
local function lost_writes(queue, partitions, since, call)
  if call.seen_since == '0' then return 0 end
  local settings, seen = queue_key(queue), tonumber(call.seen_writes)
  local now = fields(settings, 'since_writes', 'since_lost', 'writes')
  if now.since_lost then return 0 end
  local lost = seen - tonumber(now.since_writes)
  if call.seen_since == since then
    lost = seen - tonumber(now.writes)
    if lost > 0 then begin_life(queue) end
  end
  if lost <= 0 then return 0 end
  redis.call('HSET', settings, 'since_lost', 1)
  local counted = 0
  for p = 0, partitions - 1 do
    local meta = partition_prefix(queue, p) .. 'meta'
    counted = counted + tonumber(redis.call('HGET', meta, 'data_loss') or 0)
    redis.call('HSET', meta, 'told', 1)
  end
  redis.call('HINCRBY', partition_prefix(queue, 0) .. 'meta', 'data_loss',
    math.max(counted, tonumber(call.seen_losses)) - counted + 1)
  return lost
end

-- wb_engine_beat keeps the member alive for ttl ms if its settings are of the queue's
-- shape, renews the leases it holds and takes free ones up to its share. A member above its
-- share gives partitions back by itself, between two batches. Also sets the depth counter
-- to what the partitions hold, in case somebody edited the journal. The settings seen_... are
-- what the member has seen last of an incarnation of the queue: where Redis has gone back
-- since then, the writes that it has lost are counted as one data-loss event, whoever
-- notices first. home is as in wb_engine_begin: whoever would be refused there does not
-- become a member.
-- Returns library, incarnation, partitions, share, to who tells what it has seen also since,
-- writes and how many writes are found lost by this call, and then partition, epoch for
-- every lease held; epoch 0 means that wb_engine_begin has to follow.
local engine_beat = by_name({
  'queue', 'member', 'ttl', 'prefix', 'mode', 'encoding',
  -- also: target, home, and all or none of seen_incarnation, seen_since, seen_writes, seen_losses
}, function(call)
  local queue, member, ttl = call.queue, call.member, tonumber(call.ttl)
  local s = fields(queue_key(queue), 'partitions', 'journal', 'prefix', 'mode', 'encoding',
    'target', 'owner', 'target_revision', 'state', 'since', 'database')
  if not s.partitions then return fail('WBNOQUEUE', 'there is no queue ' .. queue) end
  if s.prefix ~= call.prefix or s.mode ~= call.mode or s.encoding ~= call.encoding then
    return reshaped_error(queue, s.prefix, s.mode, s.encoding)
  end
  local target = call.target or ''
  if target ~= '' and s.target and not same_target(s.target, target) then return contradicts(queue, s, s.owner, target) end
  local partitions, now = tonumber(s.partitions), now_ms()
  local err = elsewhere(queue, s.prefix, partitions, s.database, member, call.home)
  if err then return err end
  -- A queue of a release that kept no list is put on it now.
  err = enlist(queue, s.prefix, now)
  if err then
    if s.state ~= 'paused' then return err end
    redis.call('HSET', queue_key(queue), 'ttl', 0)
  end
  local share = share_of(enrol(queue, member, now, ttl), member, partitions)
  local expiry = digits(now + ttl)
  local held, free = {}, {}
  for p = 0, partitions - 1 do
    local key = partition_prefix(queue, p) .. 'lease'
    local lease = fields(key, 'owner', 'epoch', 'expiry')
    if lease.owner == member then
      redis.call('HSET', key, 'expiry', expiry)
      held[#held + 1] = { p, tonumber(lease.epoch) }
    elseif not lease.owner or not runs(tonumber(lease.expiry), now, ttl) then
      free[#free + 1] = p
    end
  end
  for i = 1, math.min(#free, share - #held) do
    redis.call('HSET', partition_prefix(queue, free[i]) .. 'lease', 'owner', member, 'epoch', 0, 'expiry', expiry, 'home', '')
    held[#held + 1] = { free[i], 0 }
  end
  redis.call('HSET', queue_key(queue), 'depth', total_depth(queue, partitions), 'seen', digits(now))
  local since = s.since
  if begun[queue] ~= since then since = begin_life(queue) end
  local reply = { LIBRARY, s.journal, partitions, share }
  if call.seen_incarnation then
    local gone = call.seen_incarnation == s.journal and lost_writes(queue, partitions, since, call) or 0
    reply = { LIBRARY, s.journal, partitions, share, tonumber(begun[queue]), tonumber(redis.call('HGET', queue_key(queue), 'writes')), gone }
  end
  for _, lease in ipairs(held) do
    reply[#reply + 1] = lease[1]
    reply[#reply + 1] = lease[2]
  end
  return reply
end)

-- wb_engine_leave 0 QUEUE MEMBER P...: gives the named partitions back at once;
-- without any, all of them and the membership too. Returns how many.
local function engine_leave(_, args)
  local queue, member, given = args[1], args[2], 0
  local list = { unpack(args, 3) }
  if #list == 0 then
    redis.call('HDEL', 'wb:{' .. queue .. '}:members', member)
    local partitions = tonumber(redis.call('HGET', queue_key(queue), 'partitions') or 0)
    for p = 0, partitions - 1 do list[#list + 1] = p end
  end
  for _, p in ipairs(list) do
    local key = partition_prefix(queue, p) .. 'lease'
    if redis.call('HGET', key, 'owner') == member then
      redis.call('DEL', key)
      given = given + 1
    end
  end
  if given > 0 then redis.call('HINCRBY', queue_key(queue), 'left', given) end
  return given
end
