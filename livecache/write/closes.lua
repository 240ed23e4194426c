-- Entries for the stream of closes, from the writer that holds the lease and from no other.
--
-- KEYS: the stream, the lease.
-- ARGV: the writer's lease, word for word; about how many entries to keep; how many arguments one entry has;
--       then the entries, each as alternating fields and values.
-- Returns the number of entries added; or "FENCED" or "WRONGTYPE <type>", and has added none.

if value_of(KEYS[2]) ~= ARGV[1] then return 'FENCED' end
local kind = type_of(KEYS[1])
if kind ~= 'stream' and kind ~= 'none' then return 'WRONGTYPE ' .. kind end
local width = tonumber(ARGV[3])
local added = 0
for first = 4, #ARGV, width do
  redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[2], '*', unpack(ARGV, first, first + width - 1))
  added = added + 1
end
return added
