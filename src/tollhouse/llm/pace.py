"""Whether a stream is still worth waiting for: an operator may want so many tokens a second."""

from collections.abc import Callable
from typing import Final

from tollhouse.llm import tokens

#: the rate is judged over so long, in seconds
WINDOW_SECONDS: Final = 5.0
#: looks come a few times a second; after a longer silence nobody was reading, and judging begins anew
_PAUSE_SECONDS: Final = 1.5


class Pace:
    """Looks at one stream. Instants are seconds of the node's clock."""

    __slots__ = ("_before", "_floor", "_looked", "_since", "_written")

    def __init__(self, floor: float, written: Callable[[], int]) -> None:
        """`floor` in tokens a second; `written` tells the bytes of text that the model wrote so far."""
        self._floor = floor
        self._written = written
        self._since = self._looked = 0.0
        self._before = 0

    def look(self, now: float) -> str | None:
        """Why the stream must end, `None` if it may go on. What comes before the first text has limits of
        its own."""
        written = self._written()
        paused = now - self._looked > _PAUSE_SECONDS
        self._looked = now
        if not written or paused:
            self._since, self._before = now, written
            return None
        elapsed = now - self._since
        if elapsed < WINDOW_SECONDS:
            return None
        rate = tokens.completion_tokens(written - self._before) / elapsed
        self._since, self._before = now, written
        if rate < self._floor:
            return f"the model wrote {rate:.1f} tokens a second, less than {self._floor:g}"
        return None
