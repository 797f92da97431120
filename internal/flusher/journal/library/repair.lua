-- Copyright 2026 The Write-Behind Operator Authors
-- SPDX-License-Identifier: Apache-2.0

-- The order of a partition is made anew.

-- A claim takes only a few refused entries to the head of q, so there are never many
-- but after a change of the library or of the journal by hand.
local MOST_RETRIED = 1000

-- A claim takes so many entries in one call: a few ms of Redis' time. Larger claims are
-- made of several pages.
local PAGE = 500

-- What is put in order anew goes into a set that may hold millions, an entry at a time
-- and in no order of its own: three times the cost of reading it.
local MENDED = 150

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
      local into = attempts == '0' and fresh or late
      into[#into + 1] = first
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
