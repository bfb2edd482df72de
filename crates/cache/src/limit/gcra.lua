-- Generic cell rate algorithm. KEYS[1]: the budget. ARGV: microseconds per unit, burst, cost, units wanted ahead.
-- Answers {allowed, microseconds to wait, units left, units drawn ahead}; those left include those drawn ahead, of which there are at most
-- a sixteenth of what is left. Numbers stay below 2^53; %.0f keeps all their digits.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local interval = tonumber(ARGV[1])
local capacity = interval * tonumber(ARGV[2])
local base = math.max(tonumber(redis.call('GET', KEYS[1]) or now), now)
local full_at = base + interval * tonumber(ARGV[3])
if full_at > now + capacity then
  return { 0, full_at - now - capacity, math.max(0, math.floor((now + capacity - base) / interval)), 0 }
end
local left = math.floor((now + capacity - full_at) / interval)
local ahead = math.min(tonumber(ARGV[4]), math.floor(left / 16))
full_at = full_at + interval * ahead
if full_at > now then
  redis.call('SET', KEYS[1], string.format('%.0f', full_at), 'PX', math.ceil((full_at - now) / 1000))
end
return { 1, 0, left, ahead }
