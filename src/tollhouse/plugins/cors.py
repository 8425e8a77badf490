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
        self._rules = tuple(_Rule(origin) for origin in origins)

    def access(self, ex: Exchange) -> None:
        values = ex.request.headers.values
        if (
            ex.request.method != "OPTIONS"
            or "origin" not in values
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
        if not self.conf.allow_origin_absent and "origin" not in ex.request.headers:
            return
        headers = ex.response.headers
        self._allow_origin(ex, headers)
        if self.conf.exposed_headers:
            headers.set("Access-Control-Expose-Headers", ",".join(self.conf.exposed_headers))

    def _allow_origin(self, ex: Exchange, headers: Headers) -> None:
        """Allow-Origin, Vary and Allow-Credentials, which preflights and other answers share."""
        origin = ex.request.headers.values.get("origin")
        allowed: str | None = "*"
        if self._any:
            if self.conf.credentials and origin:
                allowed = origin
        elif self._only is not None:
            allowed = self._only
        else:
            allowed = next((found for rule in self._rules if (found := rule.allows(origin))), None)
        varies = allowed != "*" or not self._any
        if allowed is None:
            headers.remove("access-control-allow-origin")
        else:
            headers.set("Access-Control-Allow-Origin", allowed)
        if varies:
            headers.add("vary", "Origin")
        if self.conf.credentials and allowed is not None and allowed != "*":
            headers.set("Access-Control-Allow-Credentials", "true")

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
        self._any = text == "*"
        self._host_only = ":" not in text
        self._literal = text if _LITERAL.fullmatch(text) else None
        self._regex = re.compile("" if self._any else text)

    def allows(self, origin: str | None) -> str | None:
        """What to allow for this origin, `None` if this entry does not match it."""
        if self._any:
            return "*"
        normal = _normalised(origin)
        if normal is None:
            return None
        if self._literal is not None:
            return normal if _normalised(self._literal) == normal else None
        subject = normal.partition("://")[2].partition(":")[0] if self._host_only else normal
        return normal if self._regex.fullmatch(subject) else None


def _normalised(origin: str | None) -> str | None:
    """Scheme, host and port as browsers write them, `None` for what is no URL with a host."""
    found = _ORIGIN.fullmatch(origin or "")
    if found is None:
        return None
    scheme, host, port = found.groups()
    shown = f":{port}" if port and port != _PORTS.get(scheme) else ""
    return f"{scheme}://{host}{shown}"


def _named(headers: Headers) -> list[tuple[str, str]]:
    """Names as they are written on the wire."""
    return [("-".join(p.capitalize() for p in name.split("-")), value) for name, value in headers.items()]
