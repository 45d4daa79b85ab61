-- A try came to nothing: it counts no longer, neither as a failure nor against the account's quota.
-- ARGV: the interval of the account's quota, in microseconds.
if redis.call('EXISTS', KEYS[3]) == 0 then
  local remembered = tonumber(redis.call('GET', KEYS[2]) or '0')
  if remembered > 0 then
    redis.call('SET', KEYS[2], string.format('%.0f', remembered - ARGV[1]), 'KEEPTTL')
  end
end
local failures = tonumber(redis.call('HGET', KEYS[1], 'failures') or '0')
if failures <= 1 then
  redis.call('UNLINK', KEYS[1])
else
  redis.call('HSET', KEYS[1], 'failures', failures - 1, 'blocked_until', '0')
end
return 1
