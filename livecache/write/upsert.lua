-- The changes of several series, atomic for each of them.
--
-- KEYS: for each series its set of candles and its state hash; then the lease.
-- ARGV: the writer's token; then for each series
--   whole (1/0), the revision the state should be at, the revision of this write, keep_from,
--   n, then n times a bucket's open time and its member ("" where the bucket holds none any more),
--   f, then f times a field of the state and its value,
--   the channel, u, then u messages for it;
-- and at the end the writer's lease, word for word.
--
-- Returns "FENCED", and has written nothing, if the lease is another one or gone, or if any state bears a
-- larger token than the writer's. Else a list, for each series the number of members in its set now, or why it
-- was left untouched:
--   "WRONGTYPE <type> <key>"  the key holds something that is not livecache's
--   "LOST"                    Redis does not hold what this change builds on: write the series whole
--
-- Every write may come twice, since clients resend what a broken connection cut off: the second finds the
-- revision that it brings itself, and does the same again.

-- Lua's stack is bounded, so long lists go to a command in pieces.
local PIECE = 1000
local UNDER_WAY = 2147483647

local function in_pieces(command, key, list)
  for first = 1, #list, PIECE do
    redis.call(command, key, unpack(list, first, math.min(first + PIECE - 1, #list)))
  end
end

-- A lease of another type is an error here, and so not ours either.
if value_of(KEYS[#KEYS]) ~= ARGV[#ARGV] then return 'FENCED' end

local position = 1
local function take()
  position = position + 1
  return ARGV[position]
end
local function take_list(length)
  local list = {}
  for i = 1, length do list[i] = take() end
  return list
end

local token = tonumber(ARGV[1])
local series = {}
for i = 1, (#KEYS - 1) / 2 do
  local one = { set = KEYS[2 * i - 1], state = KEYS[2 * i] }
  one.whole = take() == '1'
  one.expected, one.revision, one.keep_from = take(), take(), take()
  one.members = take_list(2 * tonumber(take()))
  one.fields = take_list(2 * tonumber(take()))
  one.channel = take()
  one.messages = take_list(tonumber(take()))
  series[i] = one
end

-- First look at everything, so that a fenced writer writes nothing at all.
for _, one in ipairs(series) do
  local set_type, state_type = type_of(one.set), type_of(one.state)
  local held = {}
  if state_type == 'hash' then
    held = redis.call('HMGET', one.state, 'fence', 'revision', 'count')
    local fence = fence_of(held[1])
    if fence and fence > token then return 'FENCED' end
  end
  if set_type ~= 'zset' and set_type ~= 'none' then
    one.problem = 'WRONGTYPE ' .. set_type .. ' ' .. one.set
  elseif state_type ~= 'hash' and state_type ~= 'none' then
    one.problem = 'WRONGTYPE ' .. state_type .. ' ' .. one.state
  elseif not one.whole then
    -- The revision tells a server that came back with an older snapshot, which a count alone would not.
    local revision, count = held[2], tonumber(held[3] or '')
    if fence_of(held[1]) ~= token
      or not (revision == one.expected or revision == one.revision)
      or redis.call('ZCARD', one.set) ~= count
    then
      one.problem = 'LOST'
    end
  end
end

local results = {}
for i, one in ipairs(series) do
  if one.problem then
    results[i] = one.problem
  else
    -- The state comes before anything is removed. A server out of memory refuses this command, and a script
    -- that has written nothing yet; the removals below it would let pass, and then refuse what replaces them.
    -- Until its end the state counts more members than a set has: what is refused half-way is not read.
    redis.call('HSET', one.state, 'count', UNDER_WAY, unpack(one.fields))
    if one.whole then
      redis.call('DEL', one.set)
    end
    local added = {}
    for m = 1, #one.members, 2 do
      local time, member = one.members[m], one.members[m + 1]
      if not one.whole then
        redis.call('ZREMRANGEBYSCORE', one.set, time, time)
      end
      if member ~= '' then
        added[#added + 1] = time
        added[#added + 1] = member
      end
    end
    in_pieces('ZADD', one.set, added)
    redis.call('ZREMRANGEBYSCORE', one.set, '-inf', '(' .. one.keep_from)
    local count = redis.call('ZCARD', one.set)
    redis.call('HSET', one.state, 'count', count)
    for _, message in ipairs(one.messages) do
      redis.call('PUBLISH', one.channel, message)
    end
    results[i] = count
  end
end
return results
