"""Which headers the gateway adds of its own: Kong's `headers` and `headers_upstream` settings."""

from collections.abc import Iterable
from dataclasses import dataclass

from tollhouse import __version__

PRODUCT = f"tollhouse/{__version__}"

_SERVER = frozenset({"via", "server"})
_LATENCY = frozenset(
    {"x-kong-upstream-latency", "x-kong-proxy-latency", "x-kong-response-latency", "x-kong-admin-latency"}
)


#: the statuses of answers that nginx's `add_header` holds for, https://nginx.org/r/add_header
_ADDED_TO = frozenset({200, 201, 204, 206, 301, 302, 303, 304, 307, 308})


@dataclass(frozen=True, slots=True)
class Advertised:
    """Lower-case names of the headers to add to answers, and whether the upstream gets the request id."""

    names: frozenset[str]
    request_id_upstream: bool
    #: nothing was taken away or added, so the ready-made text can be used
    plain: bool
    #: name and value of one more header, and whether errors get it too
    one_more: tuple[str, str, bool] | None = None

    @classmethod
    def of(
        cls,
        headers: Iterable[str],
        headers_upstream: Iterable[str],
        one_more: tuple[str, str, bool] | None = None,
    ) -> "Advertised":
        names: set[str] = set()
        for word in (h.lower() for h in headers):
            if word == "server_tokens":
                names |= _SERVER
            elif word == "latency_tokens":
                names |= _LATENCY
            elif word != "off":
                names.add(word)
        upstream = "x-kong-request-id" in {h.lower() for h in headers_upstream}
        plain = names == _SERVER | _LATENCY | {"x-kong-request-id"} and upstream and one_more is None
        return cls(frozenset(names), upstream, plain, one_more)

    def more(self, status: int) -> str:
        """The line of the one more header, if an answer of that status gets it."""
        if self.one_more is None:
            return ""
        name, value, always = self.one_more
        return f"{name}: {value}\r\n" if always or status in _ADDED_TO else ""
