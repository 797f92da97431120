-- Copyright 2026 The Write-Behind Operator Authors
-- SPDX-License-Identifier: Apache-2.0

-- The flushers of a queue.

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
