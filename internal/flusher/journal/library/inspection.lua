-- Copyright 2026 The Write-Behind Operator Authors
-- SPDX-License-Identifier: Apache-2.0

-- What a person asks about one key, and what sets it right.

-- wb_engine_facts 1 KEY QUEUE: all that the journal knows of one key, as of one moment: name,
-- value in turn. entry and letter are as they are stored, the letter without its payload; due
-- is when another try of a refused entry may be made, in ms since 1970; what is not there is
-- not named. value is the string that the key holds.
local function engine_facts(keys, args)
  local at, err = look_up(keys, args, 1, 'wb_engine_facts 1 KEY QUEUE')
  if not at then return err end
  local told = {}
  local function tell(name, value)
    if value then
      told[#told + 1] = name
      told[#told + 1] = value
    end
  end
  local settings = fields(at.settings, 'partitions', 'ttl', 'journal')
  local lease = fields(at.base .. 'lease', 'owner', 'epoch', 'expiry')
  local meta = fields(at.base .. 'meta', 'floor', 'top', 'mending')
  local kind = redis.call('TYPE', at.key).ok
  local letter = redis.call('HGET', at.base .. 'dlq', at.key)
  tell('partition', partition_of(at.key, settings.partitions))
  tell('state', at.state)
  tell('ttl', settings.ttl)
  tell('journal', settings.journal)
  tell('depth', digits(at.depth or 0))
  tell('now', digits(now_ms()))
  tell('owner', lease.owner)
  tell('epoch', lease.epoch)
  tell('expiry', lease.expiry)
  tell('floor', meta.floor)
  tell('top', meta.top)
  tell('mending', meta.mending)
  tell('waiting', digits(redis.call('LLEN', at.base .. 'q')))
  tell('entry', at.entry)
  tell('due', redis.call('ZSCORE', at.base .. 'retry', at.key))
  if letter then tell('letter', (parts_of(at.base, at.key, letter))) end
  tell('kind', kind)
  if kind == 'string' then tell('value', redis.call('GET', at.key)) end
  return told
end

-- wb_engine_again 1 KEY QUEUE: has the value that KEY holds flushed once more, as a new write
-- with a new version. Nothing is overtaken: what is there is written again in this one step,
-- and a key that is dirty is left alone. Returns the version, or 0 where the key is dirty, has a
-- dead letter, or is not there: then there is nothing to flush anew.
local function engine_again(keys, args)
  local at, err = look_up(keys, args, 1, 'wb_engine_again 1 KEY QUEUE')
  if not at then return err end
  if at.entry or redis.call('HGET', at.base .. 'dlq', at.key) then return 0 end
  err = check_writable(at) or check_types(at)
  if err then return err end
  local value = redis.call('GET', at.key)
  if not value then return 0 end
  return journal_then(at, 's', 'SET', value)
end
