-- Decides on a try, and counts it as a failure until it is told otherwise. See backoff.rs.
-- KEYS: the failures of account and address, the quota of the account, whether the address is known.
-- ARGV: free failures, first and longest delay, interval and window of the account's quota, all in
-- microseconds, and the milliseconds after which failures are forgotten.
-- Gives: 0 admitted, 1 blocked, 2 the account is blocked; microseconds to wait; failures.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local tries = redis.call('HMGET', KEYS[1], 'failures', 'blocked_until')
local failures, blocked_until = tonumber(tries[1] or '0'), tonumber(tries[2] or '0')
if blocked_until > now then
  return {1, blocked_until - now, failures}
end
if redis.call('EXISTS', KEYS[3]) == 0 then
  local interval, window = tonumber(ARGV[4]), tonumber(ARGV[5])
  local remembered = tonumber(redis.call('GET', KEYS[2]) or '0')
  local arrival = math.min(math.max(remembered, now), now + window)
  local wait = arrival + interval - now - window
  if wait > 0 then
    return {2, wait, failures}
  end
  arrival = arrival + interval
  redis.call('SET', KEYS[2], string.format('%.0f', arrival), 'PX', math.ceil((arrival - now) / 1000))
end
failures = failures + 1
local free, first, longest = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
if failures >= free then
  blocked_until = now + math.min(longest, first * 2 ^ (failures - free))
end
redis.call('HSET', KEYS[1], 'failures', failures, 'blocked_until', string.format('%.0f', blocked_until))
redis.call('PEXPIRE', KEYS[1], ARGV[6])
return {0, 0, failures}
