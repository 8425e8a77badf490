"""cors: cross-origin resource sharing, preflight included."""

import re
from dataclasses import dataclass
from typing import Final, Literal

from tollhouse.pdk import Exchange, Plugin, Reject, item, setting
from tollhouse.wire.headers import Headers

Method = Literal["GET", "HEAD", "PUT", "PATCH", "POST", "DELETE", "OPTIONS", "TRACE", "CONNECT"]
_METHODS: Final = ("GET", "HEAD", "PUT", "PATCH", "POST", "DELETE", "OPTIONS", "TRACE", "CONNECT")
#: letter case is kept: browsers send lower case, and Kong compares as it is
_ORIGIN: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*)://([^/:?#\s]+)(?::(\d+))?(?:[/?#]\S*)?")
_PORTS: Final = {"http": "80", "https": "443"}
#: what makes a text more than a literal origin, as Kong decides it
_LITERAL: Final = re.compile(r"[A-Za-z0-9.:/\-]*")


def _asterisk_or_regex(text: str) -> str | None:
    if text != "*":
        try:
            re.compile(text)
        except re.error:
            return f"'{text}' is not a valid regex"
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    origins: tuple[str, ...] | None = setting(
        None,
        items=item(validator=_asterisk_or_regex),
        doc="Origins that may read answers: literal, regex or `*`.",
    )
    headers: tuple[str, ...] | None = setting(None, doc="Request headers allowed; else those asked for.")
    exposed_headers: tuple[str, ...] | None = setting(None, doc="Response headers that scripts may read.")
    methods: tuple[Method, ...] = setting(_METHODS, doc="Methods allowed.")
    max_age: float | None = setting(None, unit="s", doc="How long a preflight answer holds, in seconds.")
    credentials: bool = setting(False, required=True, doc="Allow cookies and authorisation.")
    private_network: bool = setting(False, required=True, doc="Allow access from public to private networks.")
    preflight_continue: bool = setting(False, required=True, doc="Let the upstream answer preflights.")
    allow_origin_absent: bool = setting(
        True, required=True, newer=True, doc="Add headers to answers of requests without Origin."
    )


class Cors(Plugin[Config]):
    name = "cors"
    priority = 2000
    Config = Config
    forbidden_scopes = frozenset({"consumer"})

    def prepare(self) -> None:
        origins = self.conf.origins or ()
        self._any = not origins or origins == ("*",)
        self._only = origins[0] if len(origins) == 1 and _LITERAL.fullmatch(origins[0]) else None
        self._star = "*" in origins
        self._rules = tuple(_Rule(origin) for origin in origins if origin != "*")

    def access(self, ex: Exchange) -> None:
        values = ex.request.headers.values
        if (
            ex.request.method != "OPTIONS"
            or not values.get("origin")
            or "access-control-request-method" not in values
        ):
            return
        ex.slot(_Preflight).seen = True
        if self.conf.preflight_continue:
            return
        answer = Headers.new()
        self._allow_origin(ex, answer)
        self._answer_preflight(ex, answer)
        raise Reject(200, body=b"", headers=dict(_named(answer)))

    def header_filter(self, ex: Exchange) -> None:
        if ex.peek(_Preflight) is not None or ex.response is None:
            return
        if not self.conf.allow_origin_absent and not ex.request.headers.values.get("origin"):
            return
        headers = ex.response.headers
        self._allow_origin(ex, headers)
        if self.conf.exposed_headers:
            headers.set("Access-Control-Expose-Headers", ",".join(self.conf.exposed_headers))

    def _allow_origin(self, ex: Exchange, headers: Headers) -> None:
        """Allow-Origin, Vary and Allow-Credentials, which preflights and other answers share."""
        origin = ex.request.headers.values.get("origin")
        allowed = self._allowed(origin)
        to_all = allowed == "*"
        if to_all and self.conf.credentials and origin:
            allowed = origin  # browsers take no credentials from `*`
        if allowed is None:
            headers.remove("access-control-allow-origin")
        else:
            headers.set("Access-Control-Allow-Origin", allowed)
        if allowed != "*" or not self._any:
            headers.add("vary", "Origin")
        if self.conf.credentials and (origin or not to_all):
            headers.set("Access-Control-Allow-Credentials", "true")

    def _allowed(self, origin: str | None) -> str | None:
        """Whom to allow: one origin, all of them (`*`), or nobody."""
        if self._any:
            return "*"
        if self._only is not None:
            return self._only
        if not origin:
            return None
        if self._star:
            return "*"
        return next((found for rule in self._rules if (found := rule.allows(origin))), None)

    def _answer_preflight(self, ex: Exchange, headers: Headers) -> None:
        conf, values = self.conf, ex.request.headers.values
        if conf.headers:
            headers.set("Access-Control-Allow-Headers", ",".join(conf.headers))
        elif "access-control-request-headers" in values:
            headers.set("Access-Control-Allow-Headers", values["access-control-request-headers"])
        headers.set("Access-Control-Allow-Methods", ",".join(conf.methods))
        if conf.max_age is not None:
            headers.set("Access-Control-Max-Age", f"{conf.max_age:g}")
        if conf.private_network and values.get("access-control-request-private-network") == "true":
            headers.set("Access-Control-Allow-Private-Network", "true")


@dataclass(slots=True)
class _Preflight:
    """Marks a preflight request: its answer gets no more than the preflight's headers."""

    seen: bool = False


class _Rule:
    """One entry of `origins` where there are several."""

    def __init__(self, text: str) -> None:
        self._host_only = ":" not in text
        self._literal = _normalised(text)[0] if _LITERAL.fullmatch(text) else None
        self._regex = re.compile(text)

    def allows(self, origin: str) -> str | None:
        """What to allow for this origin, `None` if this entry does not match it."""
        normal, host = _normalised(origin)
        if self._literal is not None:
            return normal if self._literal == normal else None
        return normal if self._regex.fullmatch(host if self._host_only else normal) else None


def _normalised(origin: str) -> tuple[str, str]:
    """Scheme, host and port as browsers write them, and the host; what is no URL with a host is both."""
    found = _ORIGIN.fullmatch(origin)
    if found is None:
        return origin, origin
    scheme, host, port = found.groups()
    shown = f":{port}" if port and port != _PORTS.get(scheme) else ""
    return f"{scheme}://{host}{shown}", host


def _named(headers: Headers) -> list[tuple[str, str]]:
    """Names as they are written on the wire."""
    return [("-".join(p.capitalize() for p in name.split("-")), value) for name, value in headers.items()]
