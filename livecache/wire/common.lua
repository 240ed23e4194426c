-- What the scripts share; it stands before each that writes.

-- Lua 5.1 has it as a function of its own, a double's newer Lua in a table.
local unpack = unpack or table.unpack

-- The type of a key; a double replies with plain text.
local function type_of(key)
  local reply = redis.call('TYPE', key)
  return type(reply) == 'table' and reply.ok or reply
end

-- What is no plain number was stamped by no writer.
local function fence_of(text)
  return type(text) == 'string' and #text <= 15 and string.find(text, '^%d+$') and tonumber(text) or nil
end


-- What a key holds; a table, and so nobody's value, where it is of another type. Any other refusal is an
-- error: what may not be read now is not another's for that.
local function value_of(key)
  local held = redis.pcall('GET', key)
  if type(held) == 'table' and not string.find(held.err or '', 'WRONGTYPE', 1, true) then redis.call('GET', key) end
  return held
end
