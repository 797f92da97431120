-- Copyright 2026 The Write-Behind Operator Authors
-- SPDX-License-Identifier: Apache-2.0

-- The names of the keys of a queue and of its partitions.

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
