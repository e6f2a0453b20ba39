-- wrk: what a day brings, in random order: generations of all kinds, some that fail, some answers in base64, lists, unknown paths.
local requests = {}

local function post(body) return wrk.format("POST", "/v1/images/generations",
  {["Authorization"] = "Bearer benchmark-key", ["Content-Type"] = "application/json"}, body) end
local function get(path) return wrk.format("GET", path, {["Authorization"] = "Bearer benchmark-key"}) end

function init()
  requests = {
    post('{"model":"flux","prompt":"a lighthouse at dusk","size":"1024x768"}'),
    post('{"model":"flux","prompt":"a lighthouse at dusk","n":3}'),
    post('{"model":"flux","prompt":"a lighthouse at dusk","size":"256x256","response_format":"b64_json"}'),
    post('{"model":"flux","prompt":"a lighthouse at dusk","stream":true,"size":"256x256"}'),
    post('{"model":"flux","prompt":"a lighthouse at dusk falsim:job_error"}'),
    post('{"model":"flux","prompt":"a lighthouse at dusk falsim:stream_dies"}'),
    post('{"model":"flux","prompt":"a lighthouse at dusk falsim:result_reset*1"}'),
    post('{"model":"flux","prompt":"a lighthouse at dusk falsim:submit_reset"}'),
    post('{"model":"flux","size":"banana"}'),
    post('{"model":'),
    get("/v1/models"), get("/health"), get("/metrics"), get("/nowhere"),
  }
end

function request() return requests[math.random(#requests)] end
