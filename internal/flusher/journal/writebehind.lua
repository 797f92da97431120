#!lua name=writebehind
-- Copyright 2026 The Write-Behind Operator Authors
-- SPDX-License-Identifier: Apache-2.0

-- The journal of the write-behind queues, as a Redis function library.
--
-- Applications call the capture functions (wb_set, wb_del, wb_get, wb_fill, wb_pending,
-- wb_stats), flushers call the engine functions (wb_engine_*). Keys of a queue Q
-- with P partitions, p in 0..P-1:
--
--   wb:queues        zset  all queues of this Redis: prefix, NUL, name, each with score 0
--   wb:{Q}:queue     hash  settings, journal id, the counters depth, writes and left
--                          (partitions given back); since (when this process of Redis
--                          began to work with it), since_writes, since_lost (the loss
--                          is counted), fresh (nobody knows of a life before this one),
--                          database (the identity of the one that it was last flushed to)
--   wb:{Q}:members   hash  flusher -> ms since 1970 at which it counts as gone
--   wb:{Q:p}:q       list  dirty keys to be flushed, in the order in which they became dirty
--   wb:{Q:p}:ops     hash  dirty key -> entry (below)
--   wb:{Q:p}:late    zset  keys whose entry was refused before, by first version
--   wb:{Q:p}:retry   zset  those of them that wait for another try, by its time (ms since 1970)
--   wb:{Q:p}:mend    zset  while q is made anew: keys that will stand in it, by first version
--   wb:{Q:p}:gone    zset  meanwhile: keys that stood in it, or waited, without an entry
--   wb:{Q:p}:dlq     hash  key -> dead letter (below)
--   wb:{Q:p}:payloads hash key -> payload of its dead letter, if that has one
--   wb:{Q:p}:reads   zset  clean keys that somebody reads from the database, by token
--   wb:{Q:p}:lease   hash  owner, epoch, expiry (ms since 1970), home (the database that the
--                          epoch was begun at, below)
--   wb:{Q:p}:meta    hash  floor, top (highest version acknowledged), claim, claimed,
--                          claimed_top, acked, step (pages of claims and parts of
--                          acknowledgements of this epoch), flushed, coalesced,
--                          superseded, discarded, data_loss, mending (while q is made
--                          anew: counting, the cursor, or moving), gone (how many
--                          entries it found gone), told (the queue's
--                          loss is counted already)
--
-- None of them has a TTL, or a volatile-* eviction policy could drop it.
--
-- An entry is one string, OA:V:F:W, so that an acknowledgement can compare it
-- whole: O is s (set) or d (delete), A the attempts of this version that the
-- database refused, V the newest version, F the lowest version that may still be
-- missing from the database, W the writes that it stands for. After a refusal :T
-- follows, the time of the first one in µs since 1970.
--
-- A dirty key stands either in q or in retry: what was refused is out of the way
-- until its time has come. A claim takes a few that are due to the head of q.
--
-- A home is the database that a flusher writes to, in four lines: its identity, since when
-- the flusher has its URL, in µs since 1970, the flusher's owner, and the database's name.
-- It is empty where the database does not tell its identity, and ? before it was looked at.
--
-- A dead letter is one line of JSON that tells what is known. Its payload, as it was,
-- stands apart: Redis copies a field whole, and whoever lists or discards letters needs
-- none of the megabytes. Up to library 4 a letter was that line, a line feed, and the
-- payload; such a one is read as before. It counts for the depth of the queue like an
-- entry. Its key keeps its value and has no TTL. It goes when a newer write of its key is
-- committed, when it is replayed, and when it is discarded.
--
-- The flusher replaces a library with a lower number and leaves a higher one
-- alone. It goes up with every change of this file; a test pins both.
local LIBRARY = 5

-- Times in retry that lie further ahead were noted before the clock was put back: five
-- minutes, in ms, are more than any refused entry waits.
local LONGEST_WAIT = 300000

-- A claim takes only a few refused entries to the head of q, so there are never many
-- but after a change of the library or of the journal by hand.
local MOST_RETRIED = 1000

-- A claim takes so many entries in one call: a few ms of Redis' time. Larger claims are
-- made of several pages.
local PAGE = 500

-- What is put in order anew goes into a set that may hold millions, an entry at a time
-- and in no order of its own: three times the cost of reading it.
local MENDED = 150

-- begun tells when this process first worked with a queue, in µs since 1970. Redis does
-- not persist or replicate what a library holds in a local: after a restart, a fail-over,
-- or when an older copy was put back, the since that is stored with the queue is another.
local begun = {}

-- Lua's stack holds fewer than 8000 values; an unpack must stay well below.
local CHUNK = 1000

local function fail(code, text)
  return redis.error_reply(code .. ' ' .. text)
end

-- A number turned into text by Lua loses digits beyond the 14th.
local function digits(number)
  return string.format('%.0f', number)
end

local function now_us()
  local t = redis.call('TIME')
  return tonumber(t[1]) * 1000000 + tonumber(t[2])
end

local function now_ms()
  return math.floor(now_us() / 1000)
end

local function queue_key(queue)
  return 'wb:{' .. queue .. '}:queue'
end

local function partition_prefix(queue, p)
  return 'wb:{' .. queue .. ':' .. p .. '}:'
end

-- A key always falls into the same partition: the first 32 bits of its SHA-1.
local function partition_of(key, partitions)
  local hash = tonumber(string.sub(redis.sha1hex(key), 1, 8), 16)
  return digits(hash % tonumber(partitions))
end

local function pack(op, attempts, version, first, writes)
  return op .. attempts .. ':' .. version .. ':' .. first .. ':' .. writes
end

-- Of what is no entry every number is 0: it is claimed at once, and dropped.
local function unpack_entry(entry)
  local op, attempts, version, first, writes = string.match(entry, '^(%a)(%d+):(%d+):(%d+):(%d+)')
  if not op then return 's', '0', '0', '0', '0' end
  return op, attempts, version, first, writes
end

-- Versions are strings of digits without leading zeros: the longer one is the
-- higher one, and of two of one length the alphabet decides.
local function higher(a, b)
  if #a ~= #b then return #a > #b end
  return a > b
end

local function in_chunks(list, call)
  for from = 1, #list, CHUNK do
    call(from, math.min(from + CHUNK - 1, #list))
  end
end

local function call_in_chunks(command, key, list)
  in_chunks(list, function(from, to)
    redis.call(command, key, unpack(list, from, to))
  end)
end

-- hmget answers false for a field that is not there.
local function hmget(key, fields)
  if #fields <= CHUNK then
    return redis.call('HMGET', key, unpack(fields))
  end
  local all = {}
  in_chunks(fields, function(from, to)
    local part = redis.call('HMGET', key, unpack(fields, from, to))
    for i = 1, to - from + 1 do all[from + i - 1] = part[i] end
  end)
  return all
end

----------------------------------------------------------------------------
-- Capture
----------------------------------------------------------------------------

-- look_up checks what every capture call has in common and finds the entry of
-- its key. It reads every journal key that a write touches, so that one of a
-- wrong type is met before anything is changed. It returns the facts, or nil and
-- an error.
local function look_up(keys, args, arguments, usage)
  if #keys ~= 1 or #args ~= arguments then
    return nil, fail('WBARGS', 'wrong number of arguments: give ' .. usage)
  end
  local key, queue = keys[1], args[1]
  local settings = queue_key(queue)
  local s = redis.call('HMGET', settings,
    'prefix', 'partitions', 'state', 'mode', 'encoding', 'max', 'full', 'depth', 'since')
  if not s[2] then
    return nil, fail('WBNOQUEUE', 'there is no queue ' .. queue .. ' in this Redis: is its flusher running?')
  end
  local prefix = s[1]
  if #key <= #prefix or string.sub(key, 1, #prefix) ~= prefix then
    return nil, fail('WBARGS', 'KEY must begin with ' .. prefix .. ' and go on after it: queue ' .. queue .. ' holds no other keys')
  end
  local base = partition_prefix(queue, partition_of(key, s[2]))
  return {
    key = key, queue = queue, settings = settings, state = s[3], mode = s[4], encoding = s[5],
    max = tonumber(s[6]), full = s[7], depth = tonumber(s[8]), since = s[9],
    base = base, entry = redis.call('HGET', base .. 'ops', key),
  }
end

-- check_writable refuses a write that the queue does not take. A key that is
-- dirty already does not grow the queue and is always taken.
local function check_writable(at)
  if at.mode ~= 'Latest' or at.encoding ~= 'JSON' then
    return fail('WBMODE', 'queue ' .. at.queue .. ' has mode ' .. at.mode .. ' and encoding ' .. at.encoding)
  end
  if at.state ~= 'open' then
    return fail('WBPAUSED', 'queue ' .. at.queue .. ' takes no writes: it is being drained or was retired')
  end
  if not at.entry and at.full == 'Reject' and at.depth >= at.max then
    return fail('WBFULL', 'queue ' .. at.queue .. ' holds ' .. digits(at.depth) .. ' entries of at most ' .. digits(at.max))
  end
end

-- check_types refuses a key that holds something else than a string, which SET
-- would throw away, and meets a journal key of a wrong type.
local function check_types(at)
  local kind = redis.call('TYPE', at.key).ok
  if kind ~= 'string' and kind ~= 'none' then
    return fail('WRONGTYPE', 'KEY holds a ' .. kind .. ', which was not written by wb_set')
  end
  if not at.entry then redis.call('LLEN', at.base .. 'q') end
end

local function refused(reply)
  return type(reply) == 'table' and reply.err
end

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

-- begin_life notes how many writes a queue has as this process begins to work with it,
-- before it takes another one. What a flusher has seen beyond that is lost. Returns since.
local function begin_life(queue)
  local since, key = digits(now_us()), queue_key(queue)
  redis.call('HSET', key, 'since', since, 'since_writes', redis.call('HGET', key, 'writes') or 0)
  redis.call('HDEL', key, 'since_lost')
  begun[queue] = since
  return since
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
    reply = enter_again(at, pack(op, 0, digits(version), from, digits(tonumber(writes) + 1)), from, tries)
  else
    local text = digits(version)
    reply = enter_first(at, pack(op, 0, text, text, 1), text)
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

-- fits_mode refuses what reads or caches documents where the queue holds something else.
local function fits_mode(at)
  if at.mode ~= 'Latest' or at.encoding ~= 'JSON' then return check_writable(at) end
end

-- A read is forgotten after so long, in µs: a minute is more than a reader takes that
-- still waits for its row. One that is older than half of it is not shared any more.
local READ_LIVES = 60000000

-- So many reads of a partition are remembered: a crowd that asks for rows which are not
-- there must not fill the memory. The oldest go first, and their values are not cached.
local MOST_READS = 1000

-- What wb_get answers where nothing may be cached. No read has it.
local NO_TOKEN = '0'

-- forget_reads takes away the tokens of keys whose entry has gone: it may be committed
-- by now, and what was read before is older. This is the only place that has to, since
-- nothing is cached of a key while it is dirty. So a write pays nothing for it.
local function forget_reads(base, keys)
  if #keys == 0 or redis.call('EXISTS', base .. 'reads') == 0 then return end
  call_in_chunks('ZREM', base .. 'reads', keys)
end

-- trim_reads takes away up to two reads that are too old or too many: a call adds one at
-- most. What lies ahead of the clock was noted before that was put back.
local function trim_reads(reads, now)
  local surplus = redis.call('ZCARD', reads) - MOST_READS
  local oldest, gone = redis.call('ZRANGE', reads, 0, 1, 'WITHSCORES'), {}
  for i = 1, #oldest, 2 do
    if surplus > 0 or tonumber(oldest[i + 1]) <= now - READ_LIVES then gone[#gone + 1] = oldest[i] end
  end
  local newest = redis.call('ZRANGE', reads, -1, -1, 'WITHSCORES')
  if newest[2] and tonumber(newest[2]) > now then gone[#gone + 1] = newest[1] end
  call_in_chunks('ZREM', reads, gone)
end

-- note_read gives a reader of a clean key that is not cached a token: the time of the
-- read, in µs since 1970. Readers of one key that come together share it.
local function note_read(at)
  local reads, now = at.base .. 'reads', now_us()
  trim_reads(reads, now)
  local token = tonumber(redis.call('ZSCORE', reads, at.key) or 0)
  if token > now or token <= now - READ_LIVES / 2 then
    token = now
    redis.call('ZADD', reads, digits(token), at.key)
  end
  return digits(token)
end

-- FCALL wb_get 1 KEY QUEUE. Returns the value or, on a miss, an array of nil and a
-- token: with that, wb_fill caches what is read from the database only if KEY was not
-- written or deleted since. While KEY is dirty or the queue paused nothing may be
-- cached, and the token fits nothing. O(log n) in the reads of one partition.
local function wb_get(keys, args)
  local at, err = look_up(keys, args, 1, 'wb_get 1 KEY QUEUE')
  if not at then return err end
  err = fits_mode(at)
  if err then return err end
  local value = redis.pcall('GET', at.key)
  if refused(value) then return check_types(at) or value end
  if value then return value end
  if at.entry or at.state ~= 'open' then return { false, NO_TOKEN } end
  return { false, note_read(at) }
end

-- still_fits tells whether a clean key was neither written nor deleted since the token
-- was given.
local function still_fits(at, token)
  local noted, now = tonumber(redis.call('ZSCORE', at.base .. 'reads', at.key) or 0), now_us()
  return digits(noted) == token and noted <= now and noted > now - READ_LIVES
end

-- FCALL wb_fill 1 KEY QUEUE VALUE [TOKEN]. Only where nothing is known of the key: what
-- was read from the database is older than any pending write or deletion. With the TOKEN
-- of the wb_get before, only if KEY was not written or deleted since then: a write may
-- have come and been flushed while the row was on its way. A paused queue caches nothing
-- any more. Returns 1 if the value was cached, otherwise 0. O(1).
local function wb_fill(keys, args)
  local token = args[3]
  local at, err = look_up(keys, args, token and 3 or 2, 'wb_fill 1 KEY QUEUE VALUE [TOKEN]')
  if not at then return err end
  err = fits_mode(at)
  if err then return err end
  if token and not string.match(token, '^%d+$') then
    return fail('WBARGS', 'TOKEN must be what wb_get gave on a miss of KEY, which is digits')
  end
  if at.entry or at.state ~= 'open' then return 0 end
  if token and not still_fits(at, token) then return 0 end
  local ttl = redis.call('HGET', at.settings, 'ttl')
  local reply
  if ttl == '0' then
    reply = redis.call('SET', at.key, args[2], 'NX')
  else
    reply = redis.call('SET', at.key, args[2], 'NX', 'PX', ttl)
  end
  -- The token is used up: the next miss is given another.
  if token then redis.call('ZREM', at.base .. 'reads', at.key) end
  return reply and 1 or 0
end

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
  local _, _, _, first = unpack_entry(at.entry)
  return tonumber(first)
end

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
      local _, _, _, first = unpack_entry(entry)
      oldest = math.min(oldest or math.huge, tonumber(first))
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

----------------------------------------------------------------------------
-- Engine
----------------------------------------------------------------------------

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

-- runs tells whether a time-out that was set ttl ms ahead still runs. One that lies
-- further ahead was set before the clock was put back.
local function runs(expiry, now, ttl)
  return expiry > now and expiry <= now + ttl
end

local function total_depth(queue, partitions)
  local depth = 0
  for p = 0, tonumber(partitions) - 1 do
    local base = partition_prefix(queue, p)
    depth = depth + redis.call('HLEN', base .. 'ops') + redis.call('HLEN', base .. 'dlq')
  end
  return depth
end

local function reshaped_error(queue, prefix, mode, encoding)
  return fail('WBJOURNAL', 'queue ' .. queue .. ' has prefix ' .. prefix .. ', mode ' .. mode ..
    ' and encoding ' .. encoding .. ': flush it with those settings first')
end

-- The list of all queues of this Redis. It is in the order of the prefixes, and none of
-- them begins another, so the neighbours of a prefix are all that it can meet.
local QUEUES = 'wb:queues'

-- An empty queue keeps its prefix for so long after its last flusher was seen, in ms: a
-- flusher that starts anew must not find that another queue has taken it.
local KEPT_FREE = 10000

-- OWNER_FILE is the owner of every config file that names none: two of them may be two
-- configs as well as two versions of one.
local OWNER_FILE = 'file'

-- has_prefix tells whether a queue on the list still goes on with the prefix: somebody
-- flushes it, or did a moment ago, or it holds something.
local function has_prefix(queue, prefix, now)
  local s = redis.call('HMGET', queue_key(queue), 'prefix', 'partitions', 'seen')
  if s[1] ~= prefix then return false end
  return runs(tonumber(s[3] or 0) + KEPT_FREE, now, KEPT_FREE) or total_depth(queue, s[2]) > 0
end

-- met returns name and prefix of the first among elements of the list that is not the
-- present one, if keys of its prefix are keys of the other.
local function met(elements, present, prefix)
  for _, element in ipairs(elements) do
    if element ~= present then
      local theirs, name = string.match(element, '^(.*)%z(.*)$')
      local short = math.min(#theirs, #prefix)
      if string.sub(theirs, 1, short) == string.sub(prefix, 1, short) then return name, theirs end
      return nil
    end
  end
end

-- rival_of returns name and prefix of another queue that has keys of this prefix, or nil.
-- What is on the list and gone is taken off on the way. O(log n) in the queues.
local function rival_of(queue, prefix, now)
  local at = prefix .. '\1'
  -- Of two neighbours one may be the queue itself, with the prefix that it has until now.
  local present = (redis.call('HGET', queue_key(queue), 'prefix') or '') .. '\0' .. queue
  while true do
    local name, theirs = met(redis.call('ZREVRANGEBYLEX', QUEUES, '(' .. at, '-', 'LIMIT', 0, 2), present, prefix)
    if not name then
      name, theirs = met(redis.call('ZRANGEBYLEX', QUEUES, '[' .. at, '+', 'LIMIT', 0, 2), present, prefix)
    end
    if not name or name ~= queue and has_prefix(name, theirs, now) then return name, theirs end
    redis.call('ZREM', QUEUES, theirs .. '\0' .. name)
  end
end

-- enlist puts the queue on the list, if it is not there yet, or tells in an error which
-- queue has keys of its prefix: the acknowledgement of one would give a time to live to a
-- key that is dirty in the other.
local function enlist(queue, prefix, now)
  local element = prefix .. '\0' .. queue
  if redis.call('ZSCORE', QUEUES, element) then return nil end
  local name, theirs = rival_of(queue, prefix, now)
  if name then
    local text = 'queue ' .. queue .. ' (keyPrefix ' .. prefix .. ') shares keys with queue ' .. name ..
      ' (keyPrefix ' .. theirs .. '), which this Redis has already: give it another keyPrefix, or let queue ' .. name ..
      ' be flushed and stop its flushers'
    -- A NUL would end the text.
    return fail('WBCONFLICT', (string.gsub(text, '[%z%c]', '?')))
  end
  redis.call('ZADD', QUEUES, 0, element)
end

-- What has run out is known without the time that it was set for: longer than this, in
-- ms, nothing is.
local LONGEST_LEASE = 600000

-- A call looks at so many members. More flushers than that never live at a queue, which
-- has fewer partitions: the others are dead, and go by and by.
local MOST_MEMBERS = 500

-- living_members returns those of a queue's members that live, and whether it has looked
-- at all of them. What is dead is taken off where it sweeps, or where there are too many.
local function living_members(queue, now, ttl, sweeps)
  local key = 'wb:{' .. queue .. '}:members'
  local whole, all = redis.call('HLEN', key) <= MOST_MEMBERS, nil
  if whole then
    all = redis.call('HGETALL', key)
  else
    all = redis.call('HRANDFIELD', key, MOST_MEMBERS, 'WITHVALUES')
  end
  local living, dead = {}, {}
  for i = 1, #all, 2 do
    local into = runs(tonumber(all[i + 1]) or 0, now, ttl) and living or dead
    into[#into + 1] = all[i]
  end
  if sweeps or not whole then call_in_chunks('HDEL', key, dead) end
  return living, whole
end

-- lives tells whether any flusher is at the queue, or may be among too many members.
local function lives(queue, now)
  local living, whole = living_members(queue, now, LONGEST_LEASE, false)
  return #living > 0 or not whole
end

-- same_target tells whether two targets are one. Of the lines that only one of them has
-- the other tells nothing.
local function same_target(one, other)
  local lines = string.gmatch(other, '[^\n]+')
  for line in string.gmatch(one, '[^\n]+') do
    local theirs = lines()
    if theirs and theirs ~= line then return false end
  end
  return true
end

-- words_of tells what of a target is not as in the other, for a message: there may be two
-- hundred columns.
local function words_of(target, other)
  local words, lines = nil, string.gmatch(other, '[^\n]+')
  for line in string.gmatch(target, '[^\n]+') do
    local differs = line ~= lines()
    if words and differs then words = words .. ' with ' .. line end
    if not words then
      words = line
      if differs then break end
    end
  end
  words = string.gsub(words or target, '[%z%c]', '?')
  if #words > 500 then return string.sub(words, 1, 500) .. '...' end
  return words
end

-- contradicts tells in an error that a config names other keys, another table or other
-- columns for the queue than the one in force, s.
local function contradicts(queue, s, owner, target)
  local text = 'queue ' .. queue .. ' (keyPrefix ' .. s.prefix .. ') is flushed'
  if s.target then text = text .. ' into ' .. words_of(s.target, target) end
  if s.owner == owner and owner ~= OWNER_FILE then
    return fail('WBCONFLICT', text .. ' by revision ' .. s.target_revision .. ' of this config, and this one is another: ' ..
      'bring every flusher to one revision')
  end
  return fail('WBCONFLICT', text .. ' by another config (owner ' .. s.owner .. '), and this one names something else: ' ..
    'give its mapping another name and keyPrefix, or stop the flushers of the other one')
end

-- home_of takes a home apart: what the database says that it is, how new the URL is that leads
-- there (the higher, the newer), the config's owner, and a name for a person. Where there is none
-- it returns nil.
local function home_of(home)
  return string.match(home or '', '^([^\n]+)\n(%d+)\n([^\n]*)\n(.*)$')
end

-- elsewhere tells in an error that others hold partitions whose epochs were begun at
-- another database than the one that the home of this member names. Where they are of the
-- same config and have an older URL it returns their leases instead. present is the identity
-- of the queue's last epoch: as long as it is this one, nobody is looked at. Who has not
-- looked at its database yet waits until it has.
local function elsewhere(queue, prefix, partitions, present, member, home)
  local id, age, owner, name = home_of(home)
  local waits = home == '?'
  if not (id or waits) or not present or present == id then return nil, {} end
  local now, theirs = now_ms(), {}
  for p = 0, tonumber(partitions) - 1 do
    local key = partition_prefix(queue, p) .. 'lease'
    local l = redis.call('HMGET', key, 'owner', 'expiry', 'home')
    local at, before, whose, called = home_of(l[3])
    if at and at ~= id and l[1] ~= member and runs(tonumber(l[2]), now, LONGEST_LEASE) then
      if waits then return fail('WBWAIT', 'others flush queue ' .. queue .. ', and it is not known yet whether to the same database') end
      if whose ~= owner or owner == OWNER_FILE or not higher(age, before) then
        local text = 'queue ' .. queue .. ' (keyPrefix ' .. prefix .. ') is flushed into database ' .. called .. ' (' .. at ..
          ') by other flushers, and the URL of this one leads to another database, ' .. name .. ' (' .. id ..
          '): give all of them the URL of one database, or this mapping another name and keyPrefix, or stop the other flushers; ' ..
          'if the database has moved, this ends as soon as they have its new URL; ' ..
          'the numbers are system_identifier of pg_control_system() and the oid of the database in pg_database'
        return fail('WBCONFLICT', (string.gsub(text, '[%z%c]', '?')))
      end
      theirs[#theirs + 1] = key
    end
  end
  return nil, theirs
end

-- start_over takes everything from the flushers that are at the queue, whose settings
-- have been replaced by others that name another table: what they have in hand is claimed
-- again.
local function start_over(queue, partitions)
  redis.call('DEL', 'wb:{' .. queue .. '}:members')
  for p = 0, tonumber(partitions) - 1 do redis.call('DEL', partition_prefix(queue, p) .. 'lease') end
end

-- ledger_of returns the schema of the ledger that a target names, or nil.
local function ledger_of(target)
  return string.match(string.match(target, '^[^\n]*'), '%(ledger in schema (.+)%)$')
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

-- share_of returns how many partitions a member should hold when all living
-- members, in the order of their names, share them as evenly as they can.
local function share_of(members, member, partitions)
  table.sort(members)
  local share = math.floor(partitions / #members)
  for i, name in ipairs(members) do
    if name == member and i <= partitions % #members then share = share + 1 end
  end
  return share
end

-- enrol keeps the member alive and returns those that live. Where it has not looked at
-- all of them, the member itself is the last.
local function enrol(queue, member, now, ttl)
  redis.call('HSET', 'wb:{' .. queue .. '}:members', member, digits(now + ttl))
  local living, whole = living_members(queue, now, ttl, true)
  if whole then return living end
  local others = {}
  for _, name in ipairs(living) do
    if name ~= member then others[#others + 1] = name end
  end
  others[#others + 1] = member
  return others
end

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
    local base = partition_prefix(queue, args[i])
    local retried = retried_of(base)
    local due = retried + redis.call('ZCOUNT', base .. 'retry', '-inf', now_in_ms)
      + redis.call('ZCOUNT', base .. 'retry', too_far, '+inf')
    local entries, queued = redis.call('HLEN', base .. 'ops'), redis.call('LLEN', base .. 'q')
    -- A claim finds out what is wrong, and mends it.
    if queued + redis.call('ZCARD', base .. 'retry') ~= entries then due = due + 1 end
    local head = redis.call('LINDEX', base .. 'q', retried)
    local age, undated = 0, 0
    local entry = head and redis.call('HGET', base .. 'ops', head)
    if entry then
      local _, _, _, first = unpack_entry(entry)
      age = age_of(first)
      if tonumber(first) > now then undated = 1 end
    end
    reply[#reply + 1] = entries
    reply[#reply + 1] = math.max(0, queued - retried)
    reply[#reply + 1] = due
    reply[#reply + 1] = age
    reply[#reply + 1] = undated
    reply[#reply + 1] = age_of(oldest_of(base) or now)
    reply[#reply + 1] = redis.call('HLEN', base .. 'dlq')
    reply[#reply + 1] = tonumber(redis.call('HGET', base .. 'meta', 'step') or 0)
    reply[#reply + 1] = i == 2 and tonumber(s[2] or 0) or 0
    reply[#reply + 1] = i == 2 and tonumber(s[3] or 0) or 0
  end
  return reply
end

-- consistent tells whether q, retry and late can be what the functions made of ops.
local function consistent(base)
  local queued, retried = redis.call('LLEN', base .. 'q'), retried_of(base)
  return queued + redis.call('ZCARD', base .. 'retry') == redis.call('HLEN', base .. 'ops')
    and retried <= queued and retried <= MOST_RETRIED
end

-- count_gone takes a page off q, and then off retry, and notes the keys of the queue's
-- prefix that have no entry: only the functions put keys there, with one. Returns whether
-- nothing is left.
local function count_gone(base, prefix)
  local names = redis.call('LRANGE', base .. 'q', 0, PAGE - 1)
  redis.call('LTRIM', base .. 'q', PAGE, -1)
  if #names == 0 then
    local popped = redis.call('ZPOPMIN', base .. 'retry', PAGE)
    for i = 1, #popped, 2 do names[#names + 1] = popped[i] end
  end
  if #names == 0 then return true end
  local entries, gone = hmget(base .. 'ops', names), {}
  for i, name in ipairs(names) do
    if not entries[i] and #name > #prefix and string.sub(name, 1, #prefix) == prefix then
      gone[#gone + 1] = 0
      gone[#gone + 1] = name
    end
  end
  call_in_chunks('ZADD', base .. 'gone', gone)
  return false
end

-- note_gone counts the entries that are gone as one data-loss event.
local function note_gone(base)
  local meta, gone = base .. 'meta', redis.call('ZCARD', base .. 'gone')
  if gone == 0 then return end
  redis.call('HINCRBY', meta, 'data_loss', 1)
  redis.call('HINCRBY', meta, 'discarded', gone)
  redis.call('HSET', meta, 'gone', gone)
end

-- mend makes q anew from ops, in the order of the first versions, and has what was
-- refused wait for another try, which is due: somebody edited the journal by hand, and
-- ops is what an entry stands on. A call does a part of it that takes a few ms. First it
-- looks which keys of the old order have no entry any more, which is lost. Then the
-- entries are read with a cursor into a set by first version, where those that come in
-- meanwhile go too, so that none is lost and none stands there twice; then the set is
-- moved to q. No claim is out until it is done, so no entry goes meanwhile. A cursor
-- that a restart of Redis made worthless leaves entries out: then all begins anew.
-- Returns whether it is done.
local function mend(base, mending, prefix)
  local meta = base .. 'meta'
  if not mending then
    redis.call('UNLINK', base .. 'mend', base .. 'gone')
    redis.call('HSET', meta, 'claimed', 0, 'mending', 'counting')
    mending = 'counting'
  end
  if mending == 'counting' then
    if not count_gone(base, prefix) then return false end
    note_gone(base)
    redis.call('UNLINK', base .. 'q', base .. 'late', base .. 'retry', base .. 'gone')
    redis.call('HSET', meta, 'mending', '0')
    mending = '0'
  end
  if mending ~= 'moving' then
    local scan = redis.call('HSCAN', base .. 'ops', mending, 'COUNT', MENDED)
    local all, fresh, late, retry = scan[2], {}, {}, {}
    for i = 1, #all, 2 do
      local _, attempts, _, first = unpack_entry(all[i + 1])
      local into = (attempts or '0') == '0' and fresh or late
      into[#into + 1] = first or 0
      into[#into + 1] = all[i]
      if into == late then
        retry[#retry + 1] = 0
        retry[#retry + 1] = all[i]
      end
    end
    call_in_chunks('ZADD', base .. 'mend', fresh)
    call_in_chunks('ZADD', base .. 'late', late)
    call_in_chunks('ZADD', base .. 'retry', retry)
    redis.call('HSET', meta, 'mending', scan[1] == '0' and 'moving' or scan[1])
    return false
  end
  local popped, names = redis.call('ZPOPMIN', base .. 'mend', PAGE), {}
  for i = 1, #popped, 2 do names[#names + 1] = popped[i] end
  call_in_chunks('RPUSH', base .. 'q', names)
  if redis.call('ZCARD', base .. 'mend') > 0 then return false end
  redis.call('HDEL', meta, 'mending')
  return consistent(base)
end

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
      local version = string.match(entries[i], '^%a%d+:(%d+)')
      if version and higher(version, top) then top = version end
    end
  end
  return top
end

-- may_claim tells in an error why the caller may not claim, or returns nil.
local function may_claim(args)
  local base, member, epoch = partition_prefix(args[1], args[2]), args[3], args[4]
  local held, expiry = holds(base, member, epoch, args[5])
  if not held or tonumber(expiry) <= now_ms() then return lost(member, epoch) end
  if redis.call('HGET', queue_key(args[1]), 'prefix') ~= args[7] then return lost(member, epoch) end
  local step = redis.call('HGET', base .. 'meta', 'step') or '0'
  if step ~= args[6] then
    return fail('WBSTEP', 'the journal of partition ' .. args[2] .. ' is at step ' .. step .. ', its owner at ' .. args[6])
  end
end

-- page takes the entries that follow the first offset ones into the claim. Entry and
-- value are read in the same step, so a page is as new as the moment of its call.
local function page(base, claim, offset, args, exceeding)
  local most = math.min(tonumber(args[8]), PAGE)
  local keys = redis.call('LRANGE', base .. 'q', offset, offset + most - 1)
  local groups, count, left_out = values_of(keys, tonumber(args[9]), exceeding)
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
    'step', digits(tonumber(args[6]) + 1))
  local more = left_out == 0 and count == most
  return { claim, count, 0, keys, entries, groups, left_out, more and 1 or 0 }
end

-- wb_engine_claim 0 QUEUE P MEMBER EPOCH JOURNAL STEP PREFIX MOST BYTES RETRIES [PAGED]: claims
-- the first entries of the queue, at most MOST, a page at most, and BYTES of values;
-- at most RETRIES that were refused and are due come before them. One claim of a
-- partition is out at a time: a new one makes the one before it void, so whoever
-- may have committed that one has to begin a new epoch first. Returns the
-- claim's number, how many entries it has, what became of an order that had to be made
-- anew (1 made, 2 under way: call again), the keys, the entries, the values in groups, the
-- length of the next value if that alone had no room, 1 if more may follow, which
-- wb_engine_more gets, and how many entries were found gone as the order was made anew,
-- which is counted as one data-loss event. Without PAGED, as the release before this one calls, a first
-- value that exceeds BYTES is in the claim all the same.
-- STEP is how many pages and parts of acknowledgements the owner has had in this epoch:
-- a journal that is at another step is not the one that it worked with, Redis came back
-- with older data.
local function engine_claim(_, args)
  local err = may_claim(args)
  if err then return err end
  local base, rebuilt = partition_prefix(args[1], args[2]), 0
  local mending = redis.call('HGET', base .. 'meta', 'mending')
  if mending or not consistent(base) then
    if not mend(base, mending, args[7]) then return { 0, 0, 2, {}, {}, {}, 0, 0 } end
    rebuilt = 1
  end
  take_due(base, tonumber(args[10]))
  local reply = page(base, 0, 0, args, args[11] == nil)
  reply[3] = rebuilt
  if rebuilt == 1 then
    reply[9] = tonumber(redis.call('HGET', base .. 'meta', 'gone') or 0)
    redis.call('HDEL', base .. 'meta', 'gone')
  end
  return reply
end

-- wb_engine_more 0 QUEUE P MEMBER EPOCH JOURNAL STEP PREFIX MOST BYTES CLAIM OFFSET: the
-- next page of a claim that has OFFSET entries by now, so that a large one does not hold
-- Redis for long. Returns what wb_engine_claim does.
local function engine_more(_, args)
  local err = may_claim(args)
  if err then return err end
  local base = partition_prefix(args[1], args[2])
  local meta = redis.call('HMGET', base .. 'meta', 'claim', 'claimed')
  if meta[1] ~= args[10] or meta[2] ~= args[11] or meta[2] == '0' then
    return fail('WBCLAIM', 'claim ' .. args[10] .. ' with ' .. args[11] .. ' entries is not the one that is out')
  end
  return page(base, tonumber(args[10]), tonumber(args[11]), args, false)
end

-- put_letter makes the key's dead letter. What stood there of an earlier one goes, or a
-- letter without a payload would come to have that one's. Returns 1 if there was none.
local function put_letter(base, key, known, payload)
  if payload and payload ~= '' then
    redis.call('HSET', base .. 'payloads', key, payload)
  else
    redis.call('HDEL', base .. 'payloads', key)
  end
  return redis.call('HSET', base .. 'dlq', key, known)
end

-- drop_letters takes the keys' dead letters away and returns how many there were. What is
-- left of letters that somebody deleted by hand goes with it.
local function drop_letters(base, keys)
  if #keys == 0 then return 0 end
  if redis.call('HLEN', base .. 'dlq') == 0 then
    redis.call('UNLINK', base .. 'payloads')
    return 0
  end
  local dropped = 0
  in_chunks(keys, function(from, to)
    redis.call('HDEL', base .. 'payloads', unpack(keys, from, to))
    dropped = dropped + redis.call('HDEL', base .. 'dlq', unpack(keys, from, to))
  end)
  return dropped
end

-- parts_of returns what is known of a key's dead letter, and its payload.
local function parts_of(base, key, letter)
  local known, payload = string.match(letter, '^([^\n]*)\n(.*)$')
  if known then return known, payload end
  return letter, redis.call('HGET', base .. 'payloads', key) or ''
end

-- is_named tells whether a caller means this dead letter of the key. It gives what is known
-- of it or, as the release before this one does, that, a line feed and the payload.
local function is_named(base, key, letter, name)
  if not letter then return false end
  if letter == name or string.sub(letter, 1, #name + 1) == name .. '\n' then return true end
  if string.sub(name, 1, #letter + 1) ~= letter .. '\n' then return false end
  local _, payload = parts_of(base, key, letter)
  return string.sub(name, #letter + 2) == payload
end

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
        pack(op, attempts, version, digits(tonumber(was) + 1), digits(tonumber(writes) - tonumber(before)))
    end
    return
  end
  local fresh = string.sub(claimed, 2, 3) == '0:'
  if outcome == 'k' and fresh then
    result.back[#result.back + 1] = key
    return
  end
  if outcome == 'k' or outcome == 'r' then
    result.retry[#result.retry + 1] = digits(now_ms() + tonumber(beyond or 0))
    result.retry[#result.retry + 1] = key
  end
  if outcome == 'r' then
    local op, attempts, version, first, writes = unpack_entry(claimed)
    local since = string.match(claimed, ':%d+:%d+:%d+:(%d+)$') or digits(now_us())
    result.entries[#result.entries + 1] = key
    result.entries[#result.entries + 1] = pack(op, digits(tonumber(attempts) + 1), version, first, writes) .. ':' .. since
    result.late[#result.late + 1] = first
    result.late[#result.late + 1] = key
  end
  if outcome == 'k' or outcome == 'r' then return end
  result.gone[#result.gone + 1] = key
  local set = string.sub(claimed, 1, 1) == 's'
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
-- with the argument of number first, and left remain claimed. See engine_settle.
local function acknowledge(args, first, left)
  local base, member, epoch, claim = partition_prefix(args[1], args[2]), args[3], args[4], args[6]
  if not holds(base, member, epoch, args[5]) then return lost(member, epoch) end
  local meta = redis.call('HMGET', base .. 'meta', 'claim', 'claimed', 'acked', 'floor', 'top')
  local claimed, count = tonumber(meta[2] or 0), #args - first + 1
  if meta[3] == claim then return 0 end
  if meta[1] ~= claim or claimed == 0 then
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
  local queue = queue_key(args[1])
  local ttl = redis.call('HGET', queue, 'ttl')
  if ttl ~= '0' then
    for _, key in ipairs(result.clean) do redis.call('PEXPIRE', key, ttl) end
  end
  redis.call('HINCRBY', queue, 'depth', #result.dead / 2 - superseded - #result.gone)
  redis.call('HINCRBY', base .. 'meta', 'flushed', result.done)
  redis.call('HINCRBY', base .. 'meta', 'coalesced', args[9])
  redis.call('HINCRBY', base .. 'meta', 'superseded', superseded)
  redis.call('HINCRBY', base .. 'meta', 'data_loss', result.loss)
  redis.call('HINCRBY', base .. 'meta', 'step', 1)
  local floor, top = args[7], args[8]
  if meta[4] and higher(meta[4], floor) then floor = meta[4] end
  if meta[5] and higher(meta[5], top) then top = meta[5] end
  redis.call('HSET', base .. 'meta', 'floor', floor, 'top', top, 'claimed', left)
  if left == 0 then redis.call('HSET', base .. 'meta', 'acked', claim) end
  return 1 + superseded
end

-- wb_engine_settle 0 QUEUE P MEMBER EPOCH JOURNAL CLAIM FLOOR TOP COALESCED LEFT OUTCOME...:
-- acknowledges the first entries of the claim, so that LEFT remain, and cuts them off the
-- queue: a large claim is acknowledged in parts, each of them whole. An OUTCOME is d
-- (done), r (refused, to be tried
-- again), k (kept, not tried), f (forged: dropped), x (dead) or l (dead, since its value is lost), followed
-- by the entry as it was claimed and, after a line feed, where it is dead by what is
-- known of it, and where it waits for another try by the ms to wait; the order is the
-- claim's. FLOOR is the highest version of the part that is now committed or dead, TOP the
-- highest that is committed, COALESCED the writes that done entries stood for beyond the
-- first. A part applies once: a repeat returns 0, the first call 1 and how many dead letters
-- have gone for a newer one or a newer write on top of that. The lease may have run
-- out as long as nobody took it: what has been committed needs no second flush.
local function engine_settle(_, args)
  return acknowledge(args, 11, tonumber(args[10]))
end

-- wb_engine_ack 0 QUEUE P MEMBER EPOCH JOURNAL CLAIM FLOOR TOP COALESCED OUTCOME...: the
-- whole claim at once, as the release before this one calls.
local function engine_ack(_, args)
  return acknowledge(args, 10, 0)
end

-- wb_engine_letters 0 QUEUE P CURSOR COUNT: some dead letters of a partition, as the
-- release before this one reads them. Returns the next cursor, 0 at the end, and key,
-- letter in turn: what is known, a line feed, the payload.
local function engine_letters(_, args)
  local base = partition_prefix(args[1], args[2])
  local scan = redis.call('HSCAN', base .. 'dlq', args[3], 'COUNT', args[4])
  for i = 1, #scan[2], 2 do
    scan[2][i + 1] = table.concat({ parts_of(base, scan[2][i], scan[2][i + 1]) }, '\n')
  end
  return scan
end

-- wb_engine_known 0 QUEUE P CURSOR COUNT BYTES: what is known of some dead letters of a
-- partition, without the payloads: about COUNT of them, fewer where letters of library 4
-- are large, since Redis has to touch BYTES of them. Returns the next cursor, 0 at the end,
-- and key and what is known in turn.
local function engine_known(_, args)
  local dlq, cursor = partition_prefix(args[1], args[2]) .. 'dlq', args[3]
  local most, bytes, found = tonumber(args[4]), tonumber(args[5]), {}
  -- HSCAN reads the letters whole: one bucket at a time tells in time that they are large.
  local stride = '1'
  repeat
    local scan = redis.call('HSCAN', dlq, cursor, 'COUNT', stride)
    cursor = scan[1]
    local read = 0
    for i = 1, #scan[2], 2 do
      local letter = scan[2][i + 1]
      local known = string.match(letter, '^[^\n]*')
      found[#found + 1] = scan[2][i]
      found[#found + 1] = known
      read = read + #letter
    end
    bytes = bytes - read
    if read < 4096 then stride = '10' else stride = '1' end
  until cursor == '0' or #found >= 2 * most or bytes <= 0
  return { cursor, found }
end

-- wb_engine_letter 1 KEY QUEUE: what is known of the key's dead letter and its payload,
-- or nil.
local function engine_letter(keys, args)
  local at, err = look_up(keys, args, 1, 'wb_engine_letter 1 KEY QUEUE')
  if not at then return err end
  local letter = redis.call('HGET', at.base .. 'dlq', at.key)
  return letter and { parts_of(at.base, at.key, letter) }
end

-- find_letter returns a key's place in the journal and its dead letter.
local function find_letter(keys, args, usage)
  local at, err = look_up(keys, args, 2, usage)
  if not at then return nil, nil, err end
  local letter = redis.call('HGET', at.base .. 'dlq', at.key)
  if not is_named(at.base, at.key, letter, args[2]) then
    return nil, nil, fail('WBNOLETTER', 'KEY has no such dead letter any more')
  end
  return at, letter
end

local function bury(at, counter)
  drop_letters(at.base, { at.key })
  redis.call('HINCRBY', at.settings, 'depth', -1)
  redis.call('HINCRBY', at.base .. 'meta', counter, 1)
end

-- wb_engine_replay 1 KEY QUEUE LETTER: writes a dead letter's payload anew, as a new
-- write with a new version, if LETTER is still the key's dead letter and nothing
-- newer was written. Returns the version.
local function engine_replay(keys, args)
  local at, letter, err = find_letter(keys, args, 'wb_engine_replay 1 KEY QUEUE LETTER')
  if not at then return err end
  if at.entry then
    return fail('WBSUPERSEDED', 'KEY was written again: the newer write stands')
  end
  local known, payload = parts_of(at.base, at.key, letter)
  local read, letter_says = pcall(cjson.decode, known)
  local operation = read and type(letter_says) == 'table' and letter_says.operation
  if operation ~= 'set' and operation ~= 'delete' then
    return fail('WBARGS', 'this dead letter is not in the format of the journal: it can only be discarded')
  end
  if operation == 'set' and payload == '' then
    return fail('WBARGS', 'the payload of this dead letter is lost: there is nothing to replay')
  end
  err = check_types(at)
  if err then return err end
  local version
  if operation == 'set' then
    version = journal_then(at, 's', 'SET', payload)
  else
    version = journal_then(at, 'd', 'DEL')
  end
  if not refused(version) then bury(at, 'superseded') end
  return version
end

-- wb_engine_discard 1 KEY QUEUE LETTER: gives a dead letter up, if LETTER is still
-- the key's. A value that nobody will flush gets its TTL, so that the cache comes to
-- agree with the database. Returns 1. With the partition P behind them a letter goes too
-- that stands where no function has put it, as under a key outside of the prefix; that key
-- is left alone.
local function engine_discard(keys, args)
  local p = table.remove(args, 3)
  local s = redis.call('HMGET', queue_key(args[1] or ''), 'prefix', 'partitions')
  if p and s[2] and #keys == 1 and #args == 2 then
    local key, base = keys[1], partition_prefix(args[1], p)
    local placed = string.sub(key, 1, #s[1]) == s[1] and #key > #s[1] and partition_of(key, s[2]) == p
    local letter = not placed and redis.call('HGET', base .. 'dlq', key)
    if is_named(base, key, letter, args[2]) then
      drop_letters(base, { key })
      redis.call('HINCRBY', queue_key(args[1]), 'depth', -1)
      return 1
    end
  end
  local at, _, err = find_letter(keys, args, 'wb_engine_discard 1 KEY QUEUE LETTER')
  if not at then return err end
  bury(at, 'discarded')
  local ttl = redis.call('HGET', at.settings, 'ttl')
  if not at.entry and ttl ~= '0' then redis.call('PEXPIRE', at.key, ttl) end
  return 1
end

----------------------------------------------------------------------------

-- What belongs at the keys of a queue and of its partitions, by the ends of their names.
local OF_QUEUE = { { 'queue', 'hash' }, { 'members', 'hash' } }
local OF_PARTITION = {
  { 'q', 'list' }, { 'ops', 'hash' }, { 'late', 'zset' }, { 'retry', 'zset' }, { 'mend', 'zset' }, { 'gone', 'zset' },
  { 'dlq', 'hash' }, { 'payloads', 'hash' }, { 'reads', 'zset' }, { 'lease', 'hash' }, { 'meta', 'hash' },
}

-- planted_at tells in an error which of the keys holds something else than belongs there.
-- What the caller may not look at is passed over.
local function planted_at(queue, base, keys)
  for _, key in ipairs(keys) do
    local kind = redis.pcall('TYPE', base .. key[1]).ok
    if kind and kind ~= 'none' and kind ~= key[2] then
      local text = base .. key[1] .. ', a key of the journal of queue ' .. queue .. ', holds a ' .. kind ..
        ' where a ' .. key[2] .. ' belongs: it was written by hand'
      return fail('WRONGTYPE', (string.gsub(text, '[%z%c]', '?')))
    end
  end
end

-- planted looks through all keys that the functions work with for a queue.
local function planted(queue)
  local err = planted_at(queue, 'wb:', { { 'queues', 'zset' } }) or planted_at(queue, 'wb:{' .. queue .. '}:', OF_QUEUE)
  if err then return err end
  local partitions = tonumber(redis.pcall('HMGET', queue_key(queue), 'partitions')[1] or 0)
  for p = 0, partitions - 1 do
    err = planted_at(queue, partition_prefix(queue, p), OF_PARTITION)
    if err then return err end
  end
end

-- guarded makes of Redis' complaint of a key's type one that names the key, if it is one
-- of the journal. Redis gives pcall the text alone of what it raises; every other error is
-- raised as it was, and only Lua's own have no code.
local function guarded(callback)
  return function(keys, args)
    local ran, reply = pcall(callback, keys, args)
    local err = refused(reply) or not ran and reply
    if not err then return reply end
    local named = string.sub(err, 1, 20) == 'WRONGTYPE Operation ' and planted(args[1] or '')
    if named then return named end
    if ran then return reply end
    error({ err = string.match(err, '^%u+ ') and err or 'ERR ' .. err })
  end
end

-- Capture functions are refused at maxmemory, but for wb_get, whose few reads are
-- bounded. Engine functions are not, since only they can empty the queue then.
local function register(name, callback, ...)
  redis.register_function { function_name = name, callback = guarded(callback), flags = { ... } }
end

register('wb_set', wb_set)
register('wb_del', wb_del)
register('wb_get', wb_get, 'allow-oom')
register('wb_fill', wb_fill)
register('wb_pending', wb_pending, 'no-writes')
register('wb_stats', wb_stats, 'no-writes')

register('wb_engine_library', engine_library, 'no-writes')
register('wb_engine_probe', engine_probe)
register('wb_engine_open', engine_open, 'allow-oom')
register('wb_engine_beat', engine_beat, 'allow-oom')
register('wb_engine_begin', engine_begin, 'allow-oom')
register('wb_engine_leave', engine_leave, 'allow-oom')
register('wb_engine_poll', engine_poll, 'no-writes')
register('wb_engine_claim', engine_claim, 'allow-oom')
register('wb_engine_more', engine_more, 'allow-oom')
register('wb_engine_settle', engine_settle, 'allow-oom')
register('wb_engine_ack', engine_ack, 'allow-oom')
register('wb_engine_letters', engine_letters, 'no-writes')
register('wb_engine_known', engine_known, 'no-writes')
register('wb_engine_letter', engine_letter, 'no-writes')
register('wb_engine_replay', engine_replay)
register('wb_engine_discard', engine_discard, 'allow-oom')
