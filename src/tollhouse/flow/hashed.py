"""What consistent hashing hashes of an exchange: Kong's `hash_on` and `hash_fallback`."""

import uuid
from collections.abc import Callable
from http.cookies import CookieError, SimpleCookie
from typing import TypeAlias

from tollhouse.model.upstream import Upstream
from tollhouse.pdk.exchange import Exchange

#: the value of an exchange; None where it has none
Hashed: TypeAlias = Callable[[Exchange], str | None]


def hashed_by(upstream: Upstream) -> Hashed:
    """What is hashed for an upstream; the empty text if an exchange has neither value."""
    first = _reader(upstream, upstream.hash_on, "hash_on")
    second = _reader(upstream, upstream.hash_fallback, "hash_fallback")
    return lambda ex: first(ex) or second(ex) or ""


def _reader(upstream: Upstream, what: str | None, prefix: str) -> Hashed:
    match what:
        case "consumer":
            return _caller
        case "ip":
            return lambda ex: ex.client_ip
        case "path":
            return lambda ex: ex.request.target.normal
        case "header":
            name = getattr(upstream, f"{prefix}_header").lower()
            return lambda ex: ex.request.headers.joined(name)
        case "cookie":
            return _Cookie(upstream.hash_on_cookie or "", upstream.hash_on_cookie_path or "/")
        case "query_arg":
            argument = getattr(upstream, f"{prefix}_query_arg")
            return lambda ex: _argument(ex, argument)
        case "uri_capture":
            capture = getattr(upstream, f"{prefix}_uri_capture")
            return lambda ex: _captured(ex, capture)
        case _:
            return lambda ex: None


def _caller(ex: Exchange) -> str | None:
    if ex.consumer is not None:
        return ex.consumer.id
    return ex.credential.id if ex.credential is not None else None


def _argument(ex: Exchange, name: str) -> str | None:
    """One without a value counts as `true`; repeated ones are sorted, as in Kong."""
    value = ex.request.arguments().get(name)
    if value is None:
        return None
    values = value if isinstance(value, list) else [value]
    return ",".join(sorted("true" if each is True else str(each) for each in values))


def _captured(ex: Exchange, name: str) -> str | None:
    captures = ex.matched.captures if ex.matched is not None else None
    if captures is None:
        return None
    named, numbered = captures
    if not name.isdigit():
        return named.get(name)
    place = int(name) - 1
    return numbered[place] if 0 <= place < len(numbered) else None


class _Cookie:
    """A cookie's value; a client without one is given a new one, so that it comes back to the same target."""

    def __init__(self, name: str, path: str) -> None:
        self._name = name
        self._path = path

    def __call__(self, ex: Exchange) -> str:
        for header in ex.request.headers.get_all("cookie"):
            found = _cookie(header, self._name)
            if found is not None:
                return found
        value = str(uuid.uuid4())
        ex.set_early_header("Set-Cookie", f"{self._name}={value}; Path={self._path}; Same-Site=Lax; HttpOnly")
        return value


def _cookie(header: str, name: str) -> str | None:
    try:
        morsel = SimpleCookie(header).get(name)
    except CookieError:
        return None
    return morsel.value if morsel is not None else None
