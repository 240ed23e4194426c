-- Gives out the slots of budgets that several members share, by the server's clock, in microseconds.
--
-- KEYS: the budget, a hash; the ban, if it is to be told. ARGV: now, 0 for the server's clock; who asks; 1 if it knew of others; how
-- far ahead it may reserve, -1 to reserve nothing, -2 to leave; the earliest that suits it, from now; for how
-- long the venue has told it to pause. Then of each budget: name; microseconds that give a unit back, 0 where
-- units are counted; what the request costs; the level; the room; for how long what is counted counts; the
-- number of its window or -1; when that ends, from now (as `Terms` has it).
--
-- Returns: the wait, negative where nothing was reserved and it is to ask again after so long; how many members
-- there are; how many of them stand before it; for how long it may do without asking; now; the ban; then of
-- each budget its level and the microseconds that give a unit back, by the slowest member's word.

local GONE, SILENT, SLOW = 10000000, 1500000, 30000000
local ALONE, OPENS = 2000000, 2500000
local PARTS = 64

local now = tonumber(ARGV[1])
if now == 0 then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end
local me, knew, reach = 'member:' .. ARGV[2], ARGV[3] == '1', tonumber(ARGV[4])
if reach == -2 then
  redis.call('HDEL', KEYS[1], me)
  return {0, 0, 0, 0, now, '0'}
end

local text = {}
local raw = redis.call('HGETALL', KEYS[1])
for i = 1, #raw, 2 do text[raw[i]] = raw[i + 1] end
local function held(field) return tonumber(text[field]) or 0 end
local changes = {}
local function hold(field, value)
  changes[#changes + 1] = field
  changes[#changes + 1] = type(value) == 'number' and string.format('%.0f', value) or value
end

-- Who else is there.
local members, before, alone_until, slowest = 1, 0, 0, {}
local i_spoke, another_spoke, another_silent, stepped = false, false, false, false
for field, value in pairs(text) do
  local seen, alone, units = string.match(value, '^(%d+) (%d+)(.*)$')
  if string.sub(field, 1, 7) == 'member:' and seen then
    local age = now - tonumber(seen)
    if age < -SILENT then stepped = true end
    if age > SLOW or age < -SILENT then
      redis.call('HDEL', KEYS[1], field)
    elseif field == me then
      i_spoke = age <= SILENT
    else
      for name, us in string.gmatch(units, ' (%S+)=(%d+)') do
        slowest[name] = math.max(slowest[name] or 0, tonumber(us))
      end
      if age <= GONE then
        members = members + 1
        if field < me then before = before + 1 end
        if age <= SILENT then
          another_spoke = true
        elseif alone == '0' then
          another_silent = true
        end
        alone_until = math.max(alone_until, tonumber(alone))
      end
    end
  end
end

-- After an outage everybody may be at work alone: nothing is given out until all have been back. So it is where
-- the clock was set back, by which nothing that is held here means anything.
local opens = held('opens')
if stepped then
  for field in pairs(text) do
    if string.sub(field, 1, 7) ~= 'member:' then redis.call('HDEL', KEYS[1], field) end
  end
  text = {}
end
if stepped or not i_spoke and not another_spoke and (another_silent or knew) then
  opens = now + OPENS
  hold('opens', opens)
end
local pause = math.max(held('pause'), now + tonumber(ARGV[6]))
if tonumber(ARGV[6]) > 0 then hold('pause', pause) end

-- When it may start, by all budgets.
local at = math.max(now + tonumber(ARGV[5]), pause, opens)
local budgets, words, lasts = {}, '', 60000000
for i = 7, #ARGV, 8 do
  local one = {
    name = ARGV[i], unit = tonumber(ARGV[i + 1]), cost = tonumber(ARGV[i + 2]), level = tonumber(ARGV[i + 3]),
    room = tonumber(ARGV[i + 4]), length = tonumber(ARGV[i + 5]), number = tonumber(ARGV[i + 6]),
    turn = tonumber(ARGV[i + 7]),
  }
  budgets[#budgets + 1] = one
  if one.unit > 0 then
    words = words .. string.format(' %s=%.0f', one.name, one.unit)
    one.unit = math.max(one.unit, slowest[one.name] or 0)
    one.field = 'tat:' .. one.name
    one.tat = math.max(now, held(one.field), now + one.level)
    if one.cost > 0 then at = math.max(at, one.tat + (one.cost - math.max(one.room, one.cost)) * one.unit) end
    if one.tat > now then hold(one.field, one.tat) end
  else
    local kept = 1
    one.part = one.length
    if one.number < 0 then
      one.part, kept = one.length / PARTS, PARTS + 1
      one.number = math.floor(now / one.part)
      one.turn = (one.number + 1) * one.part - now
    end
    one.field, one.used, one.parts, one.sum = 'used:' .. one.name, {}, {}, 0
    for part, units in string.gmatch(text[one.field] or '', '(%d+):(%d+)') do
      part, units = tonumber(part), tonumber(units)
      if part > one.number - kept then
        one.parts[#one.parts + 1] = part
        one.used[part] = units
        one.sum = one.sum + units
      end
    end
    local more = kept == 1 and one.level - one.sum or one.level
    one.add = function(part, units)
      if not one.used[part] then one.parts[#one.parts + 1] = part end
      one.used[part] = (one.used[part] or 0) + units
      one.sum = one.sum + units
    end
    if more > 0 then one.add(one.number, more) end
    table.sort(one.parts)
    local beyond = one.cost > 0 and one.sum + one.cost - math.max(one.room, one.cost) or 0
    for _, part in ipairs(one.parts) do
      if beyond <= 0 then break end
      beyond = beyond - one.used[part]
      at = math.max(at, now + one.turn + (part + kept - one.number - 1) * one.part)
    end
  end
  lasts = math.max(lasts, 2 * one.length)
end

local wait, alone = at - now, 0
if reach == -1 then
  if members == 1 and now >= opens then alone = ALONE end
elseif alone_until > now then
  wait = now - alone_until - 1
elseif wait > reach then
  wait = reach - wait - 1
else
  for _, one in ipairs(budgets) do
    if one.unit > 0 and one.cost > 0 then
      one.tat = math.max(one.tat, at) + one.cost * one.unit
      hold(one.field, one.tat)
    elseif one.cost > 0 then
      local later = wait >= one.turn and 1 + math.floor((wait - one.turn) / one.part) or 0
      one.add(one.number + later, one.cost)
    end
  end
end

local ban = KEYS[2] and redis.pcall('GET', KEYS[2])
local reply = {math.floor(wait), members, before, alone, now, type(ban) == 'string' and ban or '0'}
for _, one in ipairs(budgets) do
  if one.unit > 0 then
    reply[#reply + 1] = math.floor(one.tat - now)
  else
    local pairs_ = {}
    for _, part in ipairs(one.parts) do pairs_[#pairs_ + 1] = string.format('%.0f:%.0f', part, one.used[part]) end
    hold(one.field, table.concat(pairs_, ' '))
    reply[#reply + 1] = math.floor(one.sum)
  end
  reply[#reply + 1] = math.floor(one.unit)
end
hold(me, string.format('%.0f %.0f', now, alone > 0 and now + alone or 0) .. words)
redis.call('HSET', KEYS[1], unpack(changes))
redis.call('PEXPIRE', KEYS[1], math.ceil(math.max(lasts, at - now) / 1000))
return reply
