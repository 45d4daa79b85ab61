-- Counts a request against the quotas of all KEYS, or against none when one of them is used up. See gcra.rs.
-- ARGV: for each key its interval and its window, in microseconds.
-- Gives for each key: microseconds to wait, requests that remain, microseconds until all are there again.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local arrivals, waits, refused = {}, {}, false
for i, key in ipairs(KEYS) do
  local interval, window = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
  local remembered = tonumber(redis.call('GET', key) or '0')
  arrivals[i] = math.min(math.max(remembered, now), now + window)
  waits[i] = math.max(arrivals[i] + interval - now - window, 0)
  refused = refused or waits[i] > 0
end
local readings = {}
for i, key in ipairs(KEYS) do
  local interval, window = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
  if not refused then
    arrivals[i] = arrivals[i] + interval
    local milliseconds = math.ceil((arrivals[i] - now) / 1000)
    redis.call('SET', key, string.format('%.0f', arrivals[i]), 'PX', milliseconds)
  end
  readings[3 * i - 2] = waits[i]
  readings[3 * i - 1] = math.floor(math.max(now + window - arrivals[i], 0) / interval)
  readings[3 * i] = arrivals[i] - now
end
return readings
