-- A try succeeded: its failures are forgotten, and the address is known for ARGV[1] milliseconds.
redis.call('UNLINK', KEYS[1])
redis.call('SET', KEYS[3], '', 'PX', ARGV[1])
return 1
