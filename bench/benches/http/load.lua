-- What wrk sends, and one line of JSON about what came back. By the environment: METHOD, BASE (the path), TOKEN,
-- IDS (a file, one id a line, for GET), BODY (with # where it must be unique) and RUN, which no other run has.
local method, base = os.getenv("METHOD"), os.getenv("BASE")
local headers = { Authorization = "Bearer " .. os.getenv("TOKEN"), ["Content-Type"] = "application/json" }
local prepared, count = {}, 0

function init()
  headers.Host = wrk.host
  if os.getenv("IDS") then
    for id in io.lines(os.getenv("IDS")) do
      table.insert(prepared, wrk.format(method, base .. "/" .. id, headers))
    end
  elseif method == "GET" then
    table.insert(prepared, wrk.format(method, base, headers))
  end
end

function request()
  count = count + 1
  if #prepared > 0 then
    return prepared[count % #prepared + 1]
  end
  local unique = os.getenv("RUN") .. count
  headers["Idempotency-Key"] = unique
  return wrk.format(method, base, headers, (os.getenv("BODY"):gsub("#", unique)))
end

function done(summary, latency)
  local errors = summary.errors
  local failed = errors.status + errors.connect + errors.read + errors.write + errors.timeout
  io.write(string.format('{"requests":%d,"seconds":%f,"failed":%d,"p50_ms":%f,"p99_ms":%f}\n', summary.requests,
    summary.duration / 1e6, failed, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
