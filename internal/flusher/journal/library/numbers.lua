-- Copyright 2026 The Write-Behind Operator Authors
-- SPDX-License-Identifier: Apache-2.0

-- Numbers, times and versions.

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

-- runs tells whether a time-out that was set ttl ms ahead still runs. One that lies
-- further ahead was set before the clock was put back.
local function runs(expiry, now, ttl)
  return expiry > now and expiry <= now + ttl
end

-- Versions are strings of digits without leading zeros: the longer one is the
-- higher one, and of two of one length the alphabet decides.
local function higher(a, b)
  if #a ~= #b then return #a > #b end
  return a > b
end
