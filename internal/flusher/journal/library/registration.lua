-- Copyright 2026 The Write-Behind Operator Authors
-- SPDX-License-Identifier: Apache-2.0

-- The functions that Redis calls.

-- guarded makes of Redis' complaint of a key's type one that names the key, if it is one
-- of the journal. Redis gives pcall the text alone of what it raises; every other error is
-- raised as it was, and only Lua's own have no code.
local function guarded(callback)
  return function(keys, args)
    local ran, reply = pcall(callback, keys, args)
    local err = refused(reply) or not ran and reply
    if not err then return reply end
    local named = string.sub(err, 1, 20) == 'WRONGTYPE Operation ' and planted(queue_of(args))
    if named then return named end
    if ran then return reply end
    error({ err = string.match(err, '^%u+ ') and err or 'ERR ' .. err })
  end
end

-- Capture functions are refused at maxmemory, but for wb_get, whose few reads are
-- bounded. Engine functions are not, since only they can empty the queue then.
local function register(name, callback, ...)
  redis.register_function { function_name = name, callback = guarded(callback), flags = { ... } }
end

register('wb_set', wb_set)
register('wb_del', wb_del)
register('wb_get', wb_get, 'allow-oom')
register('wb_fill', wb_fill)
register('wb_pending', wb_pending, 'no-writes')
register('wb_stats', wb_stats, 'no-writes')

register('wb_engine_library', engine_library, 'no-writes')
register('wb_engine_probe', engine_probe)
register('wb_engine_open', engine_open, 'allow-oom')
register('wb_engine_beat', engine_beat, 'allow-oom')
register('wb_engine_begin', engine_begin, 'allow-oom')
register('wb_engine_leave', engine_leave, 'allow-oom')
register('wb_engine_poll', engine_poll, 'no-writes')
register('wb_engine_claim', engine_claim, 'allow-oom')
register('wb_engine_more', engine_more, 'allow-oom')
register('wb_engine_settle', engine_settle, 'allow-oom')
register('wb_engine_ack', engine_ack, 'allow-oom')
register('wb_engine_letters', engine_letters, 'no-writes')
register('wb_engine_known', engine_known, 'no-writes')
register('wb_engine_letter', engine_letter, 'no-writes')
register('wb_engine_replay', engine_replay)
register('wb_engine_discard', engine_discard, 'allow-oom')
register('wb_engine_facts', engine_facts, 'no-writes')
register('wb_engine_again', engine_again)
