-- Copyright 2026 The Write-Behind Operator Authors
-- SPDX-License-Identifier: Apache-2.0

-- Partitions are taken, held and given back.

-- lost_writes returns how many writes that a member has seen are gone, and counts the
-- event, if nobody has: what was seen in an earlier life of the process must be there
-- when this one begins, and within one the number of writes never falls, unless keys
-- were put back by hand. The number of losses never falls, or one would hide another.
local function lost_writes(queue, partitions, since, args)
  if args[9] == '0' then return 0 end
  local settings, seen = queue_key(queue), tonumber(args[10])
  local s = redis.call('HMGET', settings, 'since_writes', 'since_lost', 'writes')
  if s[2] then return 0 end
  local lost = seen - tonumber(s[1])
  if args[9] == since then
    lost = seen - tonumber(s[3])
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
    math.max(counted, tonumber(args[11])) - counted + 1)
  return lost
end

-- wb_engine_beat 0 QUEUE MEMBER TTL PREFIX MODE ENCODING [TARGET [JOURNAL SINCE WRITES LOSSES [HOME]]]: keeps the member alive for
-- TTL ms if its settings are of the queue's shape, renews the leases it holds and takes free ones up to its share. A member above its
-- share gives partitions back by itself, between two batches. Also sets the depth
-- counter to what the partitions hold, in case somebody edited the journal.
-- JOURNAL SINCE WRITES LOSSES are what the member has seen last of a life of the
-- queue: where Redis has gone back since then, the writes that it has lost are counted as
-- one data-loss event, whoever notices first. HOME is as in wb_engine_begin: whoever would be
-- refused there does not become a member.
-- Returns library, journal, partitions, share, with JOURNAL also since, writes and how
-- many writes are found lost by this call, and then partition, epoch for every lease
-- held; epoch 0 means that wb_engine_begin has to follow.
local function engine_beat(_, args)
  local queue, member, ttl = args[1], args[2], tonumber(args[3])
  local s = redis.call('HMGET', queue_key(queue), 'partitions', 'journal', 'prefix', 'mode', 'encoding',
    'target', 'owner', 'target_revision', 'state', 'since', 'database')
  if not s[1] then return fail('WBNOQUEUE', 'there is no queue ' .. queue) end
  if s[3] ~= args[4] or s[4] ~= args[5] or s[5] ~= args[6] then
    return reshaped_error(queue, s[3], s[4], s[5])
  end
  if (args[7] or '') ~= '' and s[6] and not same_target(s[6], args[7]) then
    return contradicts(queue, { prefix = s[3], owner = s[7], target = s[6], target_revision = s[8] }, s[7], args[7])
  end
  local partitions, now = tonumber(s[1]), now_ms()
  local err = elsewhere(queue, s[3], partitions, s[11], member, args[12])
  if err then return err end
  -- A queue of a release that kept no list is put on it now.
  err = enlist(queue, s[3], now)
  if err then
    if s[9] ~= 'paused' then return err end
    redis.call('HSET', queue_key(queue), 'ttl', 0)
  end
  local share = share_of(enrol(queue, member, now, ttl), member, partitions)
  local expiry = digits(now + ttl)
  local held, free = {}, {}
  for p = 0, partitions - 1 do
    local key = partition_prefix(queue, p) .. 'lease'
    local l = redis.call('HMGET', key, 'owner', 'epoch', 'expiry')
    if l[1] == member then
      redis.call('HSET', key, 'expiry', expiry)
      held[#held + 1] = { p, tonumber(l[2]) }
    elseif not l[1] or not runs(tonumber(l[3]), now, ttl) then
      free[#free + 1] = p
    end
  end
  for i = 1, math.min(#free, share - #held) do
    redis.call('HSET', partition_prefix(queue, free[i]) .. 'lease', 'owner', member, 'epoch', 0, 'expiry', expiry, 'home', '')
    held[#held + 1] = { free[i], 0 }
  end
  redis.call('HSET', queue_key(queue), 'depth', total_depth(queue, partitions), 'seen', digits(now))
  local since = s[10]
  if begun[queue] ~= since then since = begin_life(queue) end
  local reply = { LIBRARY, s[2], partitions, share }
  if args[8] then
    local lost = args[8] == s[2] and lost_writes(queue, partitions, since, args) or 0
    reply = { LIBRARY, s[2], partitions, share, tonumber(begun[queue]), tonumber(redis.call('HGET', queue_key(queue), 'writes')), lost }
  end
  for _, lease in ipairs(held) do
    reply[#reply + 1] = lease[1]
    reply[#reply + 1] = lease[2]
  end
  return reply
end

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
