-- The requests of every wrk scenario, and the figures of a run as one JSON line.
--
--   wrk … -s bench/load.lua URL -- [SHAPE]      SHAPE: plain (default), browser, pipelined, upload
--
-- A shape only changes what `wrk.format` gives: wrk then builds its request once a thread and
-- never enters Lua while it measures.

local PIPELINE = 16
local UPLOAD_BYTES = 64 * 1024

-- What a desktop browser sends with a navigation: with wrk's own Host, 15 headers.
local BROWSER_HEADERS = {
  ["Connection"] = "keep-alive",
  ["sec-ch-ua"] = '"Chromium";v="142", "Google Chrome";v="142", "Not_A Brand";v="99"',
  ["sec-ch-ua-mobile"] = "?0",
  ["sec-ch-ua-platform"] = '"Linux"',
  ["Upgrade-Insecure-Requests"] = "1",
  ["User-Agent"] = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
  ["Accept"] = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8",
  ["Sec-Fetch-Site"] = "same-origin",
  ["Sec-Fetch-Mode"] = "navigate",
  ["Sec-Fetch-User"] = "?1",
  ["Sec-Fetch-Dest"] = "document",
  ["Accept-Encoding"] = "gzip, deflate, br, zstd",
  ["Accept-Language"] = "en-GB,en;q=0.9,de;q=0.8",
  ["Cookie"] = "session=8f14e45fceea167a5a36dedd4bea2543; theme=dark; consent=1",
}

local SHAPES = {
  plain = function() end,
  browser = function()
    for name, value in pairs(BROWSER_HEADERS) do
      wrk.headers[name] = value
    end
  end,
  pipelined = function()
    local format = wrk.format
    wrk.format = function(...)
      return string.rep(format(...), PIPELINE)
    end
  end,
  upload = function()
    wrk.method = "POST"
    wrk.headers["Content-Type"] = "application/octet-stream"
    wrk.body = string.rep("x", UPLOAD_BYTES)
  end,
}

function init(args)
  local shape = SHAPES[args[1] or "plain"]
  if not shape then
    error("unknown shape: " .. args[1])
  end
  shape()
end

-- wrk adds values to its histogram for the requests that a stall kept it from sending. Those
-- below the least measured value are counted but not found again, and its high percentiles are
-- then 0: unknown.
function done(summary, latency)
  local errors = summary.errors
  print(string.format(
    '{"requests": %d, "duration_micros": %d, "p50_micros": %d, "p99_micros": %d, '
      .. '"errors": {"connect": %d, "read": %d, "write": %d, "status": %d, "timeout": %d}}',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    errors.connect, errors.read, errors.write, errors.status, errors.timeout))
end
