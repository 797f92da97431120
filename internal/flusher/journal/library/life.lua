-- Copyright 2026 The Write-Behind Operator Authors
-- SPDX-License-Identifier: Apache-2.0

-- The time over which one process of Redis works with a queue.

-- begun tells when this process first worked with a queue, in µs since 1970. Redis does
-- not persist or replicate what a library holds in a local: after a restart, a fail-over,
-- or when an older copy was put back, the since that is stored with the queue is another.
local begun = {}

-- begin_life notes how many writes a queue has as this process begins to work with it,
-- before it takes another one. What a flusher has seen beyond that is lost. Returns since.
local function begin_life(queue)
  local since, key = digits(now_us()), queue_key(queue)
  redis.call('HSET', key, 'since', since, 'since_writes', redis.call('HGET', key, 'writes') or 0)
  redis.call('HDEL', key, 'since_lost')
  begun[queue] = since
  return since
end
