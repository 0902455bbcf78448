-- Distinct leads with 50 features, some missing: 4096 bodies made once, sent in turn.
local bodies, turn = {}, 0
function init(args)
  math.randomseed(42)
  for i = 1, 4096 do
    local parts = {}
    for f = 1, 50 do
      local r = math.random()
      if r < 0.1 then parts[#parts + 1] = string.format('"f%d":null', f)
      elseif r > 0.2 then parts[#parts + 1] = string.format('"f%d":%.4f', f, math.random() * 100) end
    end
    bodies[i] = '{"lead_id":"lead-' .. i .. '","features":{' .. table.concat(parts, ",") .. "}}"
  end
  wrk.method = "POST"
  wrk.headers["content-type"] = "application/json"
end
function request()
  turn = turn % #bodies + 1
  return wrk.format(nil, nil, nil, bodies[turn])
end
