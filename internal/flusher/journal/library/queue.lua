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

-- wb_engine_open 0 QUEUE OWNER REVISION JOURNAL PREFIX PARTITIONS MODE ENCODING
-- TTL MAX FULL STATE LOST [TARGET [HOME MEMBER]]: makes the queue if it is not there, with the journal id
-- that is offered, and writes the settings: another owner's are replaced, within
-- one owner the highest revision wins. The number of partitions is fixed for the
-- life of the journal; prefix, mode and encoding are while it holds entries, and for
-- whoever comes with an older revision. LOST is 1 when the caller knew an earlier
-- life of the queue: then the new one begins with a data-loss event. It is 2 when only the
-- ledger can tell whether there was one: then wb_engine_begin asks. Returns
-- journal, partitions, 1 if the queue was made, and the revision in force.
--
-- Nothing is written where keys of PREFIX are another queue's; a queue that is only
-- drained may go on, and leaves the keys without a time to live. TARGET is the table and
-- its ledger, in a second line the key column and, where no operator rolls them, in a third
-- one the columns. While flushers live that work with another prefix or target, only a higher
-- revision of the same owner replaces these, and takes the partitions from them. A
-- flusher of the release before this one tells no target. The ledger's schema never changes.
-- Nor does the MEMBER replace anything while others hold partitions of it at another
-- database than its HOME; see wb_engine_begin.
local function engine_open(_, args)
  if #args < 12 then return fail('WBARGS', 'wrong number of arguments for wb_engine_open') end
  local queue, owner, revision, journal = args[1], args[2], args[3], args[4]
  local prefix, partitions, mode, encoding = args[5], args[6], args[7], args[8]
  local ttl, target, now = args[9], args[14] or '', now_ms()
  local key = queue_key(queue)
  local s = redis.call('HMGET', key, 'partitions', 'journal', 'owner', 'revision', 'prefix', 'mode', 'encoding',
    'target', 'target_revision', 'database')
  local made = not s[1]
  local older = not made and s[3] == owner and higher(s[4], revision)
  local reshaped = not made and (s[5] ~= prefix or s[6] ~= mode or s[7] ~= encoding)
  local moved = not made and target ~= '' and s[8] and not same_target(s[8], target)
  if moved and ledger_of(s[8]) and ledger_of(target) and ledger_of(s[8]) ~= ledger_of(target) then
    return fail('WBCONFLICT', 'queue ' .. queue .. ' has its ledger in schema ' .. ledger_of(s[8]) .. ', and ledgerSchema is ' ..
      ledger_of(target) .. ': it cannot change, since another ledger fences nobody of the one before: set ledgerSchema to ' .. ledger_of(s[8]))
  end
  if moved or (reshaped and s[5] ~= prefix) then
    local replaces = s[3] == owner and owner ~= OWNER_FILE and higher(revision, s[9] or s[4])
    if not replaces and lives(queue, now) then
      return contradicts(queue, { prefix = s[5], owner = s[3], target = s[8], target_revision = s[9] or s[4] }, owner, target)
    end
  end
  if reshaped and (older or total_depth(queue, s[1]) > 0) then return reshaped_error(queue, s[5], s[6], s[7]) end
  local err = not made and elsewhere(queue, s[5], s[1], s[10], args[16], args[15])
  if err then return err end
  err = enlist(queue, prefix, now)
  if err then
    if made or args[12] ~= 'paused' then return err end
    ttl = '0'
  end
  if reshaped and s[5] ~= prefix then redis.call('ZREM', QUEUES, s[5] .. '\0' .. queue) end
  if made then
    s = { partitions, journal, owner, revision, prefix, mode, encoding }
    redis.call('HSET', key, 'partitions', partitions, 'journal', journal, 'depth', 0, 'writes', 0)
    begin_life(queue)
    if args[13] == '1' then redis.call('HINCRBY', partition_prefix(queue, 0) .. 'meta', 'data_loss', 1) end
    if args[13] == '2' then redis.call('HSET', key, 'fresh', 1) end
  end
  if moved then start_over(queue, s[1]) end
  if target ~= '' and (made or moved or not s[8] or not older) then
    redis.call('HSET', key, 'target', target, 'target_revision', revision)
  end
  redis.call('HSET', key, 'seen', digits(now))
  if older then return { s[2], tonumber(s[1]), 0, s[4] } end
  redis.call('HSET', key, 'owner', owner, 'revision', revision, 'prefix', prefix, 'mode', mode,
    'encoding', encoding, 'ttl', ttl, 'max', args[10], 'full', args[11], 'state', args[12])
  return { s[2], tonumber(s[1]), made and 1 or 0, revision }
end
