-- Whether Redis still holds some series as they were written last. Lifts time limits that others have set on
-- their keys, and changes nothing else.
--
-- KEYS: for each series its set of candles and its state hash; then the lease.
-- ARGV: the writer's token and its lease, word for word; then for each series
--   the revision of the last write, the number of members, and the SHA-1 of the state and the members
--   ("" where it is not to be compared).
--
-- Returns "FENCED" if the lease is another one. Else a list of pairs, the number of a series (the first is 1)
-- and what was found there: "ttl", "type", "set gone", "state gone", "fence", "revision", "count", "content".

-- The order in which the writer digests them.
local FIELDS = { 'ready', 'reason', 'contiguous_from', 'settled_through', 'known_through', 'closed_through',
  'coverage', 'history_from', 'forming', 'origin', 'schema', 'fence', 'revision', 'count' }
local FENCE, REVISION, COUNT = 12, 13, 14

local function lift_limit(key)
  return redis.call('PTTL', key) >= 0 and redis.call('PERSIST', key) == 1
end

local function examine(set, state, revision, count, digest)
  local set_type, state_type = type_of(set), type_of(state)
  if state_type == 'none' then return 'state gone' end
  if state_type ~= 'hash' or (set_type ~= 'zset' and set_type ~= 'none') then return 'type' end
  local fields = redis.call('HMGET', state, unpack(FIELDS))
  if fields[FENCE] ~= ARGV[1] then return 'fence' end
  if fields[REVISION] ~= revision then return 'revision' end
  if set_type == 'none' and count ~= '0' then return 'set gone' end
  -- Counted before it is read, for somebody else may have put a million members there.
  if fields[COUNT] ~= count or redis.call('ZCARD', set) ~= tonumber(count) then return 'count' end
  if digest ~= '' and redis.sha1hex then  -- which a double may lack
    for i = 1, #FIELDS do
      if not fields[i] then return 'content' end
    end
    local members = redis.call('ZRANGE', set, 0, -1, 'WITHSCORES')
    local lines = { table.concat(fields, '\n'), #members > 0 and table.concat(members, '\n') or nil }
    if redis.sha1hex(table.concat(lines, '\n')) ~= digest then return 'content' end
  end
end

if value_of(KEYS[#KEYS]) ~= ARGV[2] then return 'FENCED' end
local found = {}
for i = 1, (#KEYS - 1) / 2 do
  local set, state = KEYS[2 * i - 1], KEYS[2 * i]
  local set_limited, state_limited = lift_limit(set), lift_limit(state)
  if set_limited or state_limited then
    found[#found + 1] = { i, 'ttl' }
  end
  local first = 3 * i
  local problem = examine(set, state, ARGV[first], ARGV[first + 1], ARGV[first + 2])
  if problem then
    found[#found + 1] = { i, problem }
  end
end
return found
