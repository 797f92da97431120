-- Copyright 2026 The Write-Behind Operator Authors
-- SPDX-License-Identifier: Apache-2.0

-- Cache-aside reads.

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
