-- A try came to nothing: it counts no longer.
local failures = tonumber(redis.call('HGET', KEYS[1], 'failures') or '0')
if failures <= 1 then
  redis.call('UNLINK', KEYS[1])
else
  redis.call('HSET', KEYS[1], 'failures', failures - 1, 'blocked_until', '0')
end
return 1
