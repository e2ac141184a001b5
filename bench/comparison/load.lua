-- One request again and again, or one for another object each time; says at the end what was counted.
local plan = {}
for name, value in string.gmatch(os.getenv("COMPARE_PLAN"), "([%w_]+)\t([^\n]*)\n") do plan[name] = value end

local headers = {}
for name, value in string.gmatch(os.getenv("COMPARE_HEADERS"), "([^\t\n]+)\t([^\n]*)\n") do headers[name] = value end

local moves = string.find(plan.target, "%d", 1, true)
local next_object = tonumber(plan.first)
local fixed

function init(args)
  if not moves then fixed = wrk.format("GET", plan.target, headers) end
end

function request()
  if fixed then return fixed end
  next_object = next_object + 1
  return wrk.format("GET", string.format(plan.target, next_object), headers)
end

-- Without it wrk asks again at once, and what it tells of time is how long a full queue is.
if plan.rest ~= "0" then
  local rest = tonumber(plan.rest)
  function delay() return rest end
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '\nFIGURES {"requests": %d, "bytes": %d, "seconds": %.6f, "p50": %.6f, "p99": %.6f, "bad": %d, "lost": %d}\n',
    summary.requests, summary.bytes, summary.duration / 1e6, latency:percentile(50) / 1e6, latency:percentile(99) / 1e6,
    errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
