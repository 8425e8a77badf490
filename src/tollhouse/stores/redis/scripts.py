"""What the server runs in one step, so that no two nodes decide by the same count."""

from dataclasses import dataclass
from hashlib import sha1
from typing import Final


@dataclass(frozen=True, slots=True)
class Script:
    text: str
    digest: str


def _script(text: str) -> Script:
    return Script(text, sha1(text.encode(), usedforsecurity=False).hexdigest())


#: Adds to all windows of a caller, or to none. Keys: the counts, then those of the windows before them if
#: they still weigh. Arguments: the amount, whether what is refused counts too, then for each count its
#: limit, its seconds to live and the weight of the window before. Answers: whether it was added, then for
#: each window its count and that of the window before.
TAKE: Final = _script("""
local amount, slides, windows = tonumber(ARGV[1]), false, (#ARGV - 2) / 3
if #KEYS > windows then slides = true end
local answer, fits = {1}, true
for i = 1, windows do
  local count = tonumber(redis.call('GET', KEYS[i]) or '0')
  local before = 0
  if slides then before = tonumber(redis.call('GET', KEYS[windows + i]) or '0') end
  if count + amount + before * tonumber(ARGV[3 * i + 2]) > tonumber(ARGV[3 * i]) then fits = false end
  answer[2 * i], answer[2 * i + 1] = count, before
end
if fits or ARGV[2] == '1' then
  for i = 1, windows do
    local count = redis.call('INCRBY', KEYS[i], amount)
    if count == amount then redis.call('EXPIRE', KEYS[i], ARGV[3 * i + 1]) end
    answer[2 * i] = count
  end
end
if not fits then answer[1] = 0 end
return answer
""")
