"""How much all processes of a node log."""

import asyncio
from collections.abc import Callable

from tollhouse.supervisor.channel import LogLevel, ToWorker
from tollhouse.telemetry.error_log import set_level


class NodeLogLevel:
    """What is configured, unless an operator wants another level for a while; `tell` reaches the workers."""

    def __init__(self, usual: str, tell: Callable[[ToWorker], None]) -> None:
        self._usual = self.current = usual
        self._tell = tell
        self._restoring: asyncio.TimerHandle | None = None

    @property
    def news(self) -> LogLevel | None:
        """What a worker that comes anew has to be told."""
        return LogLevel(self.current) if self.current != self._usual else None

    def set(self, level: str, seconds: float) -> None:
        """After so many seconds, unless 0, it is as before."""
        if self._restoring is not None:
            self._restoring.cancel()
            self._restoring = None
        if seconds > 0:
            self._restoring = asyncio.get_running_loop().call_later(seconds, self.set, self._usual, 0)
        self.current = level
        set_level(level)
        self._tell(LogLevel(level))
