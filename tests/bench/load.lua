-- wrk: the same request again and again, or (with IDLE) one GET a connection and then silence.
-- Arguments: METHOD, and the body of a POST. For IDLE: the connections of each thread.
local method, body, asked, idle_after = "GET", nil, 0, nil

function init(arguments)
  method = arguments[1] or "GET"
  if method == "IDLE" then
    method, idle_after = "GET", tonumber(arguments[2])
  else
    body = arguments[2]
  end
  wrk.method = method
  wrk.body = body
  wrk.headers["Authorization"] = "Bearer benchmark-key"
  if body then wrk.headers["Content-Type"] = "application/json" end
end

function delay()
  if not idle_after then return 0 end
  asked = asked + 1
  return asked <= idle_after and 0 or 600000
end

-- One line that run.sh reads; latencies in microseconds.
function done(summary, latency)
  local errors = summary.errors
  io.write(string.format("figures %d %.3f %d %.0f %.0f\n", summary.requests, summary.duration / 1e6,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end
