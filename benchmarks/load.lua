-- wrk's script: sends the bodies of the folder in turn, each connection beginning at another one.
local bodies = {}
local at = 0

function init(args)
  for number = 1, tonumber(os.getenv("BODIES")) do
    local file = assert(io.open(os.getenv("BODY_FOLDER") .. "/" .. number .. ".json", "rb"))
    bodies[number] = wrk.format("POST", os.getenv("TARGET_PATH"), {
      ["Content-Type"] = "application/json",
      ["Authorization"] = os.getenv("AUTHORIZATION"),
    }, file:read("*all"))
    file:close()
  end
end

function request()
  at = at % #bodies + 1
  return bodies[at]
end

function done(summary, latency, requests)
  io.write(string.format(
    "RESULT %d %d %d %d %d %d\n",
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    summary.errors.status, summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout
  ))
end
