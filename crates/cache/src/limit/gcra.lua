-- Generic cell rate algorithm. KEYS[1]: the budget. ARGV: microseconds per unit, burst, cost.
-- Answers {allowed, microseconds to wait, units left}. Numbers stay below 2^53; %.0f keeps all their digits.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local interval = tonumber(ARGV[1])
local capacity = interval * tonumber(ARGV[2])
local base = math.max(tonumber(redis.call('GET', KEYS[1]) or now), now)
local full_at = base + interval * tonumber(ARGV[3])
if full_at > now + capacity then
  return { 0, full_at - now - capacity, math.max(0, math.floor((now + capacity - base) / interval)) }
end
if full_at > now then
  redis.call('SET', KEYS[1], string.format('%.0f', full_at), 'PX', math.ceil((full_at - now) / 1000))
end
return { 1, 0, math.floor((now + capacity - full_at) / interval) }
