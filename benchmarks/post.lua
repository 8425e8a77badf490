-- wrk: POST one body with the headers given; print one line of JSON.
-- wrk -s post.lua URL -- BODY "Name: value" ...
function init(args)
  wrk.method = "POST"
  wrk.body = args[1]
  for i = 2, #args do
    local name, value = args[i]:match("^(.-): (.*)$")
    wrk.headers[name] = value
  end
end

function done(summary, latency)
  local e = summary.errors
  io.write(string.format(
    '\n{"requests": %d, "seconds": %f, "p50_ms": %f, "p99_ms": %f, "errors": %d}\n',
    summary.requests, summary.duration / 1e6,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    e.connect + e.read + e.write + e.status + e.timeout))
end
