"""What Lua in a configuration can see of a connection without HTTP."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from tollhouse.pdk.lua.library import GLOBALS
from tollhouse.pdk.lua.names import named
from tollhouse.pdk.session import StreamSession


class SessionNames:
    """The global names of an expression; those of requests are nil."""

    def __init__(self, session: StreamSession, wall_clock: Callable[[], float]) -> None:
        self._session = session
        self._wall_clock = wall_clock

    def __call__(self, name: str) -> object:
        read = _READ.get(name)
        return read(self) if read is not None else GLOBALS.get(name)

    def kong(self) -> dict[str, Any]:
        """The part of Kong's PDK that is there for streams."""
        session = self._session
        return {
            "client": {
                "get_ip": lambda: session.client_ip,
                "get_forwarded_ip": lambda: session.client_ip,
                "get_port": lambda: session.client_port,
                "get_consumer": lambda: None,
                "get_credential": lambda: None,
            },
            "router": {
                "get_route": lambda: named(session.route),
                "get_service": lambda: named(session.service),
            },
        }

    def ngx(self) -> dict[str, Any]:
        """What scripts ask nginx for: the time."""
        return {"now": self._wall_clock, "time": lambda: int(self._wall_clock()), "null": None}

    def msec(self) -> str:
        """Seconds since the epoch with milliseconds behind the point."""
        return f"{self._wall_clock():.3f}"


_READ: Final[Mapping[str, Callable[[SessionNames], object]]] = MappingProxyType(
    {"kong": SessionNames.kong, "ngx": SessionNames.ngx, "msec": SessionNames.msec}
)
