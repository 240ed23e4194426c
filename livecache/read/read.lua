-- A series, its state and who vouches for it, all of one moment. Writes nothing.
--
-- KEYS: the set of candles, the state hash, the alive key.
-- ARGV: "newest", "settled" or "known", limit, 1 to have the bucket in progress too (else 0)
--    or "range", from, to: the members whose open time lies in [from, to)
--    or "state": the whole hash
--
-- Returns nothing (an empty list) where there is no state. Else
--   for "state": {the hash, alive, members in the set, the newest of them (a list of one, or of none)}
--   otherwise:   {fields of the state (the list below), alive, members in the set,
--                 members (newest first; for "range" oldest first),
--                 members of the bucket in progress (for "range" the one member before it)}

if ARGV[1] == 'state' then
  local hash = redis.call('HGETALL', KEYS[2])
  if #hash == 0 then return {} end
  return { hash, redis.call('GET', KEYS[3]), redis.call('ZCARD', KEYS[1]), redis.call('ZRANGE', KEYS[1], -1, -1) }
end

local state = redis.call('HMGET', KEYS[2], 'schema', 'count', 'reason', 'contiguous_from',
  'settled_through', 'known_through', 'closed_through', 'forming', 'grid')
if not state[1] then return {} end

local members, others = {}, {}
if ARGV[1] == 'range' then
  members = redis.call('ZRANGEBYSCORE', KEYS[1], ARGV[2], '(' .. ARGV[3])
  others = redis.call('ZREVRANGEBYSCORE', KEYS[1], '(' .. ARGV[2], '-inf', 'LIMIT', 0, 1)
else
  -- A watermark that is no number finds nothing here: whoever reads the state says that it is damaged.
  local through = string.match(ARGV[2] == 'settled' and state[5] or state[6] or '', '^%d+$')
  if through then
    members = redis.call('ZREVRANGEBYSCORE', KEYS[1], '(' .. through, '-inf', 'LIMIT', 0, ARGV[3])
  end
  if ARGV[4] == '1' and state[8] and state[8] ~= '0' and string.match(state[8], '^%d+$') then
    others = redis.call('ZRANGEBYSCORE', KEYS[1], state[8], state[8])
  end
end
return { state, redis.call('GET', KEYS[3]), redis.call('ZCARD', KEYS[1]), members, others }
