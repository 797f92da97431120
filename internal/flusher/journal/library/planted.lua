-- Copyright 2026 The Write-Behind Operator Authors
-- SPDX-License-Identifier: Apache-2.0

-- Keys of the journal that somebody else has written.

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
