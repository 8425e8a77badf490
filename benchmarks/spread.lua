-- wrk: like post.lua, but each request takes another of many routes and keys.
-- wrk -s spread.lua URL -- BODY ROUTES CONSUMERS
dofile("benchmarks/post.lua")

local REQUESTS = 2000
local requests, at = {}, 0

function init(args)
  local body, routes, consumers = args[1], tonumber(args[2]), tonumber(args[3])
  math.randomseed(1)
  for i = 1, REQUESTS do
    wrk.headers["apikey"] = "key-" .. math.random(0, consumers - 1)
    requests[i] = wrk.format("POST", "/route-" .. math.random(0, routes - 1), nil, body)
  end
end

function request()
  at = at % REQUESTS + 1
  return requests[at]
end
