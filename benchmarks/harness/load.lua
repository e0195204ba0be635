-- What wrk asks for: METHOD, PATH with {id}, and the number of ids. Ends with one line of JSON.

local requests = {}
local number = 0

function init(args)
  local count = tonumber(args[3])
  for i = 0, count - 1 do
    local path = args[2]:gsub("{id}", tostring(1 + i * 387 % count))
    requests[i + 1] = wrk.format(args[1], path)
  end
end

function request()
  number = number % #requests + 1
  return requests[number]
end

function done(summary, latency, _)
  local errors = summary.errors
  io.write(string.format(
    '\nRESULT {"seconds": %f, "requests": %d, "refused": %d, "broken": %d, "p50": %f, "p99": %f}\n',
    summary.duration / 1e6, summary.requests, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50) / 1e6, latency:percentile(99) / 1e6
  ))
end
