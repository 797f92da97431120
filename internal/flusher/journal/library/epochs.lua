-- Copyright 2026 The Write-Behind Operator Authors
-- SPDX-License-Identifier: Apache-2.0

-- An epoch begins: journal and ledger are compared.

-- holds tells whether the member holds the partition's lease in this epoch of this
-- life of the queue.
local function holds(base, member, epoch, incarnation)
  local l = redis.call('HMGET', base .. 'lease', 'owner', 'epoch', 'journal', 'expiry')
  return l[1] == member and l[2] == epoch and l[3] == incarnation, l[4]
end

local function lost(member, epoch)
  return fail('WBLEASE', 'flusher ' .. member .. ' does not hold this partition in epoch ' .. epoch)
end

-- went_back tells whether a partition's owner was further than the journal is. The
-- epoch that begins now is noted in the lease, so it is told once.
local function went_back(base, held, step)
  local epoch = tonumber(redis.call('HGET', base .. 'lease', 'epoch') or 0)
  if held == 0 or epoch == 0 then return false end
  return epoch < held or epoch == held and tonumber(redis.call('HGET', base .. 'meta', 'step') or 0) < step
end

-- wb_engine_begin enters the epoch that the ledger gave to a partition just leased,
-- forgets a claim of the predecessor, and lifts the floor of its versions to floor.
-- committed is the highest version of this partition in the database by its ledger. When it
-- differs from what was acknowledged here, and no claim that was out explains it, one of
-- the two has lost data: that is counted. So it is when the owner was further than the
-- journal is: held_epoch is the last epoch that it knows to have begun, 0 for none, and
-- held_step how far it got in that. earlier is 1 when the ledger knows of flushes in another
-- life of the queue, that was not drained to its end: a queue that was made without anybody
-- knowing whether it was lost then was. home is where the ledger is. While others hold
-- partitions whose epochs were begun at another database, nothing is compared or begun, or
-- the keys would be shared out between two databases; but where they are of the same config
-- and their URL is older, these partitions are taken from them. Flushers of the release
-- before tell no home, and hold nobody up. Returns 0 if both agree, 1 if Redis went back, 2
-- if the database did, 3 if Redis went back and the queue's members have noticed already, 4
-- if an earlier life of the queue is lost.
local engine_begin = by_name({
  'queue', 'partition', 'member', 'epoch', 'incarnation', 'floor', 'committed', 'held_epoch', 'held_step',
  -- also: earlier, home
}, function(call)
  local queue, settings = call.queue, queue_key(call.queue)
  local base, member, home = partition_prefix(queue, call.partition), call.member, call.home or ''
  local s = fields(settings, 'journal', 'prefix', 'partitions', 'database')
  -- The order of epochs is the ledger's, whose clock may have been put back.
  if redis.call('HGET', base .. 'lease', 'owner') ~= member or s.journal ~= call.incarnation then
    return lost(member, call.epoch)
  end
  local err, theirs = elsewhere(queue, s.prefix, s.partitions, s.database, member, home)
  if err then return err end
  for _, key in ipairs(theirs) do redis.call('DEL', key) end
  local meta = fields(base .. 'meta', 'floor', 'top', 'claimed', 'claimed_top')
  local floor, top, verdict = call.floor, meta.top or '0', 0
  if higher(call.committed, top) then
    local explained = tonumber(meta.claimed or 0) > 0 and not higher(call.committed, meta.claimed_top)
    if not explained then verdict = 1 end
    top = call.committed
  elseif higher(top, call.committed) then
    verdict = 2
  end
  if verdict == 0 and went_back(base, tonumber(call.held_epoch), tonumber(call.held_step)) then verdict = 1 end
  if meta.floor and higher(meta.floor, floor) then floor = meta.floor end
  if higher(top, floor) then floor = top end
  redis.call('HSET', base .. 'lease', 'epoch', call.epoch, 'journal', call.incarnation, 'home', home)
  local id = home_of(home)
  if id and id ~= s.database then redis.call('HSET', settings, 'database', id) end
  redis.call('HSET', base .. 'meta', 'floor', floor, 'top', top, 'claimed', 0, 'step', 0)
  if call.earlier and redis.call('HDEL', settings, 'fresh') == 1 and verdict == 0 and call.earlier == '1' then verdict = 4 end
  if redis.call('HDEL', base .. 'meta', 'told') == 1 and verdict == 1 then return 3 end
  if verdict == 1 then redis.call('HSET', settings, 'since_lost', 1) end
  if verdict > 0 then redis.call('HINCRBY', base .. 'meta', 'data_loss', 1) end
  return verdict
end)
