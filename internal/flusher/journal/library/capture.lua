-- Copyright 2026 The Write-Behind Operator Authors
-- SPDX-License-Identifier: Apache-2.0

-- A write: the journal first, then the key itself, all or nothing.

-- line_up puts the key at the tail of q or, while q is made anew, among those that will
-- stand in it, by its first version. It returns the reply.
local function line_up(at, first)
  if at.mending then return redis.pcall('ZADD', at.base .. 'mend', first, at.key) end
  return redis.pcall('RPUSH', at.base .. 'q', at.key)
end

local function step_out(at)
  if at.mending then redis.call('ZREM', at.base .. 'mend', at.key) else redis.call('RPOP', at.base .. 'q') end
end

-- enter_first puts a key that was clean at the tail of the queue, all or nothing.
-- It returns an error's reply, or nil.
local function enter_first(at, entry, first)
  local ops = at.base .. 'ops'
  local reply = redis.pcall('HSET', ops, at.key, entry)
  if refused(reply) then return reply end
  reply = line_up(at, first)
  if refused(reply) then
    redis.call('HDEL', ops, at.key)
    return reply
  end
  reply = redis.pcall('HINCRBY', at.settings, 'depth', 1)
  if refused(reply) then
    step_out(at)
    redis.call('HDEL', ops, at.key)
    return reply
  end
end

-- leave_first takes enter_first back.
local function leave_first(at)
  redis.call('HINCRBY', at.settings, 'depth', -1)
  step_out(at)
  redis.call('HDEL', at.base .. 'ops', at.key)
end

-- leave_again takes enter_again back, as far as that has come.
local function leave_again(at, first, attempts)
  redis.call('HSET', at.base .. 'ops', at.key, at.entry)
  if attempts == '0' then return end
  if at.queued then step_out(at) end
  if at.due then redis.call('ZADD', at.base .. 'retry', at.due, at.key) end
  redis.call('ZADD', at.base .. 'late', first, at.key)
end

-- enter_again moves a dirty key to a new version; its place in the queue stays.
-- A new version has not been refused yet: it does not wait for a retry.
local function enter_again(at, entry, first, attempts)
  local reply = redis.pcall('HSET', at.base .. 'ops', at.key, entry)
  if refused(reply) then return reply end
  if attempts == '0' then return nil end
  local due = redis.pcall('ZSCORE', at.base .. 'retry', at.key)
  reply = refused(due) and due or redis.pcall('ZREM', at.base .. 'late', at.key)
  if due and not refused(reply) then
    at.due = due
    redis.call('ZREM', at.base .. 'retry', at.key)
    reply = line_up(at, first)
    at.queued = not refused(reply)
  end
  if refused(reply) then
    leave_again(at, first, attempts)
    return reply
  end
end

-- journal_then moves the entry to a new version and then runs the command on the
-- key itself. A function does not roll back by itself, so whatever is refused on
-- the way, every step before it is undone. It returns the version.
local function journal_then(at, op, command, value)
  if begun[at.queue] ~= at.since then begin_life(at.queue) end
  local meta = redis.call('HMGET', at.base .. 'meta', 'floor', 'mending')
  local version = math.max(now_us(), tonumber(meta[1] or 0) + 1)
  at.mending = meta[2]
  local attempts, first, reply
  if at.entry then
    local _, tries, pending, from, writes = unpack_entry(at.entry)
    attempts, first = tries, from
    version = math.max(version, tonumber(pending) + 1)
    reply = enter_again(at, pack_entry(op, 0, digits(version), from, digits(tonumber(writes) + 1)), from, tries)
  else
    local text = digits(version)
    reply = enter_first(at, pack_entry(op, 0, text, text, 1), text)
  end
  if reply then return reply end

  reply = redis.pcall('HINCRBY', at.settings, 'writes', 1)
  local counted = not refused(reply)
  if counted then
    if value then reply = redis.pcall(command, at.key, value) else reply = redis.pcall(command, at.key) end
  end
  if refused(reply) then
    if counted then redis.call('HINCRBY', at.settings, 'writes', -1) end
    if at.entry then leave_again(at, first, attempts) else leave_first(at) end
    return reply
  end
  return version
end

local function capture(keys, args, arguments, usage, op, command)
  local at, err = look_up(keys, args, arguments, usage)
  if not at then return err end
  err = check_writable(at) or check_types(at)
  if err then return err end
  return journal_then(at, op, command, args[2])
end

-- FCALL wb_set 1 KEY QUEUE VALUE. SET has no TTL: a dirty entry must neither
-- expire nor be evicted before it is flushed. Returns the version. O(1).
local function wb_set(keys, args)
  return capture(keys, args, 2, 'wb_set 1 KEY QUEUE VALUE', 's', 'SET')
end

-- FCALL wb_del 1 KEY QUEUE. Returns the version of the deletion. O(1).
local function wb_del(keys, args)
  return capture(keys, args, 1, 'wb_del 1 KEY QUEUE', 'd', 'DEL')
end
