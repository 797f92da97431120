-- Copyright 2026 The Write-Behind Operator Authors
-- SPDX-License-Identifier: Apache-2.0

-- What the functions of the engine are called with.
--
-- A function with more than a queue and a list takes settings by name: its first argument
-- is a map of MessagePack from their names to their texts. An older library that knows no
-- names finds no such queue, or too few arguments, and changes nothing. Behind the map
-- may follow a list. The release before this one gives the settings that are needed as
-- arguments, in the order in which the function names them, and then the list.

-- Every packed map begins with a byte from here on, and no name of a queue does.
local PACKED = 128

-- unpacked returns the settings of a call that packs them, or nil.
local function unpacked(args)
  local first = args[1] and string.byte(args[1])
  if not first or first < PACKED then return nil end
  local settings = cmsgpack.unpack(args[1])
  return type(settings) == 'table' and settings or nil
end

-- queue_of returns the queue that a call of any function names.
local function queue_of(args)
  local settings = unpacked(args)
  return settings and settings.queue or args[1] or ''
end

-- settings_of returns the settings of a call, and the number of the argument at which its
-- list begins. Where one of the needed ones is missing it returns nil and an error. Others
-- may be nil.
local function settings_of(args, needed)
  local settings, list = unpacked(args), 2
  if not settings then
    settings, list = {}, #needed + 1
    for i, name in ipairs(needed) do settings[name] = args[i] end
  end
  for _, name in ipairs(needed) do
    if type(settings[name]) ~= 'string' then return nil, fail('WBARGS', 'the setting ' .. name .. ' is missing') end
  end
  return settings, list
end

-- by_name makes of a callback that takes settings one that Redis can call. It gets the
-- settings, all arguments, and the number of the one at which the list begins.
local function by_name(needed, callback)
  return function(_, args)
    local settings, list = settings_of(args, needed)
    if not settings then return list end
    return callback(settings, args, list)
  end
end
