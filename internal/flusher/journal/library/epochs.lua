-- Copyright 2026 The Write-Behind Operator Authors
-- SPDX-License-Identifier: Apache-2.0

-- An epoch begins: journal and ledger are compared.

-- holds tells whether the member holds the partition's lease in this epoch of this
-- life of the queue.
local function holds(base, member, epoch, journal)
  local l = redis.call('HMGET', base .. 'lease', 'owner', 'epoch', 'journal', 'expiry')
  return l[1] == member and l[2] == epoch and l[3] == journal, l[4]
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

-- wb_engine_begin 0 QUEUE P MEMBER EPOCH JOURNAL FLOOR COMMITTED HELD STEP EARLIER [HOME]: enters the epoch that the
-- ledger gave to a partition just leased, forgets a claim of the predecessor, and
-- lifts the floor of its versions to FLOOR. COMMITTED is the highest version of
-- this partition in the database by its ledger. When it differs from what was
-- acknowledged here, and no claim that was out explains it, one of the two has lost
-- data: that is counted. So it is when the owner was further than the journal is: HELD
-- is the last epoch that it knows to have begun, 0 for none, and STEP how far it got in
-- that. EARLIER is 1 when the ledger knows of flushes in another life of the queue,
-- that was not drained to its end: a queue that was made without anybody knowing whether
-- it was lost then was. HOME is where the ledger is. While others hold partitions whose epochs
-- were begun at another database, nothing is compared or begun, or the keys would be shared
-- out between two databases; but where they are of the same config and their URL is older,
-- these partitions are taken from them. Flushers of the release before tell no HOME, and hold
-- nobody up. Returns 0 if both agree, 1 if Redis went back, 2 if the database
-- did, 3 if Redis went back and the queue's members have noticed already, 4 if an earlier
-- life of the queue is lost.
local function engine_begin(_, args)
  local base, member, epoch = partition_prefix(args[1], args[2]), args[3], args[4]
  local journal, floor, committed = args[5], args[6], args[7]
  -- The order of epochs is the ledger's, whose clock may have been put back.
  if redis.call('HGET', base .. 'lease', 'owner') ~= member or
      redis.call('HGET', queue_key(args[1]), 'journal') ~= journal then
    return lost(member, epoch)
  end
  local settings, home = queue_key(args[1]), args[11] or ''
  local s = redis.call('HMGET', settings, 'prefix', 'partitions', 'database')
  local err, theirs = elsewhere(args[1], s[1], s[2], s[3], member, home)
  if err then return err end
  for _, key in ipairs(theirs) do redis.call('DEL', key) end
  local m = redis.call('HMGET', base .. 'meta', 'floor', 'top', 'claimed', 'claimed_top')
  local top, verdict = m[2] or '0', 0
  if higher(committed, top) then
    local explained = tonumber(m[3] or 0) > 0 and not higher(committed, m[4])
    if not explained then verdict = 1 end
    top = committed
  elseif higher(top, committed) then
    verdict = 2
  end
  if verdict == 0 and went_back(base, tonumber(args[8] or 0), tonumber(args[9] or 0)) then verdict = 1 end
  if m[1] and higher(m[1], floor) then floor = m[1] end
  if higher(top, floor) then floor = top end
  redis.call('HSET', base .. 'lease', 'epoch', epoch, 'journal', journal, 'home', home)
  local id = home_of(home)
  if id and id ~= s[3] then redis.call('HSET', settings, 'database', id) end
  redis.call('HSET', base .. 'meta', 'floor', floor, 'top', top, 'claimed', 0, 'step', 0)
  if args[10] and redis.call('HDEL', settings, 'fresh') == 1 and verdict == 0 and args[10] == '1' then verdict = 4 end
  if redis.call('HDEL', base .. 'meta', 'told') == 1 and verdict == 1 then return 3 end
  if verdict == 1 then redis.call('HSET', settings, 'since_lost', 1) end
  if verdict > 0 then redis.call('HINCRBY', base .. 'meta', 'data_loss', 1) end
  return verdict
end
