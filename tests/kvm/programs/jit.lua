-- Work for LuaJIT's compiler: traces that are made, patched, linked to side exits and thrown away.
local function lcg(x) return (x * 1103515245 + 12345) % 2147483648 end

local function sieve(n)
  local composite, count = {}, 0
  for i = 2, n do
    if not composite[i] then
      count = count + 1
      for j = i * i, n, i do composite[j] = true end
    end
  end
  return count
end

local function mandelbrot(size)
  local inside = 0
  for y = 0, size - 1 do
    for x = 0, size - 1 do
      local cr, ci, zr, zi, n = 2 * x / size - 1.5, 2 * y / size - 1, 0, 0, 0
      while n < 50 and zr * zr + zi * zi < 4 do
        zr, zi = zr * zr - zi * zi + cr, 2 * zr * zi + ci
        n = n + 1
      end
      if n == 50 then inside = inside + 1 end
    end
  end
  return inside
end

-- Functions made while it runs: code that is compiled, used a while and collected.
local function made(rounds)
  local sum, x = 0, 1
  for i = 1, rounds do
    local f = assert(loadstring("local n = ... local s = 0 for i = 1, n do s = s + i % " ..
                                (i % 7 + 2) .. " end return s"))
    for _ = 1, 100 do sum = sum + f(100) end
    x = lcg(x)
    sum = (sum + x) % 1000000007
    if i % 50 == 0 then collectgarbage() end
  end
  return sum
end

local function strings(n)
  local x, parts = 7, {}
  for i = 1, n do
    x = lcg(x)
    parts[#parts + 1] = string.format("%x", x)
  end
  local all = table.concat(parts)
  local count = 0
  for _ in all:gmatch("a%x") do count = count + 1 end
  return #all, count
end

print((jit.status()))
print(sieve(200000), mandelbrot(200), made(400), strings(20000))
