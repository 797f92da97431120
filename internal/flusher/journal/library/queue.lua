-- Copyright 2026 The Write-Behind Operator Authors
-- SPDX-License-Identifier: Apache-2.0

-- A queue is made, and its settings are written.

-- wb_engine_library 0: the version of this library.
local function engine_library()
  return LIBRARY
end

-- wb_engine_probe 0: writes something, as a capture function would. It fails for
-- whatever makes Redis refuse writes: a full memory, a failing disk, too few
-- replicas, a replica's role, a missing right.
local function engine_probe()
  redis.call('SET', 'wb:probe', digits(now_ms()), 'PX', 60000)
  return 1
end

local function reshaped_error(queue, prefix, mode, encoding)
  return fail('WBJOURNAL', 'queue ' .. queue .. ' has prefix ' .. prefix .. ', mode ' .. mode ..
    ' and encoding ' .. encoding .. ': flush it with those settings first')
end

-- start_over takes everything from the flushers that are at the queue, whose settings
-- have been replaced by others that name another table: what they have in hand is claimed
-- again.
local function start_over(queue, partitions)
  redis.call('DEL', 'wb:{' .. queue .. '}:members')
  for p = 0, tonumber(partitions) - 1 do redis.call('DEL', partition_prefix(queue, p) .. 'lease') end
end

-- wb_engine_open makes the queue if it is not there, under the incarnation that is
-- offered, and writes the settings: another owner's are replaced, within one owner the
-- highest revision wins. The number of partitions is fixed for the life of the queue;
-- prefix, mode and encoding are while it holds entries, and for whoever comes with an older
-- revision. earlier is 1 when the caller knew an earlier life of the queue: then the new
-- one begins with a data-loss event. It is 2 when only the ledger can tell whether there
-- was one: then wb_engine_begin asks. Returns the incarnation, the partitions, 1 if the
-- queue was made, and the revision in force.
--
-- Nothing is written where keys of the prefix are another queue's; a queue that is only
-- drained may go on, and leaves the keys without a time to live. target is the table and
-- its ledger, in a second line the key column and, where no operator rolls them, in a third
-- one the columns. While flushers live that work with another prefix or target, only a
-- higher revision of the same owner replaces these, and takes the partitions from them. A
-- flusher of the release before this one tells no target. The ledger's schema never changes.
-- Nor does the member replace anything while others hold partitions of it at another
-- database than its home; see wb_engine_begin.
local engine_open = by_name({
  'queue', 'owner', 'revision', 'incarnation', 'prefix', 'partitions', 'mode', 'encoding', 'ttl', 'max', 'full', 'state', 'earlier',
  -- also: target, home, member
}, function(new)
  local queue, key, now = new.queue, queue_key(new.queue), now_ms()
  local target, ttl = new.target or '', new.ttl
  local old = fields(key, 'partitions', 'journal', 'owner', 'revision', 'prefix', 'mode', 'encoding',
    'target', 'target_revision', 'database')
  local made = not old.partitions
  local older = not made and old.owner == new.owner and higher(old.revision, new.revision)
  local reprefixed = not made and old.prefix ~= new.prefix
  local reshaped = not made and (reprefixed or old.mode ~= new.mode or old.encoding ~= new.encoding)
  local moved = not made and target ~= '' and old.target and not same_target(old.target, target)
  if moved and ledger_of(old.target) and ledger_of(target) and ledger_of(old.target) ~= ledger_of(target) then
    return fail('WBCONFLICT', 'queue ' .. queue .. ' has its ledger in schema ' .. ledger_of(old.target) .. ', and ledgerSchema is ' ..
      ledger_of(target) .. ': it cannot change, since another ledger fences nobody of the one before: set ledgerSchema to ' ..
      ledger_of(old.target))
  end
  if moved or reprefixed then
    local in_force = old.target_revision or old.revision
    local replaces = old.owner == new.owner and new.owner ~= OWNER_FILE and higher(new.revision, in_force)
    if not replaces and lives(queue, now) then
      return contradicts(queue, { prefix = old.prefix, owner = old.owner, target = old.target, target_revision = in_force }, new.owner, target)
    end
  end
  if reshaped and (older or total_depth(queue, old.partitions) > 0) then
    return reshaped_error(queue, old.prefix, old.mode, old.encoding)
  end
  local err = not made and elsewhere(queue, old.prefix, old.partitions, old.database, new.member, new.home)
  if err then return err end
  err = enlist(queue, new.prefix, now)
  if err then
    if made or new.state ~= 'paused' then return err end
    ttl = '0'
  end
  if reprefixed then redis.call('ZREM', QUEUES, old.prefix .. '\0' .. queue) end
  if made then
    old = { partitions = new.partitions, journal = new.incarnation }
    redis.call('HSET', key, 'partitions', new.partitions, 'journal', new.incarnation, 'depth', 0, 'writes', 0)
    begin_life(queue)
    if new.earlier == '1' then redis.call('HINCRBY', partition_prefix(queue, 0) .. 'meta', 'data_loss', 1) end
    if new.earlier == '2' then redis.call('HSET', key, 'fresh', 1) end
  end
  if moved then start_over(queue, old.partitions) end
  if target ~= '' and (made or moved or not old.target or not older) then
    redis.call('HSET', key, 'target', target, 'target_revision', new.revision)
  end
  redis.call('HSET', key, 'seen', digits(now))
  if older then return { old.journal, tonumber(old.partitions), 0, old.revision } end
  redis.call('HSET', key, 'owner', new.owner, 'revision', new.revision, 'prefix', new.prefix, 'mode', new.mode,
    'encoding', new.encoding, 'ttl', ttl, 'max', new.max, 'full', new.full, 'state', new.state)
  return { old.journal, tonumber(old.partitions), made and 1 or 0, new.revision }
end)
