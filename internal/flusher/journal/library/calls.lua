-- Copyright 2026 The Write-Behind Operator Authors
-- SPDX-License-Identifier: Apache-2.0

-- Errors, and calls of Redis with long lists.

local function fail(code, text)
  return redis.error_reply(code .. ' ' .. text)
end

local function refused(reply)
  return type(reply) == 'table' and reply.err
end

-- Lua's stack holds fewer than 8000 values; an unpack must stay well below.
local CHUNK = 1000

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

-- fields returns the named fields of a hash. One that is not there is nil.
local function fields(key, ...)
  local names, named = { ... }, {}
  for i, value in ipairs(redis.call('HMGET', key, ...)) do named[names[i]] = value or nil end
  return named
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
